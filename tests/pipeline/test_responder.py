"""Pose messages: people, states, source frame, model and latencies of every stream."""

import numpy as np
import pytest

from langpose_rt.errors import MessageError
from langpose_rt.pipeline import responder
from langpose_rt.pipeline.batch_lifter import LiftResult
from langpose_rt.pipeline.camera_lookup import CameraLookup
from langpose_rt.pipeline.camera_stream import PersonBatch, Stream, TrackedFrame
from langpose_rt.pipeline.capture_clock import Stamp
from langpose_rt.pipeline.config import PipelineConfig
from langpose_rt.pipeline.frame_queue import Frame, FrameQueue
from langpose_rt.pipeline.responder import PoseMessageBuilder
from langpose_rt.pipeline.slots import SlotTable
from langpose_rt.protocol.keypoints import Via
from langpose_rt.protocol.messages import Drops, Latency, PoseMessage
from tests.fakes import MS, FakeBackend, keypoint_message, person_px
from tests.pipeline.bench import bench, seqs

S = 1_000_000_000
VIEWS = CameraLookup({})
BACKEND = FakeBackend(frames=16)


def tracked(camera: str, drop: Drops) -> TrackedFrame:
    message = keypoint_message(camera=camera, seq=3, t_ms=500)
    stamp = Stamp(480 * MS, 700 * MS, 2 * MS, stepped=False)
    frame = Frame(message, VIEWS.camera_model_of(message), 1000, stamp, 0, drop)
    stream = Stream(
        "rig0", camera, FrameQueue(VIEWS, 0), SlotTable(BACKEND), track_timeout_s=1.0, first_seq=40
    )
    stream.newest_ns = 500 * MS
    empty = np.empty((0, 17, 3), np.float32)
    return TrackedFrame(stream, frame, [], [], empty, taken_ns=1100, windowed_ns=1300)


def people(*rows: tuple[int, int, int, int, bool]) -> PersonBatch:
    """(id, pushes, history, unseen, coasting) of every person."""
    found = PersonBatch.empty(len(rows))
    for column, name in enumerate(("id", "pushes", "history_ns", "unseen_ns", "coasting")):
        getattr(found, name)[:] = [row[column] for row in rows]
    return found


