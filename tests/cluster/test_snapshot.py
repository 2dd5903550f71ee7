"""Snapshots of several lifters as one."""

from langpose_rt.cluster.snapshot import LifterState, merged_snapshot
from langpose_rt.monitoring.counters import EDGES_MS
from langpose_rt.monitoring.snapshot import Snapshot
from tests.fakes import MS, person_px
from tests.pipeline.bench import bench


def snapshot_of(rig: str, frames: int) -> Snapshot:
    test = bench()
    for seq in range(frames):
        test.feed(person_px((0, 0, 4)), rig=rig, seq=seq, at_ms=20 * seq)
    return test.pipeline.snapshot(20 * frames * MS)


def merged(snapshots: dict[str, Snapshot], owner: str = "a") -> Snapshot:
    return merged_snapshot(
        {"server": "cluster", "state": "ready", "uptime_s": 3.0},
        snapshots,
        [LifterState(lifter=name, state="ready") for name in snapshots],
        owner=lambda rig, _: owner if rig == "both" else {"x": "a", "y": "b"}[rig],
        counts={"front_frames": 9},
        rejected={"bad_topic": 2},
    )


def test_counters_buckets_and_slots_are_added() -> None:
    now = merged({"a": snapshot_of("x", 3), "b": snapshot_of("y", 5)})
    assert (now.server, now.state, now.uptime_s) == ("cluster", "ready", 3.0)
    assert now.counters["frames"] == 8
    assert now.counters["front_frames"] == 9
    assert now.rejected == {"bad_topic": 2}
    assert (now.slots, now.persons) == (16, 2)
    assert sum(now.buckets) == 8
    assert now.model.id == "fake"


def test_of_a_stream_at_two_lifters_only_the_owners_view_is_shown() -> None:
    now = merged({"a": snapshot_of("both", 3), "b": snapshot_of("both", 5)}, owner="b")
    (stream,) = now.streams
    assert stream.totals["accepted"] == 5
    assert now.counters["frames"] == 8


def test_a_cluster_without_lifters_has_a_snapshot_too() -> None:
    now = merged({})
    assert (now.slots, now.streams, now.model.id) == (0, (), "none")
    assert now.buckets == (0,) * (len(EDGES_MS) + 1)
