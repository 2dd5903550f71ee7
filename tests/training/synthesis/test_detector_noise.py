"""The detector's noise against the measured tables it stands for."""

from dataclasses import replace

import numpy as np
import pytest

from training.synthesis.detector_noise import BURST_SHARE, NoiseConfig, detect

Rng = np.random.Generator

CLIPS, FRAMES, HZ = 250, 150, 50
STATURE_PX = 400.0

PLAIN = NoiseConfig(strongest=2.0, clean=0.0, swap_share=0.0)


@pytest.fixture
def truth_px(standing_pose: np.ndarray) -> np.ndarray:
    flat = standing_pose[:, [1, 2]] * [1, -1] * STATURE_PX / 1.7 + 500
    return np.broadcast_to(flat.astype(np.float32), (CLIPS, FRAMES, 17, 2)).copy()


def found(
    rng: Rng, truth_px: np.ndarray, config: NoiseConfig, hz: float = HZ
) -> tuple[np.ndarray, np.ndarray]:
    """Error in statures, and scores."""
    clips, frames = truth_px.shape[:2]
    time_ns = np.tile((np.arange(frames) * 1e9 / hz).astype(np.int64), (clips, 1))
    stature_px = np.full((clips, frames), STATURE_PX, np.float32)
    in_view = np.ones((clips, frames, 17), bool)
    seen = detect(rng, truth_px, stature_px, in_view, time_ns, config=config)
    return (seen.joints_px - truth_px) / STATURE_PX, seen.scores


def robust_sd(values: np.ndarray) -> float:
    return float(1.48 * np.median(np.abs(values - np.median(values))))


def test_jitter_has_the_measured_size_and_correlation(rng: Rng, truth_px: np.ndarray) -> None:
    error, _ = found(rng, truth_px, PLAIN)
    moving = error - np.median(error, axis=1, keepdims=True)
    for joint in (2, 8, 12, 16):
        assert 0.005 < robust_sd(moving[:, :, joint]) < 0.014
    knee = np.clip(moving[:, :, 2], -0.05, 0.05)
    lag_1 = (knee[:, 1:] * knee[:, :-1]).sum() / np.square(knee).sum()
    assert 0.65 < lag_1 < 0.9


def test_clips_have_offsets_larger_for_hips_neck_nose_and_head(
    rng: Rng, truth_px: np.ndarray
) -> None:
    error, _ = found(rng, truth_px, PLAIN)
    offset = np.median(error, axis=1)
    spread = np.array([robust_sd(offset[:, joint]) for joint in range(17)])
    assert spread[[0, 8, 9, 10]].min() > 1.3 * spread[[3, 12, 13]].max()
    assert 0.006 < spread[13] < 0.014
    assert 0.013 < spread[0] < 0.03
    together = np.corrcoef(offset[:, 1, 0], offset[:, 4, 0])[0, 1]
    assert together > 0.4


def test_tails_are_heaviest_at_wrists_and_head(rng: Rng, truth_px: np.ndarray) -> None:
    error, _ = found(rng, truth_px, PLAIN)
    error = error - np.median(error, axis=1, keepdims=True)
    away = (np.linalg.norm(error, axis=-1) > 0.06).mean((0, 1))
    assert 0.02 < away[[13, 16]].mean() < 0.12
    assert 0.01 < away[[3, 6]].mean() < 0.08
    assert away[8] < away[13] / 2
    assert BURST_SHARE[13] == max(BURST_SHARE)


def test_scores_mostly_tell_but_not_always(rng: Rng, truth_px: np.ndarray) -> None:
    error, scores = found(rng, truth_px, PLAIN)
    far = np.linalg.norm(error, axis=-1) > 0.08
    reported = scores > 0
    assert scores.min() >= 0
    assert scores.max() <= 1
    assert scores[far].mean() < 0.7 * scores[~far & reported].mean()
    lying = (scores[far] > 0.7).mean()
    assert 0.1 < lying < 0.5
    silent = (scores[reported].reshape(-1) == 1).mean()
    assert silent > 0.05


def test_clean_clips_have_exact_pixels(rng: Rng, truth_px: np.ndarray) -> None:
    error, _ = found(rng, truth_px, NoiseConfig(clean=0.4))
    exact = (error == 0).all((1, 2, 3))
    assert exact.mean() == pytest.approx(0.4, abs=0.1)


def test_limbs_are_swapped_for_the_asked_share_of_the_time(rng: Rng, truth_px: np.ndarray) -> None:
    quiet = NoiseConfig(strongest=2.0, clean=0.0, swap_share=0.02)
    error, _ = found(rng, truth_px, quiet)
    apart = (truth_px[0, 0, 6] - truth_px[0, 0, 3]) / STATURE_PX
    right, left = error[:, :, 3] - apart, error[:, :, 6] + apart
    swapped = (np.linalg.norm(right, axis=-1) < 0.05) & (np.linalg.norm(left, axis=-1) < 0.05)
    assert 0.02 < swapped.mean() < 0.07


def test_joints_outside_the_image_lose_their_score(rng: Rng, truth_px: np.ndarray) -> None:
    time_ns = np.tile(np.arange(FRAMES) * 20_000_000, (CLIPS, 1))
    stature_px = np.full((CLIPS, FRAMES), STATURE_PX, np.float32)
    in_view = np.ones((CLIPS, FRAMES, 17), bool)
    in_view[:, :, 3] = False
    scores = detect(rng, truth_px, stature_px, in_view, time_ns, config=PLAIN).scores
    assert scores[:, :, 3].max() <= 0.3
    assert (scores[:, :, 3] == 0).mean() == pytest.approx(0.75, abs=0.1)
    assert (scores[:, :, 2] == 0).mean() < 0.2


def test_every_part_of_the_noise_can_be_left_out(rng: Rng, truth_px: np.ndarray) -> None:
    kept, _ = found(rng, truth_px, replace(PLAIN, offsets=0.0))
    assert robust_sd(np.median(kept, axis=1)) < 0.004
    kept, usual = (found(rng, truth_px, replace(PLAIN, bursts=many))[0] for many in (0.0, 1.0))
    far = [
        np.linalg.norm(e[:, :, 13] - np.median(e[:, :, 13]), axis=-1) > 0.12 for e in (kept, usual)
    ]
    assert far[0].mean() < far[1].mean() / 5
    kept, _ = found(rng, truth_px, replace(PLAIN, correlated=False, bursts=0.0))
    knee = kept[:, :, 2] - kept[:, :, 2].mean(1, keepdims=True)
    assert abs((knee[:, 1:] * knee[:, :-1]).sum() / np.square(knee).sum()) < 0.05
