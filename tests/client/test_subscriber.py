"""The client library against real sockets on ephemeral ports; every wait is bounded."""

import threading
import time
from collections.abc import Callable, Iterator

import msgspec
import numpy as np
import pytest
import zmq

from langpose_rt.client.subscriber import PoseSubscriber, RigPublisher
from langpose_rt.errors import ConfigError, LangPoseError, MessageError
from langpose_rt.protocol.clock_sync import ClockSync
from langpose_rt.protocol.messages import (
    KeypointMessage,
    decode_keypoints,
    encode_pose,
    encode_status,
)
from tests.protocol.samples import forged, heartbeat_sample, pose_sample

WAIT_S = 5.0
ONE = np.full((1, 17, 3), 0.5, np.float32)


class Server:
    """A bound socket that stands in for the server's."""

    def __init__(
        self,
        socket_type: int,
        *,
        keys: tuple[bytes, bytes] | None = None,
        endpoint: str = "tcp://127.0.0.1:*",
    ) -> None:
        self.context = zmq.Context()
        self.socket = self.context.socket(socket_type)
        self.socket.linger = 0
        if keys is not None:
            self.socket.curve_publickey, self.socket.curve_secretkey = keys
            self.socket.curve_server = True
        wait_until(lambda: self._bound_to(endpoint))  # a port just left may need a moment
        self.endpoint = self.socket.last_endpoint.rstrip(b"\0").decode()

    def _bound_to(self, endpoint: str) -> bool:
        try:
            self.socket.bind(endpoint)
        except zmq.ZMQError:
            return False
        return True

    def receive(self, timeout_s: float = WAIT_S) -> KeypointMessage | None:
        if not self.socket.poll(int(1000 * timeout_s)):
            return None
        return decode_keypoints(self.socket.recv_multipart(), now_ns=0)

    def close(self) -> None:
        self.context.destroy(linger=0)


@pytest.fixture
def ingest() -> Iterator[Server]:
    server = Server(zmq.SUB)
    server.socket.subscribe("kp2d/")
    yield server
    server.close()


@pytest.fixture
def output() -> Iterator[Server]:
    server = Server(zmq.XPUB)
    yield server
    server.close()


def wait_until(holds: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.002)


def connected(server: Server, publisher: RigPublisher) -> None:
    """Wait as a rig does, while the server polls as a server does: only then peers attach."""

    def attached() -> bool:
        server.socket.poll(0)
        return publisher.wait_for_server(timeout_s=0.0)

    wait_until(attached)


def subscriptions(server: Server, count: int) -> set[bytes]:
    found: set[bytes] = set()
    while len(found) < count:
        assert server.socket.poll(int(1000 * WAIT_S)), "nobody subscribed"
        found.add(server.socket.recv())
    return found


def test_a_rig_publishes_and_a_server_reads(ingest: Server) -> None:
    with RigPublisher(ingest.endpoint, "rig0", "cam0", size=(640, 480), fps=60.0) as publisher:
        connected(ingest, publisher)
        assert publisher.publish(ONE, ids=[3], t_ns=7) == 0
        assert publisher.publish(ONE[0], t_ns=8) == 1
        assert publisher.publish([]) == 2
        first, second, third = (ingest.receive() for _ in range(3))
    assert first is not None
    assert second is not None
    assert third is not None
    assert (first.topic, first.wh, first.fps) == ("kp2d/rig0/cam0/", (640, 480), 60.0)
    assert np.array_equal(first.keypoints, ONE)
    assert (first.ids.tolist(), second.ids.tolist(), third.ids.tolist()) == ([3], [-1], [])
    assert (first.seq, second.seq, third.seq) == (0, 1, 2)
    assert (first.t_ns, second.t_ns) == (7, 8)
    assert abs(third.t_ns - time.time_ns()) < 60 * 10**9
    assert first.epoch == second.epoch == third.epoch


