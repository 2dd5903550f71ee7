import numpy as np
import pytest

from langpose_rt.fusion.calibration.bundle_adjustment import adjust, meet
from langpose_rt.fusion.calibration.relative_pose import first_poses
from langpose_rt.fusion.calibration.walker import views_from_clips
from tests.fusion.rigs import ring
from tests.fusion.walks import SECONDS, clips_of_walk, walk

TIMES = np.linspace(1.2, 0.8 + SECONDS, 40)


def true_rig() -> tuple[np.ndarray, np.ndarray]:
    T = np.stack([np.linalg.inv(camera.T_world_camera) for camera in ring(4).values()])  # type: ignore[arg-type]
    return T[:, :3, :3], T[:, :3, 3]


def test_exact_rays_meet_in_the_joints() -> None:
    R, t = true_rig()
    joints = walk(np.linspace(0, 3, 5))
    seen = joints @ R.transpose(0, 2, 1)[:, None] + t[:, None, None]
    weight = np.ones((4, 5, 17))
    weight[1:, 2, 4] = 0
    found = meet(seen[..., :2] / seen[..., 2:], weight, R, t)
    assert np.isnan(found[2, 4]).all()
    found[2, 4] = joints[2, 4]
    np.testing.assert_allclose(found, joints, atol=1e-5)


def test_cameras_clocks_and_biased_joints_are_found_together() -> None:
    late = {"cam1": 0.05, "cam3": -0.04}
    clips = clips_of_walk(late_s=late)
    clips["cam2"].keypoints[..., 3, 1] += 10.0  # a detector that has the right ankle too low
    views, poses = first_poses(views_from_clips(clips), TIMES)
    found = adjust(views, poses, TIMES, offsets=True)
    np.testing.assert_allclose(found.offsets_s, [0.0, 0.05, 0.0, -0.04], atol=0.003)
    R, _ = true_rig()
    for camera in (1, 2, 3):
        turned = found.R[camera] @ (R[camera] @ R[0].T).T
        assert np.degrees(np.arccos(np.clip((np.trace(turned) - 1) / 2, -1, 1))) < 0.2
    assert np.nanmedian(found.residual_px) < 3.0


def test_clocks_between_two_frames_are_found_from_noisy_joints() -> None:
    late = {"cam1": 0.083, "cam2": -0.045, "cam3": 0.02}
    clips = clips_of_walk(late_s=late, noise_px=6.0)
    views, poses = first_poses(views_from_clips(clips), TIMES)
    found = adjust(views, poses, TIMES, offsets=True)
    np.testing.assert_allclose(found.offsets_s, [0.0, 0.083, -0.045, 0.02], atol=0.003)


def test_the_clearest_camera_decides_where_the_joints_are() -> None:
    clips = clips_of_walk(noise_px=8.0)
    clips["cam0"] = clips_of_walk(noise_px=0.3)["cam0"]
    views, poses = first_poses(views_from_clips(clips), TIMES)
    found = adjust(views, poses, TIMES)
    assert np.nanmedian(found.residual_px[0]) < 0.3 * np.nanmedian(found.residual_px[1:])


def test_wrong_focal_lengths_are_found() -> None:
    views = [[own[0].refocused(1 / 0.95)] for own in views_from_clips(clips_of_walk())]
    before = views[0][0].intrinsics.fx_px
    chosen, poses = first_poses(views, TIMES)
    found = adjust(chosen, poses, TIMES, focals=True)
    for view in found.views:
        assert view.intrinsics.fx_px / before == pytest.approx(0.95, abs=0.02)
