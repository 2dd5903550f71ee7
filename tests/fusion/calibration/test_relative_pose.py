from dataclasses import replace

import numpy as np
import pytest

from langpose_rt.errors import ConfigError
from langpose_rt.fusion.calibration.relative_pose import first_poses, pair_pose
from langpose_rt.fusion.calibration.walker import views_from_clips
from tests.fusion.rigs import ring
from tests.fusion.walks import SECONDS, clips_of_walk

TIMES = np.linspace(1.1, 0.9 + SECONDS, 60)


def true_pose(first: str, second: str) -> tuple[np.ndarray, np.ndarray]:
    cameras = ring(4)
    A, B = (np.linalg.inv(cameras[name].T_world_camera) for name in (first, second))  # type: ignore[arg-type]
    T = B @ np.linalg.inv(A)
    return T[:3, :3], T[:3, 3]


def test_two_cameras_are_found_in_metres() -> None:
    views = [own[0] for own in views_from_clips(clips_of_walk())]
    pair = pair_pose(views[0], views[1], TIMES)
    assert pair is not None
    R, t = true_pose("cam0", "cam1")
    angle = np.degrees(np.arccos(np.clip((np.trace(pair.R @ R.T) - 1) / 2, -1, 1)))
    assert angle < 1.0
    assert np.linalg.norm(pair.t - t) < 0.15
    assert pair.share > 0.9


def test_all_cameras_hang_together() -> None:
    views, poses = first_poses(views_from_clips(clips_of_walk()), TIMES)
    assert [view.name for view in views] == ["cam0", "cam1", "cam2", "cam3"]
    R, t = true_pose("cam1", "cam3")
    found_R = poses[3][:, :3] @ poses[1][:, :3].T
    found_t = poses[3][:, 3] - found_R @ poses[1][:, 3]
    assert np.degrees(np.arccos((np.trace(found_R @ R.T) - 1) / 2)) < 5.0
    assert np.linalg.norm(found_t - t) < 0.5


def test_cameras_that_see_nobody_together_are_named() -> None:
    clips = clips_of_walk()
    clips["cam2"] = replace(clips["cam2"], t_ns=clips["cam2"].t_ns + 10**11)
    with pytest.raises(ConfigError, match='camera "cam2" sees nobody together with another'):
        first_poses(views_from_clips(clips), TIMES)


def test_a_mirrored_picture_is_told() -> None:
    views = views_from_clips(clips_of_walk())
    views[2] = [views[2][0].mirrored()]
    with pytest.raises(ConfigError, match="is mirrored: left and right fit together only"):
        first_poses(views, TIMES)