def test_every_publisher_is_a_new_epoch(ingest: Server) -> None:
    epochs = set()
    for _ in range(2):
        with RigPublisher(ingest.endpoint, "rig0", "cam0", size=(640, 480)) as publisher:
            connected(ingest, publisher)
            publisher.publish(ONE)
            message = ingest.receive()
            assert message is not None
            epochs.add(message.epoch)
    assert len(epochs) == 2


def test_a_restarted_publisher_is_a_new_epoch_too(ingest: Server) -> None:
    with RigPublisher(ingest.endpoint, "rig0", "cam0", size=(640, 480)) as publisher:
        connected(ingest, publisher)
        publisher.publish(ONE, t_ns=1)
        publisher.restart()
        assert publisher.publish(ONE, t_ns=1) == 0
        first, second = ingest.receive(), ingest.receive()
        assert first is not None
        assert second is not None
        assert first.epoch != second.epoch
        assert (first.seq, second.seq) == (0, 0)


def test_an_offset_once_told_goes_with_every_frame(ingest: Server) -> None:
    with RigPublisher(ingest.endpoint, "rig0", "cam0", size=(640, 480)) as publisher:
        connected(ingest, publisher)
        publisher.synchronise(-5, 1000)
        publisher.publish(ONE, t_ns=7)
        message = ingest.receive()
        assert message is not None
        assert message.sync == ClockSync(-5, 1000)
        for wrong in ((1 << 62, 0), (0, -1)):
            with pytest.raises(ConfigError, match="would refuse this offset"):
                publisher.synchronise(*wrong)


def test_without_a_server_publishing_does_not_block() -> None:
    with RigPublisher("tcp://127.0.0.1:9", "rig0", "cam0", size=(640, 480)) as publisher:
        assert not publisher.wait_for_server(timeout_s=0.01)
        for seq in range(200):
            assert publisher.publish(ONE) == seq


def test_a_server_that_wants_other_streams_is_none(ingest: Server) -> None:
    ingest.socket.unsubscribe("kp2d/")
    ingest.socket.subscribe("kp2d/rig1/")
    with RigPublisher(ingest.endpoint, "rig1", "cam0", size=(640, 480)) as wanted:
        connected(ingest, wanted)
        with RigPublisher(ingest.endpoint, "rig0", "cam0", size=(640, 480)) as publisher:
            assert not publisher.wait_for_server(timeout_s=0.05)


def test_a_frame_that_cannot_be_is_refused_and_not_numbered(ingest: Server) -> None:
    with RigPublisher(ingest.endpoint, "rig0", "cam0", size=(640, 480)) as publisher:
        with pytest.raises(MessageError, match="bad_shape"):
            publisher.publish(np.zeros((1, 26, 3)))
        with pytest.raises(MessageError, match="bad_ids"):
            publisher.publish(ONE, ids=[1, 2])
        assert publisher.publish(ONE) == 0


@pytest.mark.parametrize("endpoint", ["", "nonsense", "tcp://", "tcp://127.0.0.1:99999", "ftp://a"])
def test_an_endpoint_that_is_none_is_refused_in_one_sentence(endpoint: str) -> None:
    with pytest.raises(ConfigError, match="cannot connect"):
        PoseSubscriber(endpoint)
    with pytest.raises(ConfigError, match="cannot connect"):
        RigPublisher(endpoint, "rig0", "cam0", size=(640, 480))


def test_names_and_keys_are_checked_before_anything_starts() -> None:
    with pytest.raises(ConfigError, match="letters, digits"):
        RigPublisher("tcp://127.0.0.1:9", "rig/0", "cam0", size=(640, 480))
    with pytest.raises(ConfigError, match="letters, digits"):
        PoseSubscriber("tcp://127.0.0.1:9", rig="rig 0")
    with pytest.raises(ConfigError, match="name the rig too"):
        PoseSubscriber("tcp://127.0.0.1:9", camera="cam0")
    with pytest.raises(ConfigError, match="cannot connect"):
        PoseSubscriber("tcp://127.0.0.1:9", server_key="too short")


