"""`lift` and `convert` of a video, with a stand-in for rtmlib: files, pictures and sentences."""

import json
from pathlib import Path

import cv2
import pytest

from langpose_rt.formats.lifted_npz import lifted_from_npz
from tests.capture.footage import EMPTY_FRAMES, FRAMES, install_stand_in, written_video
from tests.commands import run_here


@pytest.fixture
def video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    install_stand_in(monkeypatch)
    return written_video(tmp_path / "walk.mp4")


def test_lift_writes_the_poses_of_a_video(model: Path, video: Path, tmp_path: Path) -> None:
    done = run_here("lift", video, "-o", tmp_path / "out.npz", "--model", model, "--json")
    assert done.code == 0, done.err
    said = json.loads(done.out)
    assert (said["frames"], said["poses"]) == (FRAMES, FRAMES - EMPTY_FRAMES)
    assert f"nobody was found in {EMPTY_FRAMES} of {FRAMES} frames" in said["notes"]
    lifted = lifted_from_npz(tmp_path / "out.npz")
    assert lifted.ids[:, 0].tolist() == [-1] * EMPTY_FRAMES + [0] * (FRAMES - EMPTY_FRAMES)


@pytest.mark.parametrize("ending", ["bvh", "trc", "csv", "npz"])
def test_convert_writes_the_people_of_a_video(
    model: Path, video: Path, tmp_path: Path, ending: str
) -> None:
    out = tmp_path / f"out.{ending}"
    done = run_here("convert", video, "-o", out, "--model", model, "--json")
    assert done.code == 0, done.err
    (written,) = json.loads(done.out)
    assert written["persons"] == 1
    assert out.stat().st_size > 0


def test_convert_draws_a_video(model: Path, video: Path, tmp_path: Path) -> None:
    out = tmp_path / "lifted.mp4"
    done = run_here("convert", video, "-o", out, "--model", model)
    assert done.code == 0, done.err
    assert "the lens is assumed to see 60 degrees" in done.err
    assert "gravity is not known, so the camera is taken for level" in done.err
    assert f"{FRAMES} frames" in done.out
    assert cv2.VideoCapture(str(out)).get(cv2.CAP_PROP_FRAME_COUNT) == FRAMES


def test_a_video_is_not_drawn_from_files_without_pictures(clip_file: Path, tmp_path: Path) -> None:
    done = run_here("convert", clip_file, "-o", tmp_path / "out.mp4")
    assert done.code == 2
    assert done.sentence.endswith(
        "ends in none of .trc .c3d .bvh .csv .npz; a video is drawn over its pictures: "
        "'langpose-rt convert walk.mp4 -o lifted.mp4'"
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--fps", "30"), "--fps says nothing about"),
        (("--format", "coco17"), "choose the keypoints with --keypoints"),
        (("--detector", "mediapipe", "--mode", "balanced"), "--mode is an option of rtmlib"),
    ],
)
def test_a_wrong_flag_of_a_video_is_one_sentence(
    model: Path, video: Path, tmp_path: Path, words: tuple[str, ...], sentence: str
) -> None:
    done = run_here("lift", video, "-o", tmp_path / "out.npz", "--model", model, *words)
    assert done.code == 2
    assert sentence in done.sentence


def test_the_video_that_is_read_is_never_written_over(video: Path) -> None:
    done = run_here("convert", video, "-o", video)
    assert done.code == 2
    assert "is the file that is read" in done.sentence


def test_a_command_for_keypoints_says_how_to_lift_a_video(video: Path) -> None:
    done = run_here("evaluate", video)
    assert done.code == 2
    assert "is a video, and this command takes keypoints; lift it with" in done.sentence
