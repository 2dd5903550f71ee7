"""The published protocols, on videos whose scores can be worked out by hand."""

import numpy as np
import pytest

from langpose_rt.geometry.skeleton import PAIRS
from training.data.screen_videos import ScreenVideo
from training.evaluation.protocols import JOINTS_3DHP, flipped, protocol_scores

T = 8


def video(frames: int, seed: int, action: str = "Walking", **changes: object) -> ScreenVideo:
    """Rows hold the answer itself, so that a test's model can cheat by a known amount."""
    rng = np.random.default_rng(seed)
    target = rng.standard_normal((frames, 17, 3)).astype(np.float32) * 0.3
    target -= target[:, :1]
    fields = {
        "name": action, "action": action, "fps": 50.0, "rows": target, "target": target,
        "mm_per_unit": np.full(frames, 500, np.float32), "truth_mm": target * 500,
        "valid": np.ones(frames, bool),
    }  # fmt: skip
    return ScreenVideo(**(fields | changes))


def knows(rows: np.ndarray) -> np.ndarray:
    return rows


def off_by(mm: float, joints: tuple[int, ...] = tuple(range(1, 17))):
    def lift(rows: np.ndarray) -> np.ndarray:
        found = rows.copy()
        found[:, :, list(joints), 0] += mm / 500
        return found

    return lift


@pytest.mark.parametrize("convention", ["h36m-motionbert", "h36m-videopose3d"])
def test_the_root_counts_as_a_joint_without_error_and_actions_count_alike(convention: str) -> None:
    videos = [video(3 * T, 0, "Walking"), video(T, 1, "Sitting"), video(T, 2, "Sitting")]
    table = protocol_scores(convention, videos, off_by(17.0), T)
    assert table["Walking"]["P1"] == pytest.approx(16.0, rel=1e-4)
    assert table["mean of actions"]["P1"] == pytest.approx(16.0, rel=1e-4)
    perfect = protocol_scores(convention, videos, knows, T)["mean of actions"]
    assert perfect["P1"] == pytest.approx(0, abs=1e-3)
    assert perfect["P2"] == pytest.approx(0, abs=1e-3)


def test_procrustes_forgives_size_and_turn_and_mpjpe_does_not() -> None:
    def doubled(rows: np.ndarray) -> np.ndarray:
        return 2 * rows[..., [1, 2, 0]]

    row = protocol_scores("h36m-videopose3d", [video(T, 0)], doubled, T)["Walking"]
    assert row["P1"] > 100
    assert row["P2"] == pytest.approx(0, abs=1e-2)


def wrong_after(first: int, mm: float, rows_of: ScreenVideo):
    """A model that is off in frames from `first` on, known by their rows."""
    late = {row.tobytes() for row in rows_of.rows[first:]}

    def lift(rows: np.ndarray) -> np.ndarray:
        found = rows.copy()
        for clip, frame in np.ndindex(rows.shape[:2]):
            if rows[clip, frame].tobytes() in late:
                found[clip, frame, 1:, 0] += mm / 500
        return found

    return lift


def test_motionbert_drops_the_rest_of_a_video_and_videopose3d_does_not() -> None:
    one = video(2 * T + 3, 0)
    lift = wrong_after(2 * T, 17.0, one)
    dropped = protocol_scores("h36m-motionbert", [one], lift, T)["Walking"]["P1"]
    kept = protocol_scores("h36m-videopose3d", [one], lift, T)["Walking"]["P1"]
    assert dropped == pytest.approx(0, abs=1e-3)
    assert kept == pytest.approx(16.0 * 3 / (2 * T + 3), rel=1e-3)


@pytest.mark.parametrize("convention", ["h36m-motionbert", "h36m-videopose3d"])
def test_a_video_shorter_than_a_clip_counts_every_frame_once(convention: str) -> None:
    one = video(5, 0)
    lift = wrong_after(4, 17.0, one)
    row = protocol_scores(convention, [one], lift, T)["Walking"]
    assert row["P1"] == pytest.approx(16.0 / 5, rel=1e-3)


def test_3dhp_counts_valid_frames_and_names_both_averages() -> None:
    valid = np.arange(10) < 4
    videos = [video(10, 0, "TS1", valid=valid), video(12, 1, "TS2")]
    lift = off_by(200.0, joints=(3,))
    table = protocol_scores("mpi-inf-3dhp", videos, lift, 5)
    assert table["TS1"]["MPJPE"] == pytest.approx(200 / 17, rel=1e-4)
    assert table["TS1"]["PCK"] == pytest.approx(100 * 13 / 14, rel=1e-4)
    halves = [
        video(10, 0, "TS1", valid=valid),
        video(12, 1, "TS2", truth_mm=videos[1].truth_mm + 1),
    ]
    table = protocol_scores("mpi-inf-3dhp", halves, knows, 5)
    ours, theirs = table["TS1"]["MPJPE"], table["TS2"]["MPJPE"]
    over_frames = (4 * ours + 12 * theirs) / 16
    assert table["mean over frames"]["MPJPE"] == pytest.approx(over_frames, rel=1e-5)
    assert table["mean over sequences"]["MPJPE"] == pytest.approx((ours + theirs) / 2, rel=1e-5)


def test_3dhp_answers_with_the_middle_of_each_frames_own_window() -> None:
    def middle_only(rows: np.ndarray) -> np.ndarray:
        found = np.zeros_like(rows)
        found[:, 2] = rows[:, 2]
        return found

    row = protocol_scores("mpi-inf-3dhp", [video(6, 0, "TS1")], middle_only, 5)["TS1"]
    assert row["MPJPE"] == pytest.approx(0, abs=1e-3)


def test_auc_is_the_mean_over_31_thresholds_and_zero_counts_as_none() -> None:
    row = protocol_scores("mpi-inf-3dhp", [video(6, 0, "TS1")], off_by(72.5), 5)["TS1"]
    within = sum(threshold > 72.5 for threshold in range(0, 151, 5))
    assert row["AUC"] == pytest.approx(100 * within / 31, rel=1e-4)
    assert len(JOINTS_3DHP) == 14


def test_flipping_averages_with_the_mirror_image() -> None:
    rows = video(T, 0).rows[None]
    np.testing.assert_allclose(flipped(knows)(rows), rows, atol=1e-6)

    def leans(rows: np.ndarray) -> np.ndarray:
        return rows + np.array([0.1, 0, 0], np.float32)

    np.testing.assert_allclose(flipped(leans)(rows), rows, atol=1e-6)

    def left_only(rows: np.ndarray) -> np.ndarray:
        found = rows.copy()
        found[:, :, [left for left, _ in PAIRS], 1] += 0.1
        return found

    both = flipped(left_only)(rows) - rows
    np.testing.assert_allclose(both[:, :, list(np.ravel(PAIRS)), 1], 0.05, atol=1e-6)