def test_what_is_closed_says_so(ingest: Server) -> None:
    publisher = RigPublisher(ingest.endpoint, "rig0", "cam0", size=(640, 480))
    subscriber = PoseSubscriber(ingest.endpoint)
    for client in (publisher, subscriber):
        client.close()
        client.close()
    with pytest.raises(LangPoseError, match="closed"):
        publisher.publish(ONE)
    with pytest.raises(LangPoseError, match="closed"):
        subscriber.receive(0.0)
    with pytest.raises(LangPoseError, match="closed"):
        assert subscriber.alive


def send_pose(server: Server, seq: int, rig: str = "rig0", camera: str = "cam0") -> None:
    message = forged(pose_sample(1), rig=rig, camera=camera, seq=seq)
    server.socket.send_multipart(encode_pose(message))


def test_a_consumer_iterates_over_poses_until_they_stop(output: Server) -> None:
    with PoseSubscriber(output.endpoint, timeout_s=0.05) as subscriber:
        subscriptions(output, 2)
        for seq in range(3):
            send_pose(output, seq)
        first = subscriber.receive(WAIT_S)
        assert first is not None
        assert first.seq == 0
        assert [message.seq for message in subscriber] == [1, 2]
        assert subscriber.receive(0.0) is None


def test_without_a_timeout_a_consumer_waits(output: Server) -> None:
    with PoseSubscriber(output.endpoint) as subscriber:
        subscriptions(output, 2)
        later = threading.Timer(0.05, send_pose, (output, 4))
        later.start()
        message = next(iter(subscriber))
        later.join()
        assert message.seq == 4


def test_a_consumer_of_rig1_does_not_hear_rig10(output: Server) -> None:
    with PoseSubscriber(output.endpoint, rig="rig1") as subscriber:
        assert subscriptions(output, 2) == {b"\x01pose3d/rig1/", b"\x01hb/"}
        send_pose(output, 0, rig="rig10")
        send_pose(output, 1, rig="rig1")
        message = subscriber.receive(WAIT_S)
        assert message is not None
        assert (message.rig, message.seq) == ("rig1", 1)


def test_a_consumer_of_one_camera_hears_only_that(output: Server) -> None:
    with PoseSubscriber(output.endpoint, rig="rig1", camera="left") as subscriber:
        assert b"\x01pose3d/rig1/left/" in subscriptions(output, 2)
        send_pose(output, 0, rig="rig1", camera="right")
        send_pose(output, 1, rig="rig1", camera="left")
        message = subscriber.receive(WAIT_S)
        assert message is not None
        assert message.seq == 1


def test_latest_hands_out_the_newest_of_every_camera(output: Server) -> None:
    with PoseSubscriber(output.endpoint, latest=True) as subscriber:
        subscriptions(output, 2)
        for seq in range(50):
            send_pose(output, seq, camera="a")
            send_pose(output, seq, camera="b")
        send_pose(output, 0, camera="last")
        seen: dict[str, int] = {}
        while "last" not in seen:
            message = subscriber.receive(WAIT_S)
            assert message is not None
            assert message.seq >= seen.get(message.camera, 0)
            seen[message.camera] = message.seq
        assert seen == {"a": 49, "b": 49, "last": 0}
        assert subscriber.rejected == 0


def test_latest_counts_what_it_passes_over(output: Server) -> None:
    with PoseSubscriber(output.endpoint, latest=True) as subscriber:
        subscriptions(output, 2)
        for seq in range(50):
            send_pose(output, seq)
        output.socket.send_multipart(encode_status(heartbeat_sample()))
        wait_until(lambda: subscriber.heartbeat is not None)  # it came last, so all have come
        message = subscriber.receive(0.0)
        assert message is not None
        assert (message.seq, subscriber.skipped) == (49, 49)


