"""Verdicts of the self-test; the self-test itself runs in test_doctor.py."""

from types import SimpleNamespace

import numpy as np
import pytest

from langpose_rt.benchmark.listening import LatencySummary
from langpose_rt.cli.doctor.self_test import verdict_of, worst_mm
from langpose_rt.formats.lifted_npz import PoseSequence


@pytest.mark.parametrize(
    ("answered", "off_mm", "p95_ms", "verdict"),
    [
        (100, 0.0, 4.0, "ok"),
        (99, 0.0, 4.0, "warn"),
        (100, 0.0, 50.0, "warn"),
        (100, 5.0, 4.0, "fail"),
        (0, 0.0, float("nan"), "fail"),
    ],
)
def test_a_verdict_is_of_answers_time_and_parity(
    answered: int, off_mm: float, p95_ms: float, verdict: str
) -> None:
    latency = LatencySummary(frames=answered, p50_ms=3.0, p95_ms=p95_ms, p99_ms=p95_ms)
    found = verdict_of(100, answered, off_mm, latency)
    assert found.verdict == verdict
    assert (found.advice == "") == (verdict == "ok")


def test_the_worst_joint_of_all_frames_counts() -> None:
    lifted = PoseSequence.empty(np.arange(3, dtype=np.int64), 1)
    lifted.pose[:2] = 0.0
    live = np.zeros((1, 17, 4), np.float32)
    moved = live.copy()
    moved[0, 5, :3] = (0.003, 0.0, 0.004)
    messages = [
        SimpleNamespace(src=SimpleNamespace(seq=seq), ids=np.zeros(1, np.int64), poses=poses)
        for seq, poses in enumerate((live, moved, moved))
    ]
    assert worst_mm(messages, lifted) == pytest.approx(5.0)  # type: ignore[arg-type]
