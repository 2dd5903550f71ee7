import numpy as np
import pytest

from langpose_rt.fusion.camera_array import CameraArray
from langpose_rt.fusion.fused_frame import VolumeEvent
from langpose_rt.fusion.health.camera_health import CameraHealth
from tests.fusion.rigs import MS, ring

AWAKE = np.ones(3, bool)


def run(health: CameraHealth, first: int, last: int, misses: list[float]) -> list[VolumeEvent]:
    events = []
    rng = np.random.default_rng(first)
    for frame in range(first, last):
        shaken = np.array(misses) * rng.uniform(0.7, 1.3, 3)
        events += health.observe(frame * 16 * MS, shaken, AWAKE)
    return events


def health() -> CameraHealth:
    return CameraHealth(CameraArray.of_cameras(ring(3)))


def test_a_camera_that_was_moved_is_told_once_and_when_it_is_right_again() -> None:
    watch = health()
    assert run(watch, 0, 400, [0.01, 0.012, 0.015]) == []
    assert watch.usual_m()[0] == pytest.approx(0.01, rel=0.1)
    moved = run(watch, 400, 600, [0.015, 0.09, 0.02])
    assert [(e.kind, e.camera) for e in moved] == [("camera_moved", "cam1")]
    assert "camera cam1 is" in moved[0].detail
    settled = run(watch, 600, 800, [0.01, 0.012, 0.015])
    assert [(e.kind, e.camera) for e in settled] == [("camera_settled", "cam1")]


def test_a_camera_that_never_agreed_with_the_others_is_told_once_and_when_it_does() -> None:
    watch = health()
    strange = run(watch, 0, 600, [0.03, 0.3, 0.03])
    assert [(e.kind, e.camera) for e in strange] == [("no_agreement", "cam1")]
    assert "its picture mirrored" in strange[0].detail
    assert np.isnan(watch.usual_m()[1])
    settled = run(watch, 600, 900, [0.03, 0.03, 0.03])
    assert [(e.kind, e.camera) for e in settled] == [("camera_settled", "cam1")]
    assert watch.usual_m()[1] == pytest.approx(0.03, rel=0.1)


def test_where_no_two_cameras_agree_none_is_blamed() -> None:
    assert run(health(), 0, 600, [0.03, 0.3, 0.2]) == []


def test_a_short_disagreement_is_nothing() -> None:
    watch = health()
    run(watch, 0, 400, [0.01, 0.012, 0.015])
    assert run(watch, 400, 430, [0.01, 0.2, 0.015]) == []
    assert run(watch, 430, 600, [0.01, 0.012, 0.015]) == []


def test_where_nobody_is_nothing_is_told() -> None:
    assert run(health(), 0, 600, [float("nan")] * 3) == []


def test_a_camera_that_falls_asleep_and_wakes_up_is_told() -> None:
    watch, events = health(), []
    for frame in range(400):
        awake = np.array([True, True, not 100 <= frame < 300])
        events += watch.observe(frame * 16 * MS, np.full(3, 0.01), awake)
    assert [(e.kind, e.camera) for e in events] == [
        ("camera_asleep", "cam2"), ("camera_awake", "cam2"),
    ]  # fmt: skip
