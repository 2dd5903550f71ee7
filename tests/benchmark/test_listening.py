"""Statistics of a listener's messages; receiving them is tested in tests/end_to_end."""

import math
from dataclasses import replace

import pytest

from langpose_rt.benchmark.listening import Listener, latency_summary
from langpose_rt.protocol.messages import Latency
from tests.protocol.samples import pose_sample

MS = 1_000_000


def messages(*added_ms: float) -> list:
    parts = [round(ms * MS / 5) for ms in added_ms]
    return [replace(pose_sample(2), lat=Latency(rx=p, win=p, lift=p, post=p, tx=p)) for p in parts]


def test_latency_is_all_stages_together() -> None:
    summary = latency_summary(messages(*range(1, 102)))
    assert summary.frames == 101
    assert summary.p50_ms == pytest.approx(51)
    assert summary.p95_ms == pytest.approx(96)
    assert summary.p99_ms == pytest.approx(100)


def test_no_messages_have_no_latency() -> None:
    assert math.isnan(latency_summary([]).p50_ms)


def test_the_first_second_does_not_count() -> None:
    listener = Listener("", messages=messages(500, 400, 2, 4), arrived_s=[7.0, 7.9, 8.0, 9.0])
    assert listener.latency().p50_ms == pytest.approx(3)
    assert listener.latency(skip_s=0.0).p50_ms == pytest.approx(202)


def test_poses_per_second_counts_people_over_the_time_between() -> None:
    listener = Listener("", messages=messages(1, 1, 1), arrived_s=[5.0, 5.5, 6.0])
    assert listener.poses_per_s() == pytest.approx(4)
    assert Listener("").poses_per_s() == 0
