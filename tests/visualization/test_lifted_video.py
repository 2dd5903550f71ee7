"""Video of a lifted clip, read back: size, rate, the picture at the left and people in 3D."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from langpose_rt.errors import ConfigError
from langpose_rt.formats.clip import Clip
from langpose_rt.formats.lifted_npz import PoseSequence
from langpose_rt.geometry.skeleton import SKELETONS
from langpose_rt.visualization.lifted_video import (
    HEIGHT_PX,
    WORLD_WIDTH_PX,
    rate_hz,
    save_lifted_video,
    scene_of_frame,
)
from langpose_rt.visualization.world_panel import SIDES
from tests.visualization.people import SIZE_PX, seen, standing

FRAMES = 4
IMAGE_WIDTH_PX = 960
"""Of a 4:3 camera at the height of the video."""


def walking(frame: int) -> np.ndarray:
    """Root of somebody who walks to the right of the camera, away from the middle."""
    return np.array([0.25 * frame - 0.4, 0.0, 4.0], np.float32)


@pytest.fixture
def clip() -> Clip:
    keypoints = np.stack([seen(standing(), walking(frame)) for frame in range(FRAMES)])[:, None]
    return Clip(
        keypoints=keypoints,
        skeleton=SKELETONS["h36m17"],
        size=SIZE_PX,
        t_ns=np.arange(FRAMES) * 40_000_000,
        ids=np.full((FRAMES, 1), -1),
    )


@pytest.fixture
def lifted(clip: Clip) -> PoseSequence:
    poses = PoseSequence.empty(clip.t_ns, 1)
    poses.ids[:, 0] = 0
    poses.pose[:, 0] = standing()
    poses.sigma_m[:] = 0.02
    for frame in range(FRAMES):
        poses.root[frame, 0] = walking(frame)
    return poses


def pictures(count: int) -> list[np.ndarray]:
    """Pictures of one colour, green."""
    green = np.zeros((SIZE_PX[1], SIZE_PX[0], 3), np.uint8)
    green[..., 1] = 180
    return [green] * count


def frames_of(path: Path) -> tuple[list[np.ndarray], float]:
    """The pictures of a video file, and their rate."""
    video = cv2.VideoCapture(str(path))
    frames = []
    while True:
        ok, picture = video.read()
        if not ok:
            return frames, float(video.get(cv2.CAP_PROP_FPS))
        frames.append(picture)


def orange_column(image: np.ndarray) -> float:
    """Mean column of the left limbs."""
    red_over_blue = image[..., 2].astype(int) - image[..., 0]
    return float(np.argwhere(red_over_blue > 60)[:, 1].mean())


def test_picture_and_people_are_side_by_side(
    clip: Clip, lifted: PoseSequence, tmp_path: Path
) -> None:
    done: list[int] = []
    out = tmp_path / "lifted.mp4"
    assert save_lifted_video(out, pictures(FRAMES), clip, lifted, on_frame=done.append) == FRAMES
    frames, fps = frames_of(out)
    assert done == [1, 2, 3, 4]
    assert (len(frames), fps) == (FRAMES, 25.0)
    width = IMAGE_WIDTH_PX + len(SIDES) * WORLD_WIDTH_PX
    assert frames[0].shape == (HEIGHT_PX, width, 3)
    image, front = np.split(frames[0], [IMAGE_WIDTH_PX], 1)[0], frames[0][:, IMAGE_WIDTH_PX:]
    assert image[-20:, :20, 1].mean() > image[-20:, :20, 2].mean() + 40  # the green picture
    assert orange_column(image) > 0
    assert orange_column(front[:, :WORLD_WIDTH_PX]) > 0


def test_only_people_move(clip: Clip, lifted: PoseSequence, tmp_path: Path) -> None:
    save_lifted_video(tmp_path / "o.mp4", pictures(FRAMES), clip, lifted)
    frames, _ = frames_of(tmp_path / "o.mp4")
    front = slice(IMAGE_WIDTH_PX, IMAGE_WIDTH_PX + WORLD_WIDTH_PX)
    columns = [orange_column(frame[:, front]) for frame in frames]
    assert (np.diff(columns) > 10).all(), columns  # to the right of the camera is to the right
    still = frames[0][:60, front].astype(int) - frames[-1][:60, front]
    assert np.abs(still).mean() < 2  # the heading stays; the codec loses a little


def test_a_clip_shorter_than_the_video_ends_the_video(
    clip: Clip, lifted: PoseSequence, tmp_path: Path
) -> None:
    assert save_lifted_video(tmp_path / "a.mp4", pictures(9), clip, lifted) == FRAMES
    assert save_lifted_video(tmp_path / "b.mp4", pictures(2), clip, lifted) == 2


def test_a_scene_has_all_keypoints_and_all_poses(clip: Clip, lifted: PoseSequence) -> None:
    scene = scene_of_frame(clip, lifted, 1, None)
    assert [person.keypoints_px is not None for person in scene.people] == [True, False]
    assert [person.sigma_m is not None for person in scene.people] == [False, True]
    lifted.ids[1] = -1
    assert len(scene_of_frame(clip, lifted, 1, None).people) == 1


def test_an_outlier_neither_widens_the_view_nor_lowers_the_floor(
    clip: Clip, lifted: PoseSequence, tmp_path: Path
) -> None:
    many = 60
    long = Clip(
        keypoints=np.repeat(clip.keypoints[:1], many, 0),
        skeleton=clip.skeleton,
        size=clip.size,
        t_ns=np.arange(many) * 40_000_000,
        ids=np.full((many, 1), -1),
    )
    poses = PoseSequence.empty(long.t_ns, 1)
    poses.ids[:], poses.pose[:, 0], poses.root[:, 0] = 0, standing(), walking(0)
    poses.sigma_m[:] = 0.02
    save_lifted_video(tmp_path / "a.mp4", pictures(1), long, poses)
    poses.root[many // 2, 0] = (30.0, 9.0, 90.0)
    save_lifted_video(tmp_path / "b.mp4", pictures(1), long, poses)
    (usual,), (odd,) = frames_of(tmp_path / "a.mp4")[0], frames_of(tmp_path / "b.mp4")[0]
    np.testing.assert_array_equal(usual, odd)


def test_nobody_is_one_sentence(clip: Clip, tmp_path: Path) -> None:
    nobody = PoseSequence.empty(clip.t_ns, 1)
    with pytest.raises(ConfigError, match="nobody was lifted"):
        save_lifted_video(tmp_path / "o.mp4", pictures(1), clip, nobody)


def test_a_place_that_cannot_be_written_is_one_sentence(
    clip: Clip, lifted: PoseSequence, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="cannot be written as a video"):
        save_lifted_video(tmp_path / "none" / "o.mp4", pictures(1), clip, lifted)


def test_the_rate_is_the_mean_one(clip: Clip) -> None:
    assert rate_hz(clip) == 25.0


def test_a_single_frame_has_a_rate(clip: Clip) -> None:
    one = {name: getattr(clip, name)[:1] for name in ("keypoints", "t_ns", "ids")}
    assert rate_hz(replace(clip, **one)) == 30.0