def test_a_heartbeat_tells_silence_from_death(output: Server) -> None:
    with PoseSubscriber(output.endpoint) as subscriber:
        subscriptions(output, 2)
        assert not subscriber.alive
        assert subscriber.heartbeat_age_s == float("inf")
        output.socket.send_multipart(encode_status(heartbeat_sample()))
        wait_until(lambda: subscriber.alive)
        assert subscriber.heartbeat == heartbeat_sample()
        assert subscriber.heartbeat_age_s < WAIT_S


def test_a_message_that_cannot_be_read_does_not_end_the_loop(output: Server) -> None:
    with PoseSubscriber(output.endpoint) as subscriber:
        subscriptions(output, 2)
        output.socket.send_multipart([b"pose3d/rig0/cam0/", msgspec.msgpack.encode({"v": 9}), b""])
        send_pose(output, 5)
        message = subscriber.receive(WAIT_S)
        assert message is not None
        assert (message.seq, subscriber.rejected) == (5, 1)


def test_a_consumer_finds_a_server_that_came_back() -> None:
    first = Server(zmq.XPUB)
    with PoseSubscriber(first.endpoint) as subscriber:
        subscriptions(first, 2)
        first.close()
        second = Server(zmq.XPUB, endpoint=first.endpoint)

        def heard() -> bool:
            send_pose(second, 9)
            message = subscriber.receive(0.01)
            return message is not None and message.seq == 9

        try:
            wait_until(heard)
        finally:
            second.close()


def test_a_rig_finds_a_server_that_came_back(ingest: Server) -> None:
    with RigPublisher(ingest.endpoint, "rig0", "cam0", size=(640, 480)) as publisher:
        connected(ingest, publisher)
        ingest.close()
        wait_until(lambda: not publisher.wait_for_server(timeout_s=0.0))
        second = Server(zmq.SUB, endpoint=ingest.endpoint)
        second.socket.subscribe("kp2d/")
        try:
            connected(second, publisher)
            publisher.publish(ONE)
            assert second.receive() is not None
        finally:
            second.close()


@pytest.mark.skipif(not zmq.has("curve"), reason="this libzmq was built without CURVE")
def test_keys_let_in_those_who_have_them_and_nobody_else() -> None:
    keys = zmq.curve_keypair()
    server = Server(zmq.SUB, keys=keys)
    server.socket.subscribe("")
    public = keys[0].decode()
    stranger, _ = zmq.curve_keypair()
    try:
        with (
            RigPublisher(
                server.endpoint, "rig0", "cam0", size=(640, 480), server_key=public
            ) as publisher,
            RigPublisher(server.endpoint, "plain", "cam0", size=(640, 480)) as plain,
            RigPublisher(
                server.endpoint, "wrong", "cam0", size=(640, 480), server_key=stranger.decode()
            ) as wrong,
        ):
            connected(server, publisher)
            for rig in (plain, wrong, publisher):
                rig.publish(ONE)
            message = server.receive()
            assert message is not None
            assert message.rig == "rig0"
            assert not plain.wait_for_server(timeout_s=0.05)
            assert not wrong.wait_for_server(timeout_s=0.05)
    finally:
        server.close()


@pytest.mark.skipif(not zmq.has("curve"), reason="this libzmq was built without CURVE")
def test_a_consumer_may_bring_its_own_keys() -> None:
    keys = zmq.curve_keypair()
    server = Server(zmq.XPUB, keys=keys)
    public = keys[0].decode()
    own = tuple(key.decode() for key in zmq.curve_keypair())
    try:
        with PoseSubscriber(
            server.endpoint, server_key=public, key_pair=(own[0], own[1])
        ) as subscriber:
            subscriptions(server, 2)
            send_pose(server, 3)
            message = subscriber.receive(WAIT_S)
            assert message is not None
            assert message.seq == 3
    finally:
        server.close()
