"""Snapshots of counters and streams."""

from langpose_rt.monitoring.counters import Stats
from langpose_rt.monitoring.snapshot import ServerState, Snapshot
from langpose_rt.pipeline.camera_lookup import CameraLookup
from langpose_rt.pipeline.camera_stream import Stream
from langpose_rt.pipeline.frame_queue import FrameQueue
from langpose_rt.pipeline.slots import SlotTable
from langpose_rt.protocol.messages import ModelStamp
from tests.fakes import MS, FakeBackend, keypoint_message


def snapshot(stats: Stats, streams: list[Stream], now_ns: int = 0) -> Snapshot:
    state = ServerState(
        server="srv",
        state="ready",
        uptime_s=1.5,
        model=ModelStamp(id="fake"),
        persons=2,
        slots=8,
        fps=60.0,
    )
    return Snapshot.of(state, stats, [stream.snapshot(now_ns) for stream in streams])


def empty_snapshot() -> Snapshot:
    return snapshot(Stats(), [])


def test_a_snapshot_says_what_was_counted_and_what_streams_lost() -> None:
    frame_queue = FrameQueue(CameraLookup({}), 50 * MS)
    for seq in (0, 2, 2):
        frame_queue.push(keypoint_message(seq=seq, epoch=9, t_ms=1000), 3000 * MS)
    stream = Stream(
        "rig0", "cam0", frame_queue, SlotTable(FakeBackend()), track_timeout_s=1.0, first_seq=0
    )
    stats = Stats(messages=3, gap=10)
    stats.latency.add(4 * MS)
    stats.reject("bad_topic")
    found = snapshot(stats, [stream], 3500 * MS)
    assert found.counters["gap"] == 11
    assert found.counters["dup"] == 1
    assert found.rejected == {"bad_topic": 1}
    assert (found.p50_ms, found.p99_ms, found.latency_total_ns) == (4, 4, 4 * MS)
    (one,) = found.streams
    assert (one.rig, one.camera, one.epoch, one.waiting, one.persons) == ("rig0", "cam0", 9, 2, 0)
    assert one.offset_ns == 2000 * MS
    assert one.heard_ago_s == 0.5
    assert one.totals["accepted"] == 2


def test_a_snapshot_is_not_changed_by_what_comes_after() -> None:
    stats = Stats()
    before = snapshot(stats, [])
    stats.reject("bad_topic")
    stats.latency.add(1)
    assert before.rejected == {}
    assert sum(before.buckets) == 0