def test_every_stream_gets_its_own_people_and_what_is_known_of_them() -> None:
    tracked_frames = [tracked("a", Drops(gap=2)), tracked("b", Drops())]
    everybody = people(
        (9, 5, S // 4, 0, False),
        (4, 99, 5 * S, 0, False),
        (6, 30, S, S // 2, False),
        (7, 30, 9 * S, 3 * S, False),
        (8, 9, S // 4, S // 10, True),
    )
    poses = np.zeros((5, 17, 4), np.float32)
    poses[..., 3] = np.array([1, 2, 3, 4, 5])[:, None]
    root = np.arange(15, dtype=np.float32).reshape(5, 3)
    lifted = LiftResult(
        tracked_frames, [1, 5], everybody, poses, root, None, 0, lifted_ns=1600, done_ns=2000
    )
    first, second = PoseMessageBuilder(BACKEND, PipelineConfig(), epoch=77).messages(lifted, 2500)
    assert (first.ids.tolist(), second.ids.tolist()) == ([9], [4, 6, 7, 8])
    assert (first.state, second.state) == (("warmup",), ("ok", "predicted", "lost", "held"))
    assert (first.win.filled, second.win.filled) == ((5,), (16, 16, 16, 9))
    assert second.poses[:, 0, 3].tolist() == [2, 3, 4, 5]
    np.testing.assert_array_equal(second.root, root[1:])
    assert (first.drop, second.drop) == (Drops(gap=2), Drops())
    assert (first.epoch, first.seq, first.src.seq, first.src.t) == (77, 40, 3, 500 * MS)
    assert (first.t_srv, first.t_unc_ns, first.win.lookahead_ns) == (700 * MS, 2 * MS, 20 * MS)
    assert first.lat == Latency(rx=100, win=200, lift=300, post=400, tx=500)
    assert (first.model.id, first.model.backend, first.scale_src) == ("fake", "fake", "prior")


def test_the_scale_is_given_where_that_of_everybody_is() -> None:
    tracked_frames = [tracked(camera, Drops()) for camera in "abc"]
    everybody = people(*[(n, 5, S, 0, False) for n in range(3)])
    everybody.scale_given[:] = (True, True, False)
    poses, root = np.zeros((3, 17, 4), np.float32), np.zeros((3, 3), np.float32)
    lifted = LiftResult(tracked_frames, [1, 3, 3], everybody, poses, root, None, 0, 0, 0)
    messages = PoseMessageBuilder(BACKEND, PipelineConfig(), epoch=1).messages(lifted, 0)
    assert [message.scale_src for message in messages] == ["given", "prior", "prior"]


def test_numbers_of_a_stream_go_up_by_one() -> None:
    one = tracked("a", Drops())
    builder = PoseMessageBuilder(BACKEND, PipelineConfig(), epoch=1)
    nobody = np.empty((0, 17, 4), np.float32), np.empty((0, 3), np.float32)
    lifted = LiftResult([one], [0], people(), *nobody, None, 0, 0, 0)
    assert [builder.messages(lifted, 0)[0].seq for _ in range(3)] == [40, 41, 42]


HERE = person_px((0.0, 0.0, 4.0))
THERE = person_px((1.0, 0.0, 4.0))


def test_a_frame_waits_for_its_lookahead_and_is_answered_with_the_first_that_gives_it() -> None:
    b = bench(lookahead_ms=50.0)
    answered = [seqs(b.feed(HERE, seq=n, at_ms=20.0 * n)) for n in range(6)]
    assert answered == [[], [], [], [0], [1], [2]]


def test_a_frame_the_window_would_lose_is_answered_before_its_lookahead() -> None:
    b = bench(frames=4, lookahead_ms=1000.0)
    answered = [seqs(b.feed(HERE, seq=n, at_ms=20.0 * n)) for n in range(6)]
    assert answered == [[], [], [], [0], [1], [2]]


def test_a_flush_answers_everything_with_the_lookahead_there_is() -> None:
    b = bench(lookahead_ms=500.0)
    for n in range(4):
        b.feed(HERE, seq=n, at_ms=20.0 * n)
    found = b.flush(80.0)
    assert seqs(found) == [0, 1, 2, 3]
    assert [message.win.lookahead_ns // 1_000_000 for message in found] == [60, 40, 20, 0]


def test_streams_are_answered_together_and_each_ones_oldest_first() -> None:
    b = bench(lookahead_ms=30.0)
    for n in range(4):
        b.receive(HERE, seq=n, at_ms=20.0 * n)
        b.receive(THERE, seq=n, at_ms=20.0 * n, camera="cam1")
        b.step(20.0 * n)
    found = b.flush(80.0)
    for camera in ("cam0", "cam1"):
        assert seqs([message for message in found if message.camera == camera]) == [2, 3]


def test_a_failing_backend_costs_its_frames_and_the_next_ones_are_answered() -> None:
    b = bench(lookahead_ms=0.0)
    assert seqs(b.feed(HERE, seq=0, at_ms=0.0)) == [0]
    b.backend.failing = True
    assert b.feed(HERE, seq=1, at_ms=20.0) == []
    assert b.counter("backend_errors") >= 1
    b.backend.failing = False
    assert seqs(b.feed(HERE, seq=2, at_ms=40.0)) == [2]


def test_a_message_that_cannot_be_sent_is_counted_and_costs_only_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    b, encode = bench(lookahead_ms=0.0), responder.encode_pose

    def refusing(message: PoseMessage) -> list[bytes]:
        if message.src.seq == 1:
            raise MessageError("too_large", "a message of 2 MiB")
        return encode(message)

    monkeypatch.setattr(responder, "encode_pose", refusing)
    assert [seqs(b.feed(HERE, seq=n, at_ms=20.0 * n)) for n in range(3)] == [[0], [], [2]]
    assert b.counter("unsendable") == 1
    assert (b.counter("frames"), b.counter("poses")) == (3, 2)


def test_poses_are_counted_by_person() -> None:
    b = bench(lookahead_ms=0.0)
    (message,) = b.feed(HERE, THERE, seq=0, at_ms=0.0)
    assert (b.counter("frames"), b.counter("poses")) == (1, 2)
    assert np.isfinite(message.poses).all()


def test_a_pose_names_the_assignment_of_its_frame() -> None:
    test, person = bench(), person_px((0, 0, 4))
    (assigned,) = test.feed(person, seq=0, at_ms=0, via=Via(12))
    assert assigned.via == 12
    (own,) = test.feed(person, seq=1, at_ms=20)
    assert own.via is None
