"""Ingest: many streams, one lock, and nothing lost without a counter."""

import sys
import threading
from dataclasses import replace

import numpy as np
import pytest

from langpose_rt.geometry.camera import Camera, Intrinsics
from langpose_rt.monitoring.announcer import Announcer
from langpose_rt.monitoring.counters import Stats
from langpose_rt.pipeline.camera_lookup import CameraLookup
from langpose_rt.pipeline.camera_stream import Stream
from langpose_rt.pipeline.config import PipelineConfig
from langpose_rt.pipeline.frame_queue import FrameQueue
from langpose_rt.pipeline.ingest import TOO_MANY_STREAMS, Ingest
from langpose_rt.pipeline.slots import SlotTable
from langpose_rt.protocol.messages import Event, decode_status
from tests.fakes import MS, FakeBackend, keypoint_parts, person_px

PERSON = person_px((0, 0, 4))


def ingest(
    stats: Stats,
    announcer: Announcer | None = None,
    lookup: CameraLookup | None = None,
    **options: object,
) -> Ingest:
    persons = SlotTable(FakeBackend())

    def new_stream(rig: str, camera: str, frame_queue: FrameQueue, first_seq: int) -> Stream:
        return Stream(rig, camera, frame_queue, persons, track_timeout_s=1.0, first_seq=first_seq)

    return Ingest(
        PipelineConfig(**options),  # type: ignore[arg-type]
        lookup or CameraLookup({}),
        1,
        stats=stats,
        announcer=announcer or Announcer("srv", 1),
        new_stream=new_stream,
    )


def test_a_step_takes_the_oldest_frame_of_every_stream_that_has_one() -> None:
    desk = ingest(Stats())
    for rig, seq in (("a", 0), ("a", 1), ("b", 7)):
        assert desk.receive(keypoint_parts(PERSON, rig=rig, seq=seq), 0)
    rounds = [[(s.rig, frame.message.seq) for s, frame in desk.take(0)] for _ in range(3)]
    assert rounds == [[("a", 0), ("b", 7)], [("a", 1)], []]
    assert not desk.waiting


def test_a_stream_that_comes_back_begins_above_every_number_it_can_have_had() -> None:
    desk = ingest(Stats(), idle_s=1.0)
    assert not desk.receive([b"nonsense"], 0)
    for seq in range(3):
        assert desk.receive(keypoint_parts(PERSON, seq=seq), 0)
    while desk.take(0):
        pass
    _, (gone,) = desk.silent(1001 * MS)
    assert desk.receive(keypoint_parts(PERSON, seq=3), 2000 * MS)
    (again,) = desk.streams
    assert (gone.seq, again.seq) == (1, 4)


def test_what_a_forgotten_stream_lost_stays_counted() -> None:
    stats = Stats()
    desk = ingest(stats, idle_s=1.0)
    for seq in (0, 4, 4):
        desk.receive(keypoint_parts(PERSON, seq=seq), 0)
    assert desk.silent(2000 * MS) == ([], []), "it still has frames to lift"
    while desk.take(0):
        pass
    assert desk.silent(1000 * MS) == ([], [])
    _, (gone,) = desk.silent(1001 * MS)
    assert gone.rig == "rig0"
    assert desk.streams == []
    assert (stats.gap, stats.dup) == (3, 1)


def test_a_stream_that_cannot_be_true_is_refused_counted_and_reported_once() -> None:
    stats, announcer = Stats(), Announcer("srv", 1)
    desk = ingest(stats, announcer)
    for seq in range(30):
        now_ns = 1_764_365_000_000_000_000 + seq * 16 * MS
        honest = keypoint_parts(PERSON, rig="honest", seq=seq, t_ms=16 * seq)
        wrong = keypoint_parts(PERSON, rig="wrong", seq=seq, t_ms=16 * seq / 1e6)  # milliseconds
        assert desk.receive(honest, now_ns)
        assert desk.receive(wrong, now_ns) == (seq < 3)
    assert stats.rejected == {"bad_clock": 27}
    events = [decode_status(parts) for parts in announcer.events(0)]
    suspects = [event for event in events if isinstance(event, Event) and event.kind == "suspect"]
    assert [(event.subject, event.reason, event.count) for event in suspects] == [
        ("kp2d/wrong/cam0/", "bad_clock", 1)
    ]
    assert "they look like milliseconds" in suspects[0].detail


UP = (0.0, -1.0, 0.0)
LENS = Intrinsics.from_fov(1280, 720, 60)


@pytest.mark.parametrize(
    ("lookup", "told"),
    [
        (CameraLookup({}, gravity=UP), ["gravity_up"]),
        (
            CameraLookup({"cam0": Camera(name="cam0", intrinsics=LENS, gravity=np.array(UP))}),
            ["gravity_up"],
        ),
        (CameraLookup({}, gravity=(0.0, 1.0, 0.0)), []),
        (CameraLookup({}), []),
    ],
    ids=["options", "calibration", "down", "unknown"],
)
def test_gravity_of_the_options_and_of_a_calibration_is_judged_too(
    lookup: CameraLookup, told: list[str]
) -> None:
    stats, announcer = Stats(), Announcer("srv", 1)
    desk = ingest(stats, announcer, lookup)
    for seq in range(9):
        assert desk.receive(keypoint_parts(PERSON, seq=seq, t_ms=16 * seq), seq * 16 * MS)
    events = [decode_status(parts) for parts in announcer.events(0)]
    reasons = [event.reason for event in events if isinstance(event, Event)]
    assert [reason for reason in reasons if reason != "assumed_intrinsics"] == told


