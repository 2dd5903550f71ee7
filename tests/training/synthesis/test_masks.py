"""Every kind of mask at its own rate, and what a hidden joint looks like."""

from dataclasses import replace

import numpy as np
import pytest

from training.synthesis.masks import LIMB_GROUPS, MaskConfig, apply_masks, draw_masks

Rng = np.random.Generator

NOTHING = MaskConfig(
    whole=0.0, joint_rate=0.0, frame_rate=0.0, part_rate=0.0, window_share=0.0, never_share=0.0
)


@pytest.fixture
def time_ns() -> np.ndarray:
    return np.tile(np.arange(120) * 20_000_000, (1500, 1))


def test_without_rates_everything_is_seen(rng: Rng, time_ns: np.ndarray) -> None:
    assert draw_masks(rng, time_ns, NOTHING).all()


def test_single_joints_are_hidden_independently(rng: Rng, time_ns: np.ndarray) -> None:
    hidden = ~draw_masks(rng, time_ns, replace(NOTHING, joint_rate=0.2))
    assert hidden.mean() == pytest.approx(0.6 * 0.1, rel=0.15)
    assert hidden.all(-1).mean() < 1e-3


def test_frames_are_lost_whole(rng: Rng, time_ns: np.ndarray) -> None:
    hidden = ~draw_masks(rng, time_ns, replace(NOTHING, frame_rate=0.2))
    assert hidden.all(-1).mean() == pytest.approx(0.6 * 0.1, rel=0.15)
    np.testing.assert_array_equal(hidden.any(-1), hidden.all(-1))


def test_body_parts_are_hidden_together_for_a_while(rng: Rng, time_ns: np.ndarray) -> None:
    hidden = ~draw_masks(rng, time_ns, replace(NOTHING, part_rate=0.3))
    assert hidden[..., (9, 10)].any()
    np.testing.assert_array_equal(hidden[..., 9], hidden[..., 10])
    assert (hidden[..., 11] <= hidden[..., 12]).all()
    assert not hidden[..., (0, 7, 8)].any()
    runs = (hidden[:, 1:, 9] & ~hidden[:, :-1, 9]).sum()
    assert hidden[..., 9].sum() / runs > 5
    assert 0.01 < hidden[..., 9].mean() < 0.1


def test_one_time_window_hides_most_joints_once(rng: Rng, time_ns: np.ndarray) -> None:
    hidden = ~draw_masks(rng, time_ns, replace(NOTHING, window_share=0.5))
    frames = hidden.any(-1)
    assert frames.any(1).mean() == pytest.approx(0.5, abs=0.06)
    assert (frames[:, 1:] & ~frames[:, :-1]).sum(1).max() <= 1
    assert hidden[frames].mean() == pytest.approx(0.8, abs=0.05)


def test_a_limb_that_is_never_seen_is_one_of_the_groups(rng: Rng, time_ns: np.ndarray) -> None:
    hidden = ~draw_masks(rng, time_ns, replace(NOTHING, never_share=0.4))
    always, ever = hidden.all(1), hidden.any(1)
    np.testing.assert_array_equal(always, ever)
    assert ever.any(1).mean() == pytest.approx(0.4, abs=0.05)
    drawn = {tuple(np.nonzero(row)[0]) for row in ever if row.any()}
    assert drawn == {tuple(sorted(group)) for group in LIMB_GROUPS}


def test_a_share_of_clips_stays_whole(rng: Rng, time_ns: np.ndarray) -> None:
    every = replace(NOTHING, frame_rate=0.9, joint_rate=0.9, part_rate=0.9, never_share=1.0)
    seen = draw_masks(rng, time_ns, replace(every, whole=0.3))
    assert seen.all((1, 2)).mean() == pytest.approx(0.3, abs=0.05)


def test_a_hidden_joint_is_all_zero() -> None:
    joints = np.full((1, 2, 17, 2), 5, np.float32)
    scores = np.ones((1, 2, 17), np.float32)
    seen = np.ones((1, 2, 17), bool)
    seen[0, 1, 3] = False
    shown, kept = apply_masks(joints, scores, seen)
    assert (shown[0, 1, 3] == 0).all()
    assert kept[0, 1, 3] == 0
    assert (shown[0, 0] == 5).all()
    assert kept.sum() == 33
