import numpy as np
import pytest

from langpose_rt.fusion.camera_array import CameraArray
from langpose_rt.fusion.triangulation import (
    DepthPrior,
    Equations,
    PositionPrior,
    Rays,
    estimate,
    symmetric_inverse,
    triangulate,
)
from tests.fusion.rigs import body, ring

NOTHING = PositionPrior(position=np.zeros((1, 17, 3)), information=np.zeros((1, 17, 3, 3)))


def rays_of(cameras: CameraArray, joints: np.ndarray, *, shift: np.ndarray | None = None) -> Rays:
    """Rays to a body; shift moves what a camera sees [camera, 17, 3] in metres."""
    target = joints[None] + (0.0 if shift is None else shift)
    away = np.broadcast_to(target, (len(cameras), 17, 3)) - cameras.centres[:, None]
    return Rays(
        origin=cameras.centres,
        direction=(away / np.linalg.norm(away, axis=-1, keepdims=True))[None],
        sigma_m=np.full((1, len(cameras), 17), 0.02),
        usual_m=np.full((1, len(cameras)), 0.02),
        focal_px=cameras.focal_px,
    )


@pytest.mark.parametrize("count", [2, 3, 5])
def test_exact_rays_meet_in_the_joint(count: int) -> None:
    cameras = CameraArray.of_cameras(ring(count))
    found = triangulate(Equations(rays_of(cameras, body(0.3, -0.2))))
    np.testing.assert_allclose(found.joints[0], body(0.3, -0.2), atol=1e-4)
    assert (found.views == 2**count - 1).all()
    assert (found.residual_px < 0.1).all()


def test_the_covariance_is_that_of_the_errors() -> None:
    cameras = CameraArray.of_cameras(ring(4))
    rng = np.random.default_rng(0)
    errors = []
    for _ in range(300):
        shift = rng.normal(0, 0.02, (4, 17, 3))
        found = triangulate(Equations(rays_of(cameras, body(), shift=shift)), agrees=9.0)
        errors.append(found.joints[0, 5] - body()[5])
    measured = np.cov(np.array(errors).T)
    assert np.trace(found.covariance_m2[0, 5]) == pytest.approx(np.trace(measured), rel=0.25)


def test_the_view_that_disagrees_is_dropped() -> None:
    cameras = CameraArray.of_cameras(ring(4))
    shift = np.zeros((4, 17, 3))
    shift[2, 7] = [0.0, 0.0, 0.5]
    found = triangulate(Equations(rays_of(cameras, body(), shift=shift)))
    np.testing.assert_allclose(found.joints[0, 7], body()[7], atol=1e-3)
    assert found.used[0, :, 7].tolist() == [True, True, False, True]
    assert found.used[0, :, 6].all()


def test_between_two_views_the_expectation_decides() -> None:
    cameras = CameraArray.of_cameras(ring(2))
    shift = np.zeros((2, 17, 3))
    shift[1, 7] = [0.0, 0.0, 0.5]
    equations = Equations(rays_of(cameras, body(), shift=shift))
    alone = triangulate(equations)
    assert np.linalg.norm(alone.joints[0, 7] - body()[7]) > 0.1
    prior = PositionPrior(
        position=body()[None] + 0.01, information=np.tile(400 * np.eye(3), (1, 17, 1, 1))
    )
    found = estimate(equations, equations.seen, prior)
    assert np.linalg.norm(found.joints[0, 7] - body()[7]) < 0.05
    assert found.used[0, :, 7].tolist() == [True, False]


def test_a_joint_of_one_view_hangs_on_its_ray_where_the_depth_says() -> None:
    cameras = CameraArray.of_cameras(ring(3))
    rays = rays_of(cameras, body())
    rays.sigma_m[0, 1:, 13] = np.inf
    equations = Equations(rays)
    assert np.isnan(triangulate(equations).joints[0, 13]).all()
    distance = np.linalg.norm(body() - cameras.centres[:, None], axis=-1)[None]
    depth = DepthPrior(distance_m=distance, sigma_m=np.full(distance.shape, 0.1))
    found = estimate(equations, equations.seen, NOTHING, depth=depth)
    np.testing.assert_allclose(found.joints[0, 13], body()[13], atol=1e-3)
    direction = rays.direction[0, 0, 13]
    own = found.covariance_m2[0, 13]
    assert np.sqrt(direction @ own @ direction) == pytest.approx(0.1, rel=0.01)
    assert np.sqrt(np.linalg.eigvalsh(own)[0]) == pytest.approx(0.02, rel=0.01)
    assert found.views[0, 13] == 1


def test_a_joint_nobody_sees_is_where_it_was_expected() -> None:
    cameras = CameraArray.of_cameras(ring(2))
    rays = rays_of(cameras, body())
    rays.sigma_m[0, :, 2] = np.inf
    prior = PositionPrior(
        position=body(1.0)[None], information=np.tile(100 * np.eye(3), (1, 17, 1, 1))
    )
    equations = Equations(rays)
    found = estimate(equations, equations.seen, prior)
    np.testing.assert_allclose(found.joints[0, 2], body(1.0)[2], atol=1e-4)
    assert found.views[0, 2] == 0
    assert np.isnan(found.residual_px[0, 2])


def test_a_noisy_camera_counts_for_less() -> None:
    cameras = CameraArray.of_cameras(ring(3))
    shift = np.zeros((3, 17, 3))
    shift[0] = [0.0, 0.0, 0.03]
    equations = Equations(rays_of(cameras, body(), shift=shift))
    usual = estimate(equations, equations.seen, NOTHING)
    wary = estimate(equations, equations.seen, NOTHING, noise=np.array([[3.0, 1.0, 1.0]]))
    off = [np.linalg.norm(found.joints[0] - body(), axis=-1).mean() for found in (usual, wary)]
    assert off[1] < 0.5 * off[0]


def test_nobody_is_no_error() -> None:
    cameras = CameraArray.of_cameras(ring(2))
    rays = Rays(
        origin=cameras.centres,
        direction=np.zeros((0, 2, 17, 3)),
        sigma_m=np.zeros((0, 2, 17)),
        usual_m=np.zeros((0, 2)),
        focal_px=cameras.focal_px,
    )
    assert triangulate(Equations(rays)).joints.shape == (0, 17, 3)


def test_inverses_by_cofactors_are_those_of_lapack() -> None:
    rng = np.random.default_rng(0)
    direction = rng.normal(size=(200, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    across = 10.0 ** rng.uniform(2, 6, 200)
    A = 1e-4 * np.eye(3) + across[:, None, None] * (
        np.eye(3) - direction[:, :, None] * direction[:, None]
    )  # one ray alone: 100 m of doubt along it, a millimetre across
    np.testing.assert_allclose(symmetric_inverse(A) @ A, np.tile(np.eye(3), (200, 1, 1)), atol=1e-4)
    inverse = np.linalg.inv(A)
    largest = np.abs(inverse).max((-2, -1))
    off = np.abs(symmetric_inverse(A) - inverse).max((-2, -1))
    assert (off < 1e-4 * largest).all()
