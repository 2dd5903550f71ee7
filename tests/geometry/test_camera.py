"""Cameras: rays against OpenCV, roots against a general solver, and world axes."""

import subprocess
import sys

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation

from langpose_rt.errors import ConfigError
from langpose_rt.geometry.camera import (
    NEAREST_M,
    Intrinsics,
    camera_to_world,
    name_in,
    name_of_stream,
    name_within,
    pixel_to_ray,
    root_from_pose,
)
from tests.projection import ray_to_pixel

PLAIN = Intrinsics(fx_px=1600, fy_px=1590, cx_px=540, cy_px=970, width_px=1088, height_px=1920)
LENSES = {
    "four": (-0.21, 0.09, 0.001, -0.002),
    "five": (-0.21, 0.09, 0.001, -0.002, 0.01),
    "eight": (0.1, -0.05, 0.001, 0.0005, 0.01, 0.12, -0.03, 0.001),
    "twelve": (-0.1, 0.03, 0.001, 0.0, 0.0, 0.0, 0.0, 0.0, 0.001, 0.0, 0.002, 0.0),
}
EVERY_LENS = pytest.mark.parametrize("dist", LENSES.values(), ids=LENSES.keys())


def with_lens(dist: tuple[float, ...]) -> Intrinsics:
    return Intrinsics.from_matrix(PLAIN.matrix, 1088, 1920, dist)


