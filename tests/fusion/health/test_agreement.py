import numpy as np

from langpose_rt.fusion.camera_array import CameraArray
from langpose_rt.fusion.health.agreement import (
    PATIENCE_NS,
    Agreement,
    Support,
    agreement_finding,
    support,
)
from langpose_rt.fusion.triangulation import Triangulated
from tests.fusion.rigs import body, ring

STEP_NS = 100_000_000
CAMERAS = CameraArray.of_cameras(ring(4))
TRUNK = [0, 1, 4, 7, 8, 11, 14]


def support_of(match: list[int], miss_m: float = 0.005, watching: int = 4) -> Support:
    """One person in the middle, whose views are all off by the same distance."""
    there = np.array(match)[None] >= 0
    shape = (1, 4, 17)
    seen = np.broadcast_to(there[..., None], shape)
    fused = Triangulated(
        joints=body()[None],
        covariance_m2=np.zeros((1, 17, 3, 3)),
        used=seen.copy(),
        miss_m=np.where(seen, miss_m, np.nan),
        residual_px=np.ones((1, 17)),
    )
    awake = np.arange(4) < watching
    usual_m, trunk = np.full((1, 4), 0.02), body()[None, TRUNK]
    return support(np.array(match)[None], usual_m, fused, trunk, awake, cameras=CAMERAS)


def first_report_ns(agreement: Agreement, fitting: int, watching: int = 2) -> int | None:
    for step in range(200):
        if agreement.observe(step * STEP_NS, Support(watching, 4, fitting)):
            return step * STEP_NS
    return None


def test_views_that_meet_fit() -> None:
    assert support_of([0, 1, 2, 3]) == Support(4, 4, 4)


def test_a_camera_that_looks_there_and_sees_somebody_else_does_not_fit() -> None:
    assert support_of([0, 1, -1, -1]) == Support(4, 4, 2)


def test_a_camera_that_sees_nobody_at_all_does_not_count() -> None:
    assert support_of([0, 1, -1, -1], watching=2) == Support(2, 2, 2)


def test_views_far_off_and_a_view_alone_do_not_fit() -> None:
    assert support_of([0, 1, 2, 3], miss_m=0.06).fitting == 0
    assert support_of([0, -1, -1, -1]).fitting == 0


def test_cameras_that_agree_are_left_alone() -> None:
    assert first_report_ns(Agreement(), fitting=4) is None
    assert first_report_ns(Agreement(), fitting=2) is None


def test_cameras_that_never_agree_are_reported_once_and_not_at_once() -> None:
    agreement = Agreement()
    found = first_report_ns(agreement, fitting=0)
    assert found is not None
    assert PATIENCE_NS <= found < 2 * PATIENCE_NS
    assert not any(
        agreement.observe(found + step * STEP_NS, Support(2, 4, 0)) for step in range(1, 100)
    )


def test_a_chance_meeting_now_and_then_is_no_agreement() -> None:
    agreement = Agreement()
    events = [
        event
        for step in range(100)
        for event in agreement.observe(step * STEP_NS, Support(3, 8, 2 + 2 * (step % 2)))
    ]
    assert [event.kind for event in events] == ["no_agreement"]
    assert "3 cameras see people and do not agree where" in events[0].detail


def test_agreement_holds_until_most_views_do_not_fit() -> None:
    agreement = Agreement()
    assert agreement.holds
    for step in range(40):
        agreement.observe(step * STEP_NS, Support(3, 8, 0))
    assert not agreement.holds


def test_one_camera_alone_has_nobody_to_agree_with() -> None:
    assert first_report_ns(Agreement(), fitting=0, watching=1) is None


def test_a_second_disagreement_is_reported_again() -> None:
    agreement, reports = Agreement(), 0
    for step in range(240):
        fitting = 4 if 80 <= step < 160 else 0
        reports += len(agreement.observe(step * STEP_NS, Support(2, 4, fitting)))
    assert reports == 2


def test_a_pause_is_no_disagreement() -> None:
    agreement = Agreement()
    assert not agreement.observe(0, Support(2, 4, 0))
    assert not agreement.observe(100 * PATIENCE_NS, Support(2, 4, 0))


def test_cameras_that_see_people_and_share_none_are_told() -> None:
    ids = np.array([[0, 1], [0, 1], [0, -1]])
    apart = np.array([[[1, 1], [2, 0]], [[1, 1], [2, 2]], [[1, 1], [0, 0]]], np.uint32)
    found = agreement_finding(apart, ids)
    assert found is not None
    assert not found.impossible
    assert "0% of the poses" in found.detail
    together = np.array([[[3, 1], [0, 0]], [[3, 1], [2, 0]], [[1, 1], [0, 0]]], np.uint32)
    assert agreement_finding(together, ids) is None
    assert agreement_finding(np.full((3, 2, 2), 4, np.uint32), ids) is None, "one camera sees them"
