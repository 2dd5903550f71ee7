"""Flags of the detector: help, choices, and refused flags of keypoint files."""

import argparse
from pathlib import Path

import numpy as np
import pytest

from langpose_rt.cli.arguments.detection import (
    NOT_FOR_VIDEOS,
    add_detector_arguments,
    check_video_flags,
    clip_of_video,
    detector_from_arguments,
)
from langpose_rt.errors import ConfigError
from langpose_rt.formats.clip import ClipOverrides
from tests.capture.footage import EMPTY_FRAMES, FRAMES, SIZE, install_stand_in, written_video


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_detector_arguments(parser)
    return parser.parse_args(words)


def test_the_flags_are_those_of_the_configuration() -> None:
    arguments = parsed("--keypoints", "feet", "--device", "mps")
    assert vars(arguments) == {
        "detector": "auto", "keypoints": "feet", "mode": "lightweight", "device": "mps",
    }  # fmt: skip


def test_an_unknown_detector_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parsed("--detector", "body")
    assert "mediapipe" in capsys.readouterr().err


def test_a_wrong_combination_is_refused_before_anything_is_opened() -> None:
    with pytest.raises(ConfigError, match="--mode is an option of rtmlib"):
        detector_from_arguments(parsed("--detector", "mediapipe", "--mode", "balanced"))


@pytest.mark.parametrize("flag", NOT_FOR_VIDEOS)
def test_flags_of_keypoint_files_are_refused_for_videos(flag: str) -> None:
    given = {name: "1" if name == flag else None for name in NOT_FOR_VIDEOS}
    arguments = argparse.Namespace(**given)
    with pytest.raises(ConfigError, match=f"--{flag} says nothing about v.mp4; leave it out"):
        check_video_flags(arguments, "v.mp4")
    check_video_flags(arguments, "v.mp4", allowed=(flag,))


def test_a_video_becomes_a_clip_and_the_gravity_of_the_flags_goes_with_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install_stand_in(monkeypatch)
    arguments = parsed("--detector", "rtmlib")
    arguments.format = arguments.size = arguments.fps = None
    down = np.array([0.0, 1.0, 0.0])
    clip = clip_of_video(arguments, written_video(tmp_path / "v.mp4"), ClipOverrides(gravity=down))
    assert clip.size == SIZE
    assert clip.present.sum() == FRAMES - EMPTY_FRAMES
    assert clip.gravity is down


def test_a_command_without_a_detector_takes_no_video() -> None:
    with pytest.raises(ConfigError, match=r"v\.mp4 is a video, and this command takes keypoints"):
        clip_of_video(argparse.Namespace(), Path("v.mp4"), ClipOverrides())


def test_a_video_that_is_not_there_is_named_before_a_detector_is_loaded() -> None:
    arguments = parsed()
    arguments.format = arguments.size = arguments.fps = None
    with pytest.raises(ConfigError, match=r"v\.mp4 does not exist; expected a video file"):
        clip_of_video(arguments, Path("/nowhere/v.mp4"), ClipOverrides())
