"""Opening a server's sockets, and reading one without waiting."""

from collections.abc import Iterator

import pytest
import zmq

from langpose_rt.errors import ConfigError
from langpose_rt.protocol.header import MAX_PARTS
from langpose_rt.server.sockets import listening_socket, received
from tests.peers import LOCAL, WAIT_S, Peers, peers


@pytest.fixture
def context() -> "Iterator[zmq.Context[zmq.Socket[bytes]]]":
    made: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    yield made
    made.destroy(linger=0)


@pytest.fixture
def others() -> Iterator[Peers]:
    with peers() as found:
        yield found


@pytest.mark.parametrize("bind", [LOCAL, "::1"])
def test_a_free_port_is_taken_and_a_taken_one_is_named(
    context: "zmq.Context[zmq.Socket[bytes]]", bind: str
) -> None:
    socket, port = listening_socket(context, zmq.SUB, bind, 0, option="--port")
    assert port > 0
    taken = f"{bind}:{port} .*in use.*choose another --somewhere"
    with socket, pytest.raises(ConfigError, match=taken):
        listening_socket(context, zmq.XPUB, bind, port, option="--somewhere")


def test_messages_are_read_whole_without_waiting_and_never_longer_than_allowed(
    context: "zmq.Context[zmq.Socket[bytes]]", others: Peers
) -> None:
    socket, port = listening_socket(context, zmq.SUB, LOCAL, 0, option="--port")
    with socket:
        assert received(socket) is None
        publisher = others.connect(zmq.XPUB, port)
        socket.poll(10)  # a bound SUB attaches peers only while it is polled
        assert publisher.poll(WAIT_S * 1000)
        publisher.send_multipart([b"x"] * 1000)
        publisher.send_multipart([b"a", b"", b"c"])
        assert socket.poll(WAIT_S * 1000)
        assert received(socket) == [b"x"] * (MAX_PARTS + 1)
        assert socket.poll(WAIT_S * 1000)
        assert received(socket) == [b"a", b"", b"c"]