def test_gravity_of_another_calibration_is_judged() -> None:
    stats, announcer = Stats(), Announcer("srv", 1)
    cameras = {"cam0": Camera(name="cam0", intrinsics=LENS)}
    desk = ingest(stats, announcer, CameraLookup(cameras))
    for seq in range(70):
        if seq == 5:
            desk.use_cameras({"cam0": replace(cameras["cam0"], gravity=np.array(UP))}, "use", 0)
        assert desk.receive(keypoint_parts(PERSON, seq=seq, t_ms=16 * seq), seq * 16 * MS)
    events = [decode_status(parts) for parts in announcer.events(0)]
    assert [event.reason for event in events if isinstance(event, Event)] == ["gravity_up"]


def test_a_stream_that_is_refused_stays_known_with_the_reason_until_it_is_silent() -> None:
    stats, announcer = Stats(), Announcer("srv", 1)
    desk = ingest(stats, announcer)
    huge = PERSON * np.array([3, 3, 1], np.float32)
    for seq in range(60):
        now_ns = seq * 1_000 * MS
        assert not desk.receive(keypoint_parts(huge, seq=seq, t_ms=1_000 * seq), now_ns)
        assert desk.silent(now_ns) == ([], [])
    (stream,) = desk.streams
    assert list(stream.snapshot(0).suspects) == ["wrong_size"]
    kinds = [decode_status(parts).kind for parts in announcer.events(0)]  # type: ignore[union-attr]
    assert sorted(kinds) == ["reject", "suspect"]
    assert desk.silent(3_600_000 * MS)[1] == [stream]


def test_frames_that_arrive_while_others_are_taken_are_neither_lost_nor_doubled() -> None:
    frames, rigs = 5, 150
    options = {"max_wait_ms": 10_000.0, "max_streams": rigs}
    desk, taken, done = ingest(Stats(), **options), [], threading.Event()

    def lift() -> None:
        while not done.is_set() or desk.waiting:
            taken.extend((stream.rig, frame.message.seq) for stream, frame in desk.take(0))

    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    thread = threading.Thread(target=lift)
    thread.start()
    try:
        for rig in range(rigs):
            for seq in range(frames):
                desk.receive(keypoint_parts(rig=f"rig{rig}", seq=seq), 0)
    finally:
        done.set()
        thread.join()
        sys.setswitchinterval(interval_s)
    shed = {stream.rig: stream.frame_queue.totals["shed"] for stream in desk.streams}
    for rig in range(rigs):
        own = [seq for name, seq in taken if name == f"rig{rig}"]
        assert own == sorted(set(own))
        assert len(own) + shed[f"rig{rig}"] == frames


def test_cameras_are_shared_evenly_over_rigs() -> None:
    stats, announcer = Stats(), Announcer("srv", 1)
    desk = ingest(stats, announcer, max_streams=4)
    for camera in range(6):
        desk.receive(keypoint_parts(PERSON, rig="many", camera=f"cam{camera}"), camera)
    assert stats.rejected == {TOO_MANY_STREAMS: 2}
    assert desk.receive(keypoint_parts(PERSON, rig="honest", camera="a"), 10)
    assert desk.receive(keypoint_parts(PERSON, rig="honest", camera="b"), 11)
    assert not desk.receive(keypoint_parts(PERSON, rig="honest", camera="c"), 12)
    assert not desk.receive(keypoint_parts(PERSON, rig="many", camera="cam0", seq=1), 13)
    assert sorted((stream.rig, stream.camera) for stream in desk.streams) == [
        ("honest", "a"), ("honest", "b"), ("many", "cam2"), ("many", "cam3"),
    ]  # fmt: skip
    _, removed = desk.silent(20)
    assert sorted(stream.camera for stream in removed) == ["cam0", "cam1"]
    assert stats.shed == 2, "the frames that waited are counted"
    details = [event.detail for event in map(decode_status, announcer.events(30))]
    assert any("evenly over rigs" in detail and "--max-streams" in detail for detail in details)


def test_a_displaced_stream_leaves_once_its_frames_are_lifted() -> None:
    desk = ingest(Stats(), max_streams=2)
    for camera in ("a", "b"):
        desk.receive(keypoint_parts(PERSON, rig="many", camera=camera), 0)
    ((stream, frame), _) = desk.take(0)
    stream.pending.append(stream.track(frame, np.zeros((0, 17, 3), np.float32), [], 0))
    desk.receive(keypoint_parts(PERSON, rig="honest"), 10)
    assert desk.silent(20) == ([stream], [])
    stream.pending.clear()
    assert desk.silent(20) == ([], [stream])
    assert desk.silent(20) == ([], [])


def test_world_axes_that_a_camera_cannot_have_are_reported_once() -> None:
    announcer = Announcer("srv", 1)
    desk = ingest(Stats(), announcer, axes="world")
    for seq in range(3):
        assert desk.receive(keypoint_parts(PERSON, seq=seq), 0)
    events = [decode_status(parts) for parts in announcer.events(0)]
    found = [event for event in events if isinstance(event, Event) and event.kind == "camera"]
    assert [event.reason for event in found] == ["assumed_intrinsics", "no_world_axes"]
    assert '--axes world needs the place of camera "cam0", and the calibration has none' in (
        found[1].detail
    )


def test_only_the_front_of_a_cluster_publishes_as_every_rig() -> None:
    stats = Stats()
    desk = ingest(stats, front="front")
    assert desk.receive(keypoint_parts(PERSON, rig="a"), 0, "front")
    assert desk.receive(keypoint_parts(PERSON, rig="b"), 0, "b")
    assert not desk.receive(keypoint_parts(PERSON, rig="b", seq=1), 0, "a")
    assert stats.rejected == {"spoofed_rig": 1}
    assert not ingest(stats).receive(keypoint_parts(PERSON, rig="a"), 0, "front")
