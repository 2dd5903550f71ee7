"""Joints go towards their rays: how far, how fast, for whom, and never in depth."""

from dataclasses import replace

import numpy as np
import pytest

from langpose_rt.config import RayRefinement
from langpose_rt.errors import ConfigError
from langpose_rt.geometry.ray_refinement import LARGEST_OFFSET_M, RayRefiner

FULL = RayRefinement(strength=1.0, jitter_m=0.006, sigma_m=1e-6, cutoff_hz=10.0)
FRAME_NS = 20_000_000
ROOT_M = np.array([[0.3, -0.2, 4.0]], np.float32)
ONE = np.array([0])


@pytest.fixture
def pose_m() -> np.ndarray:
    pose = np.random.default_rng(3).normal(0, 0.4, (1, 17, 3)).astype(np.float32)
    pose[:, 0] = 0
    return pose


def rays_of(joints_m: np.ndarray) -> np.ndarray:
    return joints_m[..., :2] / joints_m[..., 2:]


def settled(pose_m: np.ndarray, rays: np.ndarray, **given: object) -> np.ndarray:
    """Absolute joints after two seconds of the same frame."""
    refiner = RayRefiner(1)
    for frame in range(100):
        pose, root = step(refiner, frame, pose_m, rays, **given)
    assert (pose[:, 0] == 0).all()
    return pose + root[:, None]


def step(
    refiner: RayRefiner, frame: int, pose_m: np.ndarray, rays: np.ndarray, **given: object
) -> tuple[np.ndarray, np.ndarray]:
    values = {
        "scores": np.ones((1, 17), np.float32),
        "sigma_m": np.full((1, 17), 0.04, np.float32),
        "parameters": FULL,
    } | given
    time_ns = np.array([frame * FRAME_NS])
    return refiner.step(ONE, pose_m, ROOT_M, rays=rays, time_ns=time_ns, **values)


def moved_2d(pose_m: np.ndarray, *, seed: int = 0, size_m: float = 0.02) -> np.ndarray:
    """Rays of joints that stand a little beside the predicted ones."""
    shift = np.zeros((1, 17, 3), np.float32)
    shift[..., :2] = np.random.default_rng(seed).normal(0, size_m, (1, 17, 2))
    return rays_of(pose_m + ROOT_M[:, None] + shift)


def test_a_steady_2d_is_met_exactly_at_the_predicted_depth(pose_m: np.ndarray) -> None:
    rays = moved_2d(pose_m)
    joints = settled(pose_m, rays)
    np.testing.assert_allclose(rays_of(joints), rays, atol=1e-5)
    np.testing.assert_array_equal(joints[..., 2], (pose_m + ROOT_M[:, None])[..., 2])


def test_a_pose_that_agrees_with_its_2d_stays(pose_m: np.ndarray) -> None:
    pose, root = step(RayRefiner(1), 0, pose_m, moved_2d(pose_m, size_m=0))
    np.testing.assert_allclose(pose, pose_m, atol=1e-6)
    np.testing.assert_allclose(root, ROOT_M, atol=1e-6)


def test_a_joint_goes_less_far_with_a_low_score_and_where_the_model_is_sure(
    pose_m: np.ndarray,
) -> None:
    rays, scores = moved_2d(pose_m), np.ones((1, 17), np.float32)
    scores[0, 3] = 0.25
    sigma_m = np.full((1, 17), 0.1, np.float32)
    sigma_m[0, 5] = 0.01
    parameters = replace(FULL, sigma_m=0.01)
    joints = settled(pose_m, rays, scores=scores, sigma_m=sigma_m, parameters=parameters)
    before = rays_of(pose_m + ROOT_M[:, None])
    share = np.linalg.norm(rays_of(joints) - before, axis=-1)
    share /= np.linalg.norm(rays - before, axis=-1)
    expected = np.full(17, 100 / 101)
    expected[3], expected[5] = 0.25 * 100 / 101, 0.5
    np.testing.assert_allclose(share[0], expected, rtol=5e-3)


