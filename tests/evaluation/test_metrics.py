"""Metrics: against SciPy, against arithmetic by hand, and with masked joints."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import orthogonal_procrustes
from scipy.spatial import procrustes
from scipy.spatial.transform import Rotation

from langpose_rt.evaluation.metrics import (
    auc,
    best_constant_pose,
    jitter_mm,
    mpjpe_mm,
    n_mpjpe_mm,
    p_mpjpe_mm,
    pck,
    similarity_between,
    velocity_error_mm_s,
)

MEASURES = [mpjpe_mm, n_mpjpe_mm, p_mpjpe_mm, pck, auc]


def poses(frames: int = 12, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.4, (frames, 17, 3))


def noisy(target: np.ndarray, seed: int = 1) -> np.ndarray:
    return target + np.random.default_rng(seed).normal(0, 0.05, target.shape)


def laid(target: np.ndarray, seed: int = 2) -> np.ndarray:
    """The same poses, each moved, turned and scaled."""
    rng = np.random.default_rng(seed)
    turn = Rotation.from_rotvec(rng.normal(0, 2, (len(target), 3))).as_matrix()
    scale = rng.uniform(0.5, 2, (len(target), 1, 1))
    return scale * target @ turn + rng.normal(size=(len(target), 1, 3))


def test_mpjpe_is_the_mean_distance_with_roots_laid_on_each_other() -> None:
    target = poses()
    predicted = target + np.array([5.0, -3.0, 2.0])
    assert mpjpe_mm(predicted, target) == pytest.approx(0, abs=1e-9)
    predicted[:, 4] += [0.03, 0.04, 0]
    assert mpjpe_mm(predicted, target) == pytest.approx(50 / 17)
    assert mpjpe_mm(predicted, target, joints=[4]) == pytest.approx(50)


@pytest.mark.parametrize("factor", [0.3, 1.0, 4.0])
def test_n_mpjpe_forgives_scale_and_nothing_else(factor: float) -> None:
    target = poses() - poses()[:, :1]
    assert n_mpjpe_mm(factor * target, target) == pytest.approx(0, abs=1e-9)
    turned = target @ Rotation.from_euler("z", 90, degrees=True).as_matrix()
    assert n_mpjpe_mm(turned, target) > 100


def test_n_mpjpe_takes_the_scale_that_least_squares_takes() -> None:
    target = poses(1) - poses(1)[:, :1]
    predicted = noisy(target)
    predicted -= predicted[:, :1]
    scale = np.linalg.lstsq(predicted.reshape(-1, 1), target.ravel(), rcond=None)[0][0]
    expected = mpjpe_mm(scale * predicted, target)
    assert n_mpjpe_mm(predicted, target) == pytest.approx(expected)


def test_p_mpjpe_forgives_place_turn_and_scale() -> None:
    assert p_mpjpe_mm(laid(poses()), poses()) == pytest.approx(0, abs=1e-9)


def test_p_mpjpe_never_mirrors() -> None:
    mirrored = poses() * [-1, 1, 1]
    assert p_mpjpe_mm(mirrored, poses()) > 100


def test_the_rotation_is_scipys_also_where_a_mirror_would_fit_better() -> None:
    target, weights = poses(), np.random.default_rng(5).uniform(0, 1, (12, 17))
    for source in (laid(noisy(target)), noisy(target) * [-1, 1, 1]):
        found = similarity_between(source, target, weights)
        for frame in range(len(target)):
            w = weights[frame]
            a, b = (x[frame] - np.average(x[frame], axis=0, weights=w) for x in (source, target))
            expected = Rotation.align_vectors(b, a, weights=w)[0].as_matrix()
            np.testing.assert_allclose(found.rotation[frame], expected, atol=1e-6)
            turned = (w[:, None] * (a @ expected.T)).ravel()
            scale = turned @ b.ravel() / (turned @ (a @ expected.T).ravel())
            assert found.scale[frame] == pytest.approx(scale)


def test_the_fit_is_scipys_orthogonal_procrustes_with_scale() -> None:
    target = poses(1)
    source = laid(noisy(target))
    a, b = source[0] - source[0].mean(0), target[0] - target[0].mean(0)
    turn, strength = orthogonal_procrustes(a, b)
    assert np.linalg.det(turn) > 0
    expected = a @ turn * strength / (a**2).sum() + target[0].mean(0)
    found = similarity_between(source, target, np.ones((1, 17))).apply(source)[0]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_the_residual_is_scipys_procrustes_disparity() -> None:
    target = poses(1)
    source = laid(noisy(target))
    found = similarity_between(source, target, np.ones((1, 17))).apply(source)[0]
    size = ((target[0] - target[0].mean(0)) ** 2).sum()
    disparity = procrustes(target[0], source[0])[2]
    assert ((found - target[0]) ** 2).sum() / size == pytest.approx(disparity)


def test_velocity_is_per_second_whatever_the_frame_rate() -> None:
    target = np.zeros((4, 17, 3))
    predicted = np.zeros((4, 17, 3))
    t_ns = np.array([0, 20, 30, 130]) * 1_000_000
    predicted[:, 6, 0] = 0.5e-9 * t_ns
    error = velocity_error_mm_s(predicted, target, t_ns, joints=[6])
    assert error == pytest.approx(500)
    assert velocity_error_mm_s(predicted, target, t_ns) == pytest.approx(500 / 17)


def test_a_root_that_runs_away_is_no_velocity_error() -> None:
    target = poses()
    away = target + np.arange(12.0)[:, None, None]
    t_ns = np.arange(12) * 16_666_667
    assert velocity_error_mm_s(away, target, t_ns) == pytest.approx(0, abs=1e-6)


def test_velocity_needs_both_frames() -> None:
    target, valid = poses(6), np.array([True, True, False, True, True, False])
    predicted, t_ns = noisy(target), np.arange(6) * 10_000_000
    pairs = [(0, 1), (3, 4)]
    parts = [velocity_error_mm_s(predicted[[a, b]], target[[a, b]], t_ns[:2]) for a, b in pairs]
    error = velocity_error_mm_s(predicted, target, t_ns, valid=valid)
    assert error == pytest.approx(np.mean(parts))


def test_jitter_is_the_distance_from_the_middle_of_the_neighbours() -> None:
    still = np.zeros((5, 17, 3))
    still[:, 3, 1] = np.arange(5)
    assert jitter_mm(still) == pytest.approx(0, abs=1e-9)
    still[2, 3, 0] = 0.010
    # 10 mm at the frame itself, 5 mm at each of its neighbours, three frames have two neighbours
    assert jitter_mm(still, joints=[3]) == pytest.approx(20 / 3)
    assert math.isnan(jitter_mm(still[:2]))


def test_jitter_needs_three_frames_in_a_row() -> None:
    clip, valid = poses(8), np.ones(8, bool)
    valid[3] = False
    parts = [jitter_mm(clip[a : a + 3]) for a in (0, 4, 5)]
    assert jitter_mm(clip, valid=valid) == pytest.approx(np.mean(parts))


def test_pck_and_auc_count_the_joints_within_reach() -> None:
    target, predicted = np.zeros((1, 17, 3)), np.zeros((1, 17, 3))
    predicted[0, 1:5, 0] = [0.149, 0.151, 0.0525, 1.0]
    assert pck(predicted, target, joints=[1, 2, 3, 4]) == pytest.approx(0.5)
    assert pck(predicted, target, threshold_mm=50, joints=[1, 2, 3, 4]) == 0
    assert pck(predicted, target) == pytest.approx(15 / 17)
    # of the 31 thresholds 0, 5 ... 150 only 150 exceeds 149, and the 20 from 55 exceed 52.5
    assert auc(predicted, target, joints=[1]) == pytest.approx(1 / 31)
    assert auc(predicted, target, joints=[3]) == pytest.approx(20 / 31)


@pytest.mark.parametrize("measure", MEASURES)
def test_frames_and_joints_that_do_not_count_do_not_count(measure) -> None:  # type: ignore[no-untyped-def]
    target = poses()
    predicted = noisy(target)
    valid = np.ones((12, 17), bool)
    valid[3] = False
    valid[5, 7] = False
    joints = [0, 2, 3, 4, 5, 7, 9]
    expected = measure(predicted, target, valid=valid, joints=joints)
    assert expected != measure(predicted, target, joints=joints)
    broken = predicted.copy()
    broken[3] = 77
    broken[5, 7] = np.nan
    broken[:, [1, 6, 8]] = np.inf
    assert measure(broken, target, valid=valid, joints=joints) == expected
    frames = np.ones(12, bool)
    frames[3] = False
    by_frame = measure(predicted, target, valid=frames)
    kept = frames.nonzero()[0]
    assert by_frame == pytest.approx(measure(predicted[kept], target[kept]))


@pytest.mark.parametrize("measure", MEASURES)
def test_unknown_truth_is_left_out_and_no_truth_is_nan(measure) -> None:  # type: ignore[no-untyped-def]
    target = poses()
    predicted = noisy(target)
    gaps = target.copy()
    gaps[:, 9] = np.nan
    rest = [joint for joint in range(17) if joint != 9]
    assert measure(predicted, gaps) == measure(predicted, target, joints=rest)
    assert math.isnan(measure(predicted, target * np.nan))


def test_a_frame_with_two_joints_fits_anything_and_is_left_out_of_p_mpjpe() -> None:
    target = poses()
    valid = np.ones((12, 17), bool)
    valid[4, 2:] = False
    with_it = p_mpjpe_mm(noisy(target), target, valid=valid)
    valid[4] = False
    assert with_it == p_mpjpe_mm(noisy(target), target, valid=valid)


def test_float32_clips_are_compared_in_float64() -> None:
    target = poses().astype(np.float32) + np.float32(1000)
    assert mpjpe_mm(target.astype(np.float64), target) == 0


@given(seed=st.integers(0, 2**16))
def test_the_forgiving_metrics_forgive_in_order(seed: int) -> None:
    target = poses(3, seed)
    predicted = noisy(target, seed + 1)
    squares = [
        np.sqrt(((similarity - target) ** 2).sum())
        for similarity in (
            similarity_between(predicted, target, np.ones((3, 17))).apply(predicted),
            predicted,
        )
    ]
    assert squares[0] <= squares[1]
    assert 0 <= auc(predicted, target) <= pck(predicted, target) <= 1


def clip_around(pose: np.ndarray, aligned: bool, frames: int = 60) -> np.ndarray:
    clip = np.repeat(pose[None], frames, 0)
    clip[:, 1:] += np.random.default_rng(7).normal(0, 0.02, (frames, 16, 3))
    return laid(clip) if aligned else clip


@pytest.mark.parametrize("aligned", [True, False])
def test_the_best_constant_pose_is_the_one_a_clip_was_made_around(aligned: bool) -> None:
    pose = poses(1)[0]
    found = best_constant_pose(clip_around(pose, aligned), aligned=aligned)
    np.testing.assert_array_equal(found[0], 0)
    measure = p_mpjpe_mm if aligned else mpjpe_mm
    assert measure(found[None], pose[None]) < 8


@pytest.mark.parametrize("aligned", [True, False])
def test_no_pose_nearby_and_no_pose_of_the_clip_beats_the_best_constant_pose(aligned: bool) -> None:
    clip = clip_around(poses(1)[0], aligned)
    valid = np.random.default_rng(8).random((60, 17)) < 0.9
    valid[:, 0] = True
    measure = p_mpjpe_mm if aligned else mpjpe_mm

    def error_mm(pose: np.ndarray) -> float:
        return measure(np.broadcast_to(pose, clip.shape), clip, valid=valid)

    best = best_constant_pose(clip, aligned=aligned, valid=valid)
    rng = np.random.default_rng(9)
    nearby = [best + rng.normal(0, size, best.shape) for size in (1e-3, 1e-2) for _ in range(20)]
    for other in [*nearby, *clip]:
        assert error_mm(best) <= error_mm(other) + 1e-3


def test_an_outlier_frame_hardly_moves_the_best_constant_pose() -> None:
    pose = poses(1)[0]
    clip = clip_around(pose, aligned=False)
    clip[0, 1:] += 50.0
    assert mpjpe_mm(best_constant_pose(clip, aligned=False)[None], pose[None]) < 10


def test_joints_that_never_count_are_zero_in_the_best_constant_pose() -> None:
    clip = clip_around(poses(1)[0], aligned=False)
    clip[:, 9] = np.nan
    found = best_constant_pose(clip, aligned=True, joints=[0, 1, 2, 3, 9])
    assert np.isfinite(found).all()
    assert (found[4:] == 0).all()
    empty = best_constant_pose(clip * np.nan, aligned=True)
    assert (empty == 0).all()
