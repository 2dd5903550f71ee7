from langpose_rt.pipeline.volumes.agreement import PATIENCE_NS, Agreement

STEP_NS = 16_000_000


def first_report_ns(agreement: Agreement, agreed: bool, watching: int = 2) -> int | None:
    for step in range(1000):
        if agreement.observe(step * STEP_NS, watching, agreed=agreed):
            return step * STEP_NS
    return None


def test_cameras_that_agree_are_left_alone() -> None:
    assert first_report_ns(Agreement(), agreed=True) is None


def test_cameras_that_never_agree_are_reported_once_and_not_at_once() -> None:
    agreement = Agreement()
    found = first_report_ns(agreement, agreed=False)
    assert found is not None
    assert PATIENCE_NS <= found < 3 * PATIENCE_NS
    assert not any(
        agreement.observe(found + step * STEP_NS, 2, agreed=False) for step in range(1, 500)
    )


def test_one_camera_alone_has_nobody_to_agree_with() -> None:
    assert first_report_ns(Agreement(), agreed=False, watching=1) is None


def test_a_second_disagreement_is_reported_again() -> None:
    agreement, reports = Agreement(), 0
    for step in range(2400):
        reports += agreement.observe(step * STEP_NS, 2, agreed=800 <= step < 1600)
    assert reports == 2


def test_a_pause_is_no_disagreement() -> None:
    agreement = Agreement()
    assert not agreement.observe(0, 2, agreed=False)
    assert not agreement.observe(100 * PATIENCE_NS, 2, agreed=False)