def pixels(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform((0, 0), (1088, 1920), (*shape, 2))


def standing_pose(*batch: int, seed: int = 0) -> np.ndarray:
    pose = np.random.default_rng(seed).normal(0, 0.4, (*batch, 17, 3))
    pose[..., 0, :] = 0
    return pose


def rays_of(pose_camera: np.ndarray, root: np.ndarray) -> np.ndarray:
    points = pose_camera + root[..., None, :]
    return np.asarray(points[..., :2] / points[..., 2:])


def test_a_plain_lens_is_a_shift_and_a_division() -> None:
    rays = pixel_to_ray(np.array([[540.0, 970.0], [2140.0, 2560.0]]), PLAIN)
    np.testing.assert_allclose(rays, [[0, 0], [1, 1]])


@EVERY_LENS
def test_a_bent_lens_is_straightened_as_opencv_bends_it(dist: tuple[float, ...]) -> None:
    rays = np.random.default_rng(1).uniform((-0.3, -0.55), (0.3, 0.55), (50, 2))
    points = np.concatenate([rays, np.ones((50, 1))], -1)
    bent_px = cv2.projectPoints(points, np.zeros(3), np.zeros(3), PLAIN.matrix, np.array(dist))[0]
    np.testing.assert_allclose(pixel_to_ray(bent_px[:, 0], with_lens(dist)), rays, atol=1e-6)


def test_a_mild_lens_gives_what_undistort_points_gives() -> None:
    dist = (-0.05, 0.02, 0.0005, -0.0005)
    expected = cv2.undistortPoints(pixels(40)[:, None], PLAIN.matrix, np.array(dist))[:, 0]
    np.testing.assert_allclose(pixel_to_ray(pixels(40), with_lens(dist)), expected, atol=1e-5)


@EVERY_LENS
@given(points=arrays(np.float64, (3, 2, 2), elements=st.floats(50, 1000)))
def test_pixel_to_ray_and_back_is_the_same_pixel(
    dist: tuple[float, ...], points: np.ndarray
) -> None:
    for lens in (PLAIN, with_lens(dist)):
        np.testing.assert_allclose(
            ray_to_pixel(pixel_to_ray(points, lens), lens), points, atol=1e-3
        )


@pytest.mark.parametrize("lens", [PLAIN, with_lens(LENSES["five"])], ids=["plain", "bent"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_missing_joints_stay_missing_and_the_type_stays(lens: Intrinsics, dtype: type) -> None:
    points = pixels(2, 3).astype(dtype)
    points[1, 2] = np.nan
    before = points.copy()
    answer = pixel_to_ray(points, lens)
    assert answer.dtype == dtype
    assert np.isnan(answer[1, 2]).all()
    assert np.isnan(answer).sum() == 2
    np.testing.assert_array_equal(points, before)
    assert pixel_to_ray(np.full((1, 2), np.nan), lens).shape == (1, 2)
    assert pixel_to_ray(np.zeros((0, 17, 2)), lens).shape == (0, 17, 2)


@given(points=arrays(np.float64, (4, 2), elements=st.floats(-20_000, 20_000)))
def test_a_joint_far_outside_the_image_of_a_bent_lens_is_still_a_number(points: np.ndarray) -> None:
    rays = pixel_to_ray(points, with_lens((-0.4, 0.2, 0.001, 0.001, -0.1)))
    assert np.isfinite(rays).all()
    assert np.abs(rays).max() < 60


def test_one_hopeless_joint_does_not_move_the_others() -> None:
    lens = with_lens(LENSES["eight"])
    points = pixels(5)
    points[2] = 15_000, -15_000
    alone = np.concatenate([pixel_to_ray(point[None], lens) for point in points])
    np.testing.assert_allclose(pixel_to_ray(points, lens), alone, atol=1e-6)
    np.testing.assert_allclose(alone[2], pixel_to_ray(points[2:3], PLAIN)[0])


def test_opencv_is_not_needed_without_distortion() -> None:
    program = (
        "import sys, numpy as np\n"
        "from langpose_rt.geometry.camera import Intrinsics, pixel_to_ray\n"
        "lens = Intrinsics.from_fov(640, 480)\n"
        "pixel_to_ray(np.ones((1, 2)), lens)\n"
        "assert 'cv2' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(("size", "long_side"), [((1920, 1080), 0), ((1080, 1920), 1)])
def test_the_field_of_view_is_that_of_the_long_side(size: tuple[int, int], long_side: int) -> None:
    lens = Intrinsics.from_fov(*size, fov_deg=90, assumed=True)
    edge = np.array([[540.0, 540.0]])
    edge[0, long_side] = 1920
    assert pixel_to_ray(edge, lens)[0, long_side] == pytest.approx(1.0)
    assert lens.fx_px == lens.fy_px
    assert lens.assumed
    assert not Intrinsics.from_fov(*size).assumed
    assert Intrinsics.from_focal(*size, lens.fx_px, assumed=True) == lens


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"fx_px": 0.0}, "fx_px is 0.0; expected a positive"),
        ({"fy_px": -3.0}, "fy_px is -3.0; expected a positive"),
        ({"fx_px": float("nan")}, "fx_px is nan; expected a positive"),
        ({"width_px": float("inf")}, "width_px is inf; expected a positive"),
        ({"cx_px": float("nan")}, "principal point is .*; expected finite"),
        ({"dist": (0.1, 0.2)}, "2 distortion coefficients; expected one of 0, 4, 5"),
        ({"dist": (0.1, 0.2, 0.0, float("inf"))}, "distortion is .*; expected finite"),
    ],
)
def test_impossible_intrinsics_are_refused(change: dict[str, object], sentence: str) -> None:
    numbers = {"fx_px": 1.0, "fy_px": 1.0, "cx_px": 0.0, "cy_px": 0.0}
    size = {"width_px": 10.0, "height_px": 10.0}
    with pytest.raises(ConfigError, match=sentence):
        Intrinsics(**{**numbers, **size, **change})  # type: ignore[arg-type]


@pytest.mark.parametrize("fov_deg", [0.0, -60.0, 180.0, float("nan")])
def test_an_impossible_field_of_view_is_refused(fov_deg: float) -> None:
    with pytest.raises(ConfigError, match="degrees; expected 3 to 170"):
        Intrinsics.from_fov(640, 480, fov_deg)


@pytest.mark.parametrize("fov_deg", [0.6, 1.05, 2.9])
def test_a_field_of_view_in_radians_is_refused(fov_deg: float) -> None:
    with pytest.raises(ConfigError, match="looks like radians"):
        Intrinsics.from_fov(640, 480, fov_deg)