def test_a_missing_joint_is_left_and_its_ray_is_not_read(pose_m: np.ndarray) -> None:
    rays, scores = moved_2d(pose_m), np.ones((1, 17), np.float32)
    rays[0, 6], scores[0, 6] = np.nan, 0
    pose, root = step(RayRefiner(1), 0, pose_m, rays, scores=scores)
    np.testing.assert_allclose((pose + root)[0, 6], (pose_m + ROOT_M)[0, 6], atol=1e-6)
    assert np.isfinite(pose).all()


def test_a_joint_that_is_lost_goes_back_slowly(pose_m: np.ndarray) -> None:
    refiner, rays = RayRefiner(1), moved_2d(pose_m)
    scores = np.ones((1, 17), np.float32)
    scores[0, 6] = 0
    offsets = []
    for frame in range(60):
        pose, root = step(refiner, frame, pose_m, rays)
    for frame in range(60, 120):
        pose, root = step(refiner, frame, pose_m, rays, scores=scores)
        offsets.append(float(np.linalg.norm((pose + root - pose_m - ROOT_M)[0, 6])))
    assert offsets[1] > 0.9 * offsets[0]
    assert offsets[-1] < 0.1 * offsets[0]


def test_2d_that_shakes_is_trusted_less(pose_m: np.ndarray) -> None:
    moves = []
    for size_m in (0.0005, 0.02):
        refiner = RayRefiner(1)
        for frame in range(50):
            rays = moved_2d(pose_m, seed=frame, size_m=size_m)
            pose, root = step(refiner, frame, pose_m, rays)
        before = rays_of(pose_m + ROOT_M[:, None])
        moved = np.linalg.norm(rays_of(pose + root[:, None]) - before, axis=-1).mean()
        moves.append(moved / np.linalg.norm(rays - before, axis=-1).mean())
    assert moves[0] > 0.4
    assert moves[1] < 0.05


def test_motion_that_the_model_follows_is_not_delayed(pose_m: np.ndarray) -> None:
    refiner = RayRefiner(1)
    for frame in range(30):
        moving = pose_m + np.array([0.05 * frame, 0, 0], np.float32)
        moving[:, 0] = 0
        rays = rays_of(moving + ROOT_M[:, None])
        pose, _ = step(refiner, frame, moving, rays)
        np.testing.assert_allclose(pose, moving, atol=1e-5)


def test_a_joint_is_never_moved_far(pose_m: np.ndarray) -> None:
    rays = moved_2d(pose_m)
    rays[0, 16] += 1.0
    moved = np.linalg.norm((settled(pose_m, rays) - pose_m - ROOT_M)[0], axis=-1)
    assert moved[16] == pytest.approx(LARGEST_OFFSET_M, rel=1e-2)
    assert moved.max() <= LARGEST_OFFSET_M * 1.0001


def test_persons_do_not_know_each_other_and_a_reset_one_is_new(pose_m: np.ndarray) -> None:
    rng = np.random.default_rng(1)
    poses_m = np.concatenate([pose_m, pose_m[:, ::-1] * np.float32(0.8), pose_m * 1.1])
    roots_m = ROOT_M.repeat(3, 0)
    together, alone = RayRefiner(4), [RayRefiner(1) for _ in range(3)]
    given = {"scores": np.ones((3, 17), np.float32), "sigma_m": np.full((3, 17), 0.04, np.float32)}
    for frame in range(20):
        if frame == 10:
            together.reset(np.array([2]))
            alone[1] = RayRefiner(1)
        rays = rays_of(poses_m + roots_m[:, None]) + rng.normal(0, 0.004, (3, 17, 2))
        time_ns = np.full(3, frame * FRAME_NS)
        both = together.step(
            np.array([3, 2, 0]),
            poses_m,
            roots_m,
            rays=rays,
            time_ns=time_ns,
            parameters=FULL,
            **given,
        )
        for person, refiner in enumerate(alone):
            own = slice(person, person + 1)
            single = refiner.step(
                ONE,
                poses_m[own],
                roots_m[own],
                rays=rays[own],
                time_ns=time_ns[own],
                parameters=FULL,
                **{name: value[own] for name, value in given.items()},
            )
            for whole, part in zip(both, single, strict=True):
                np.testing.assert_allclose(whole[own], part, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "value"), [("strength", 1.1), ("jitter_m", 0.0), ("cutoff_hz", float("inf"))]
)
def test_numbers_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=name):
        RayRefinement(**{name: value})
