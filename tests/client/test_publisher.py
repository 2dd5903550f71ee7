"""A rig's publisher against real sockets on ephemeral ports."""

import contextlib
import time
from collections.abc import Iterator

import numpy as np
import pytest
import zmq

from langpose_rt.client.publisher import RigPublisher
from langpose_rt.errors import ConfigError, LangPoseError, MessageError
from langpose_rt.protocol.keypoints import ClockSync
from tests.client.bound_server import WAIT_S, Server, connected, wait_until

ONE = np.full((1, 17, 3), 0.5, np.float32)


@pytest.fixture
def ingest() -> Iterator[Server]:
    server = Server(zmq.SUB)
    server.socket.subscribe("kp2d/")
    yield server
    server.close()


def test_a_rig_publishes_and_a_server_reads(ingest: Server) -> None:
    with RigPublisher(ingest.endpoint, "rig0", "cam0", size=(640, 480), fps=60.0) as publisher:
        connected(ingest, publisher)
        assert publisher.publish(ONE, ids=[3], t_ns=7) == 0
        assert publisher.publish(ONE[0], t_ns=8, bones_m=np.full(16, 0.25)) == 1
        assert publisher.publish([], bones_m=[]) == 2
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
    assert first.bones_m is third.bones_m is None
    assert second.bones_m is not None
    assert second.bones_m.tolist() == [[0.25] * 16]


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
        with pytest.raises(MessageError, match="got a length of 25 m"):
            publisher.publish(ONE, bones_m=np.full(16, 25.0))
        assert publisher.publish(ONE) == 0


@pytest.mark.parametrize("endpoint", ["", "nonsense", "tcp://", "tcp://127.0.0.1:99999", "ftp://a"])
def test_an_endpoint_that_is_none_is_refused_in_one_sentence(endpoint: str) -> None:
    with pytest.raises(ConfigError, match="cannot connect"):
        RigPublisher(endpoint, "rig0", "cam0", size=(640, 480))


def test_names_are_checked_before_anything_starts() -> None:
    with pytest.raises(ConfigError, match="letters, digits"):
        RigPublisher("tcp://127.0.0.1:9", "rig/0", "cam0", size=(640, 480))


def test_a_closed_publisher_says_so(ingest: Server) -> None:
    publisher = RigPublisher(ingest.endpoint, "rig0", "cam0", size=(640, 480))
    publisher.close()
    publisher.close()
    with pytest.raises(LangPoseError, match="closed"):
        publisher.publish(ONE)


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
            with contextlib.suppress(LangPoseError):  # it may have learned of the keys by now
                plain.publish(ONE)
            for rig in (wrong, publisher):
                rig.publish(ONE)
            message = server.receive()
            assert message is not None
            assert message.rig == "rig0"
            assert not wrong.wait_for_server(timeout_s=0.05)
            with pytest.raises(LangPoseError, match="has keys and this client has none"):
                plain.wait_for_server(WAIT_S)
    finally:
        server.close()