@pytest.mark.parametrize(
    ("matrix", "sentence"),
    [
        ([[1, 0], [0, 1]], r"shape \(2, 2\); expected \(3, 3\)"),
        ([[1, 0, 0], [0, 1, 0], [0, 1, 1]], "ends in the row .*; expected 0 0 1"),
        ("no matrix", "not made of numbers"),
        ([[float("nan"), 0, 0], [0, 1, 0], [0, 0, 1]], "fx_px is nan"),
    ],
)
def test_a_matrix_that_is_none_is_refused(matrix: object, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        Intrinsics.from_matrix(matrix, 640, 480)


def test_a_root_is_found_where_it_was() -> None:
    root = np.random.default_rng(2).uniform((-2, -1, 1.5), (2, 1, 12), (30, 3))
    pose = standing_pose(30)
    rays, weights = rays_of(pose, root), np.ones((30, 17))
    np.testing.assert_allclose(root_from_pose(pose, rays, weights, root), root, atol=1e-4)
    np.testing.assert_allclose(root_from_pose(pose, rays, weights), root, rtol=2e-3, atol=1e-3)


def test_a_root_from_noisy_rays_is_the_least_squares_one() -> None:
    rng = np.random.default_rng(3)
    pose, root = standing_pose(seed=3), np.array([0.4, -0.2, 4.5])
    rays = rays_of(pose, root) + rng.normal(0, 0.01, (17, 2))
    weights = rng.uniform(0, 2, 17)
    rows, right = [], []
    for joint, ray, weight in zip(pose, rays, weights, strict=True):
        for axis in (0, 1):
            row = np.zeros(3)
            row[axis], row[2] = 1.0, -ray[axis]
            rows.append(np.sqrt(weight) * row)
            right.append(np.sqrt(weight) * (ray[axis] * joint[2] - joint[axis]))
    expected = np.linalg.lstsq(np.array(rows), np.array(right), rcond=None)[0]
    np.testing.assert_allclose(root_from_pose(pose, rays, weights, expected), expected, atol=1e-5)


def test_joints_without_weight_or_numbers_do_not_pull_the_root() -> None:
    pose, root = standing_pose(), np.array([0.4, -0.2, 4.5])
    rays, weights = rays_of(pose, root), np.ones(17)
    rays[3], weights[3] = (9.0, 9.0), 0.0
    rays[5] = np.nan
    pose[6] = np.inf
    weights[7] = np.nan
    rays[8], weights[8] = (9.0, 9.0), -1.0
    rays[9], weights[9] = (9.0, 9.0), np.inf
    np.testing.assert_allclose(root_from_pose(pose, rays, weights), root, atol=1e-4)


def test_the_scale_of_the_weights_does_not_matter() -> None:
    pose = standing_pose()
    rays = rays_of(pose, np.array([0.0, 0.0, 9.0]))
    small, large = (root_from_pose(pose, rays, np.full(17, w)) for w in (1e-6, 1e6))
    np.testing.assert_allclose(small, large, rtol=1e-6)


def test_with_nothing_to_go_by_the_root_is_on_the_optical_axis() -> None:
    pose, rays = standing_pose(), np.full((17, 2), np.nan)
    np.testing.assert_allclose(root_from_pose(pose, rays, np.ones(17)), [0, 0, 4])
    np.testing.assert_allclose(root_from_pose(pose, np.ones((17, 2)), np.zeros(17)), [0, 0, 4])


def test_one_joint_gives_a_direction_and_the_usual_depth() -> None:
    pose, weights = standing_pose(), np.zeros(17)
    weights[0] = 1.0
    root = root_from_pose(pose, np.full((17, 2), 0.25), weights)
    np.testing.assert_allclose(root, [1, 1, 4], rtol=1e-6)


def test_a_person_behind_the_camera_is_put_before_it() -> None:
    pose = standing_pose()
    root = root_from_pose(pose, rays_of(pose, np.array([0.1, 0.1, -5.0])), np.ones(17))
    assert root[2] == pytest.approx(NEAREST_M)
    assert np.isfinite(root).all()


@given(
    pose=arrays(np.float32, (2, 17, 3), elements=st.floats(width=32)),
    rays=arrays(np.float32, (2, 17, 2), elements=st.floats(-100, 100, width=32)),
    weights=arrays(np.float32, (2, 17), elements=st.floats(0, 1e6, width=32)),
)
def test_whatever_comes_in_a_root_is_finite_and_before_the_camera(
    pose: np.ndarray, rays: np.ndarray, weights: np.ndarray
) -> None:
    body = np.where(np.abs(pose) < 100, pose, np.float32(np.nan))
    root = root_from_pose(body, rays, weights)
    assert root.dtype == np.float32
    assert np.isfinite(root).all()
    assert (root[..., 2] >= np.float32(NEAREST_M)).all()


def test_camera_to_world_undoes_the_extrinsics() -> None:
    R, t = Rotation.from_rotvec([0.3, -1.2, 0.8]).as_matrix(), np.array([1.0, -2.0, 3.0])
    points_world = np.random.default_rng(4).normal(size=(5, 17, 3))
    T_world_camera = np.linalg.inv(np.block([[R, t[:, None]], [np.zeros(3), 1.0]]))
    points_camera = points_world @ R.T + t
    np.testing.assert_allclose(camera_to_world(points_camera, T_world_camera), points_world)
    single = camera_to_world(points_camera.astype(np.float32), T_world_camera)
    assert single.dtype == np.float32


def test_a_root_nobody_can_see_stays_where_it_was() -> None:
    pose, rays = np.zeros((2, 17, 3)), np.zeros((2, 17, 2))
    last = np.array([[1.5, 0.2, 6.0], [np.nan, np.nan, np.nan]])
    root = root_from_pose(pose, rays, np.zeros((2, 17)), last)
    np.testing.assert_allclose(root, [[1.5, 0.2, 6.0], [0.0, 0.0, 4.0]])


def test_joints_too_close_together_to_tell_the_depth_leave_it_as_it_was() -> None:
    pose, rays, weights = np.zeros((17, 3)), np.zeros((17, 2)), np.zeros(17)
    pose[10] = (0.0, -0.2, 0.0)
    rays[10] = (0.0, -1e-4)
    weights[[0, 10]] = 1.0
    root = root_from_pose(pose, rays, weights, np.array([0.0, 0.0, 6.0]))
    assert 5.0 < root[2] < 12.0  # the rays alone say 2,000 m


@pytest.mark.parametrize(
    ("names", "wanted", "found"),
    [
        (["cam01", "cam02"], "cam01", "cam01"),
        (["cam_01", "cam_02"], "cam01", "cam_01"),
        (["cam01"], "Cam_1", "cam01"),
        (["cam-10", "cam-1"], "cam1", "cam-1"),
        (["cam01", "cam_01"], "cam_01", "cam_01"),
        (["cam01", "cam_01"], "cam1", None),
        (["cam1"], "cam11", None),
        (["left", "right"], "middle", None),
        ([], "cam1", None),
    ],
)
def test_names_of_cameras_are_matched_where_only_one_fits(
    names: list[str], wanted: str, found: str | None
) -> None:
    assert name_in(names, wanted) == found


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["cam0", "left/cam0"], "left/cam0"),
        (["cam0", "right/cam0"], "cam0"),
        (["Cam_0", "Left/Cam_0"], "Left/Cam_0"),
        (["cam0", "Left/Cam_0"], "cam0"),
        (["cam_00"], "cam_00"),
        (["cam_0", "Cam0"], None),
        (["left"], None),
        ([], None),
    ],
)
def test_the_camera_of_a_stream_is_that_of_its_rig_before_that_of_all(
    names: list[str], found: str | None
) -> None:
    assert name_of_stream(names, "left", "cam0") == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("trial_cam01_json", "cam_1"),
        ("cam1", "cam_1"),
        ("left-view", "left"),
        ("cam10", None),
        ("webcam1", None),
        ("cam1 left", None),
        ("", None),
    ],
)
def test_the_only_camera_that_is_named_in_a_text_is_found(text: str, found: str | None) -> None:
    assert name_within(["cam_1", "cam_2", "left", ""], text) == found
