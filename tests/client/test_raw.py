"""Messages pass as they are: byte for byte, and without a server they are lost, not waited for."""

from collections.abc import Iterator

import pytest
import zmq

from langpose_rt.client.raw import RawPublisher, RawSubscriber
from langpose_rt.errors import ConfigError, LangPoseError
from tests.peers import wait_until

LOCAL = "tcp://127.0.0.1"
WAIT_S = 60.0
MESSAGES = [
    [b"kp2d/rig0/cam0/", b"\x00\xff" * 50, b""],
    [b"anything", b"", b"", b"four parts"],
    [b""],
]


class Server:
    """The two sides of a server: a SUB that takes keypoints, an XPUB that publishes poses."""

    def __init__(self) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.input, self.output = self.context.socket(zmq.SUB), self.context.socket(zmq.XPUB)
        self.keypoints = f"{LOCAL}:{self.input.bind_to_random_port(LOCAL)}"
        self.poses = f"{LOCAL}:{self.output.bind_to_random_port(LOCAL)}"

    def close(self) -> None:
        self.input.close(linger=0)
        self.output.close(linger=0)
        self.context.term()

    def attach(self, publisher: RawPublisher) -> None:
        """Wait until the publisher has heard; a SUB subscribes only while it is polled."""
        wait_until(lambda: not self.input.poll(1) and publisher.wait_for_server(0.01))


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def test_every_part_arrives_as_it_was_sent(server: Server) -> None:
    server.input.subscribe(b"")
    with RawPublisher(server.keypoints) as publisher:
        server.attach(publisher)
        for parts in MESSAGES:
            publisher.send(parts)
        for parts in MESSAGES:
            assert server.input.poll(WAIT_S * 1000)
            assert server.input.recv_multipart() == parts


def test_a_server_that_asked_for_nothing_is_none(server: Server) -> None:
    with RawPublisher(server.keypoints) as publisher:
        assert not publisher.wait_for_server(0.05)
        server.input.subscribe(b"kp2d/")
        server.attach(publisher)


def test_without_a_server_nothing_blocks() -> None:
    with RawPublisher(f"{LOCAL}:1") as publisher:
        assert not publisher.wait_for_server(0.0)
        for _ in range(200):
            publisher.send(MESSAGES[0])


def test_everything_published_is_heard_whatever_its_topic(server: Server) -> None:
    with RawSubscriber(server.poses) as subscriber:
        assert server.output.poll(WAIT_S * 1000)
        assert server.output.recv() == b"\x01", "everything is subscribed to"
        for parts in MESSAGES:
            server.output.send_multipart(parts)
        found: list[list[bytes]] = []
        while len(found) < len(MESSAGES):
            arrived = subscriber.receive(WAIT_S)
            assert arrived, "nothing came"
            found += arrived
        assert found == MESSAGES


def test_silence_is_an_empty_list(server: Server) -> None:
    with RawSubscriber(server.poses) as subscriber:
        assert subscriber.receive(0.0) == []
        assert subscriber.receive(0.01) == []


def test_what_is_closed_says_so() -> None:
    publisher, subscriber = RawPublisher(f"{LOCAL}:1"), RawSubscriber(f"{LOCAL}:1")
    for one in (publisher, subscriber):
        one.close()
    with pytest.raises(LangPoseError, match="this RawPublisher is closed"):
        publisher.send(MESSAGES[0])


@pytest.mark.parametrize("kind", [RawPublisher, RawSubscriber])
def test_an_endpoint_that_is_none_is_refused(kind: type[RawPublisher | RawSubscriber]) -> None:
    with pytest.raises(ConfigError, match='cannot connect to "nowhere"'):
        kind("nowhere")
