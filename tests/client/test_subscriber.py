"""A consumer's backlog, and its subscriber against real sockets on ephemeral ports."""

import threading
from collections.abc import Iterator

import msgspec
import pytest
import zmq

from langpose_rt.client.subscriber import PoseBacklog, PoseSubscriber
from langpose_rt.errors import ConfigError, LangPoseError
from langpose_rt.protocol.messages import encode_pose, encode_status
from tests.client.bound_server import WAIT_S, Server, wait_until
from tests.protocol.samples import encoded_samples, forged, heartbeat_sample, pose_sample

HEARTBEAT = encode_status(heartbeat_sample())


def pose(camera: str, seq: int) -> list[bytes]:
    return encode_pose(forged(pose_sample(1), camera=camera, seq=seq))


def taken(backlog: PoseBacklog) -> list[tuple[str, int]]:
    messages = iter(backlog.take, None)
    return [(message.camera, message.seq) for message in messages]


def test_poses_come_out_in_order() -> None:
    backlog = PoseBacklog(latest=False, max_messages=10)
    backlog.put([pose("a", 0), pose("b", 0)], 0.0)
    backlog.put([pose("a", 1)], 0.1)
    assert taken(backlog) == [("a", 0), ("b", 0), ("a", 1)]
    assert backlog.skipped == 0


def test_the_newest_of_every_camera_is_kept() -> None:
    backlog = PoseBacklog(latest=True, max_messages=10)
    backlog.put([pose("a", 0), pose("b", 0), HEARTBEAT, pose("a", 1)], 0.0)
    backlog.put([pose("a", 2)], 0.1)
    assert taken(backlog) == [("a", 2), ("b", 0)]
    assert backlog.skipped == 2


def test_memory_is_bounded_and_the_oldest_go() -> None:
    backlog = PoseBacklog(latest=False, max_messages=3)
    for seq in range(5):
        backlog.put([pose("a", seq)], 0.0)
    assert taken(backlog) == [("a", 2), ("a", 3), ("a", 4)]
    assert backlog.skipped == 2


def test_heartbeats_are_noted_apart() -> None:
    backlog = PoseBacklog(latest=False, max_messages=3)
    assert backlog.heartbeat is None
    assert backlog.heartbeat_s == float("-inf")
    backlog.put([HEARTBEAT], 12.5)
    assert backlog.heartbeat == heartbeat_sample()
    assert backlog.heartbeat_s == 12.5
    assert backlog.take() is None


def test_what_cannot_be_read_is_counted_and_costs_nothing_else() -> None:
    backlog = PoseBacklog(latest=False, max_messages=10)
    wrong = encoded_samples()["kp2d"]
    backlog.put([wrong, [b"hb/studio/", b"?"], [b""], pose("a", 3)], 0.0)
    assert taken(backlog) == [("a", 3)]
    assert backlog.rejected == 3
    assert backlog.heartbeat is None


@pytest.fixture
def output() -> Iterator[Server]:
    server = Server(zmq.XPUB)
    yield server
    server.close()


def subscriptions(server: Server, count: int) -> set[bytes]:
    found: set[bytes] = set()
    while len(found) < count:
        assert server.socket.poll(int(1000 * WAIT_S)), "nobody subscribed"
        found.add(server.socket.recv())
    return found


def send_pose(server: Server, seq: int, rig: str = "rig0", camera: str = "cam0") -> None:
    message = forged(pose_sample(1), rig=rig, camera=camera, seq=seq)
    server.socket.send_multipart(encode_pose(message))


@pytest.mark.parametrize("endpoint", ["", "nonsense", "tcp://", "tcp://127.0.0.1:99999", "ftp://a"])
def test_an_endpoint_that_is_none_is_refused_in_one_sentence(endpoint: str) -> None:
    with pytest.raises(ConfigError, match="cannot connect"):
        PoseSubscriber(endpoint)


def test_names_and_keys_are_checked_before_anything_starts() -> None:
    with pytest.raises(ConfigError, match="letters, digits"):
        PoseSubscriber("tcp://127.0.0.1:9", rig="rig 0")
    with pytest.raises(ConfigError, match="name the rig too"):
        PoseSubscriber("tcp://127.0.0.1:9", camera="cam0")
    with pytest.raises(ConfigError, match="cannot connect"):
        PoseSubscriber("tcp://127.0.0.1:9", server_key="too short")


def test_a_closed_subscriber_says_so(output: Server) -> None:
    subscriber = PoseSubscriber(output.endpoint)
    subscriber.close()
    subscriber.close()
    with pytest.raises(LangPoseError, match="closed"):
        subscriber.receive(0.0)
    with pytest.raises(LangPoseError, match="closed"):
        assert subscriber.alive


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
