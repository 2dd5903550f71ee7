"""VideoPose3D's files, written here in their published layout; OpenCV and COCO as judges."""

from pathlib import Path

import numpy as np
import pytest

from langpose_rt.errors import ConfigError
from langpose_rt.geometry.camera import ray_to_pixel
from langpose_rt.geometry.skeleton import JOINTS
from training.data.h36m_cameras import cameras_of_subject
from training.data.h36m_videopose3d import JOINTS_17, read_h36m_videopose3d

FRAMES = 4


def world_m() -> np.ndarray:
    around = np.random.default_rng(0).uniform(-0.5, 0.5, (FRAMES, 32, 3))
    return (around + np.array([0, 0, 1])).astype(np.float32)


def projected(joints_m: np.ndarray, subject: str) -> list[np.ndarray]:
    views = []
    for camera in cameras_of_subject(subject):
        points = camera.to_camera(joints_m[:, JOINTS_17].astype(np.float64))
        pixels = ray_to_pixel(points[..., :2] / points[..., 2:], camera.intrinsics)
        views.append(pixels.astype(np.float32))
    return views


def written(
    folder: Path, views: list[np.ndarray], metadata: dict[str, object], subject: str = "S9"
) -> tuple[Path, Path]:
    path_3d, path_2d = folder / "data_3d_h36m.npz", folder / "data_2d_h36m_x.npz"
    np.savez_compressed(path_3d, positions_3d=np.array({subject: {"Photo 1": world_m()}}, object))
    np.savez_compressed(
        path_2d,
        positions_2d=np.array({subject: {"Photo 1": views}}, object),
        metadata=np.array(metadata, object),
    )
    return path_3d, path_2d


GT = {"num_joints": 17, "keypoints_symmetry": [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]]}


def test_3d_in_camera_axes_projects_onto_the_2d(tmp_path: Path) -> None:
    views = projected(world_m(), "S9")
    videos = read_h36m_videopose3d(*written(tmp_path, views, GT), ("S9",))
    assert [(v.subject, v.action, v.camera.name) for v in videos][1:3] == [
        ("S9", "Photo 1", "55011271"), ("S9", "Photo 1", "58860488"),
    ]  # fmt: skip
    for video in videos:
        rays = video.pose_camera_m[..., :2] / video.pose_camera_m[..., 2:]
        pixels = ray_to_pixel(rays, video.camera.intrinsics)
        np.testing.assert_allclose(pixels, video.joints_px, atol=0.1)


def test_2d_that_is_longer_is_cut_and_shorter_is_refused(tmp_path: Path) -> None:
    views = projected(world_m(), "S9")
    longer = [np.concatenate([view, view[-1:]]) for view in views]
    videos = read_h36m_videopose3d(*written(tmp_path, longer, GT), ("S9",))
    np.testing.assert_array_equal(videos[3].joints_px, views[3])
    shorter = [view[:-1] for view in views]
    with pytest.raises(ConfigError, match="not shorter"):
        read_h36m_videopose3d(*written(tmp_path, shorter, GT), ("S9",))


def test_coco_joints_become_human36ms(tmp_path: Path) -> None:
    coco = [np.full((FRAMES, 17, 2), 1.0, np.float32) * np.arange(17)[:, None] for _ in range(4)]
    metadata = {"layout_name": "coco", "num_joints": 17}
    joints_px = read_h36m_videopose3d(*written(tmp_path, coco, metadata), ("S9",))[0].joints_px
    at = {name: joints_px[0, place, 0] for place, name in enumerate(JOINTS)}
    assert at["RHip"] == 12
    assert at["LAnkle"] == 15
    assert at["LWrist"] == 9
    assert at["Hip"] == pytest.approx(11.5)


@pytest.mark.parametrize(
    ("metadata", "subject", "views", "expected"),
    [
        ({"layout_name": "mpii"}, "S9", 4, "layout 'mpii'"),
        (GT, "S1", 4, "no subject S9"),
        (GT, "S9", 3, "seen by 3 cameras"),
    ],
)
def test_a_wrong_layout_is_one_sentence(
    tmp_path: Path, metadata: dict[str, object], subject: str, views: int, expected: str
) -> None:
    paths = written(tmp_path, projected(world_m(), "S9")[:views], metadata, subject)
    with pytest.raises(ConfigError) as said:
        read_h36m_videopose3d(*paths, ("S9",))
    assert expected in str(said.value)
    assert "\n" not in str(said.value)
