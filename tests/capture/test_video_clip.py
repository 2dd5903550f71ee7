"""Clip of a video: the people of every frame, its times, and frames without anybody."""

import math
from pathlib import Path

import numpy as np
import pytest

from langpose_rt.capture.rtmlib_detector import RtmlibDetector
from langpose_rt.capture.video_clip import clip_from_video
from langpose_rt.capture.video_source import VideoFile
from langpose_rt.errors import ConfigError
from langpose_rt.formats.clip import ClipOverrides
from langpose_rt.geometry.camera import Intrinsics
from tests.capture.footage import EMPTY_FRAMES, FPS, FRAMES, SIZE, Body, person_coco, written_video


@pytest.fixture
def video(tmp_path: Path) -> VideoFile:
    return VideoFile(str(written_video(tmp_path / "video.mp4")), speed=math.inf)


def test_every_frame_is_in_the_clip_with_its_time_and_people(video: VideoFile) -> None:
    done: list[int] = []
    detector = RtmlibDetector(Body(), "coco17", 17)
    clip = clip_from_video(video, detector, ClipOverrides(), on_frame=done.append)
    assert video.frames == FRAMES
    assert done == list(range(1, FRAMES + 1))
    assert (clip.size, clip.skeleton.name, clip.format_guessed) == (SIZE, "coco17", False)
    assert clip.keypoints.shape == (FRAMES, 1, 17, 3)
    assert clip.present[:, 0].tolist() == [False] * EMPTY_FRAMES + [True] * (FRAMES - EMPTY_FRAMES)
    np.testing.assert_allclose(clip.keypoints[-1, 0, :, :2], person_coco())
    assert clip.t_ns.tolist() == [round(frame * 1e9 / FPS) for frame in range(FRAMES)]
    assert (clip.ids == -1).all()
    assert clip.notes == (f"nobody was found in {EMPTY_FRAMES} of {FRAMES} frames",)


def test_people_who_come_and_go_are_columns(video: VideoFile) -> None:
    class Crowd:
        skeleton = "coco17"
        calls = 0

        def __call__(self, _picture: np.ndarray) -> np.ndarray:
            self.calls += 1
            return np.ones((self.calls % 3, 17, 3), np.float32)

    clip = clip_from_video(video, Crowd(), ClipOverrides())
    assert clip.present.sum(1).tolist() == [1, 2, 0] * (FRAMES // 3)
    assert clip.keypoints.shape[1] == 2


def test_what_the_flags_know_of_the_camera_is_kept(video: VideoFile) -> None:
    lens = Intrinsics(
        fx_px=150.0, fy_px=150.0, cx_px=64.0, cy_px=80.0, width_px=SIZE[0], height_px=SIZE[1]
    )
    known = ClipOverrides(intrinsics=lens, gravity=np.array([0.0, 1.0, 0.0]))
    clip = clip_from_video(video, RtmlibDetector(Body(), "coco17", 17), known)
    assert clip.intrinsics is lens
    assert clip.gravity is known.gravity


def test_a_video_without_frames_is_one_sentence(
    video: VideoFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video, "pictures", lambda: iter(()))
    with pytest.raises(ConfigError, match="no frame of the video can be read"):
        clip_from_video(video, RtmlibDetector(Body(), "coco17", 17), ClipOverrides())
