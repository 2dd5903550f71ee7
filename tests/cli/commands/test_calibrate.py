import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from langpose_rt.cli.main import main
from langpose_rt.formats.calibration import cameras_from_toml
from langpose_rt.formats.clip import Clip
from langpose_rt.formats.clip_npz import clip_to_npz
from langpose_rt.geometry.skeleton import FLIP_INDICES
from tests.fusion.rigs import ring
from tests.fusion.walks import clips_of_walk

TWO = ring(2)


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    for name, clip in clips_of_walk().items():
        clip_to_npz(tmp_path / f"{name}.npz", clip)
    return [str(tmp_path / f"cam{n}.npz") for n in range(4)]


def test_clips_become_a_calibration_a_report_and_a_picture(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, picture = tmp_path / "calib.toml", tmp_path / "rig.png"
    words = ["calibrate", *files, "-o", str(out), "--picture", str(picture), "--json"]
    assert main(words) == 0
    report = json.loads(capsys.readouterr().out)
    assert list(report["cameras"]) == ["cam0", "cam1", "cam2", "cam3"]
    assert report["cameras"]["cam0"]["residual_px"] < 4
    read = cameras_from_toml(out)
    centre = read["cam2"].T_world_camera
    assert centre is not None
    np.testing.assert_allclose(centre[:3, 3], report["cameras"]["cam2"]["centre_m"], atol=1e-3)
    image = cv2.imread(str(picture))
    assert image is not None
    assert image.std() > 5


def test_the_report_is_lines_for_a_person(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["calibrate", *files, "-o", str(tmp_path / "calib.toml")]) == 0
    said = capsys.readouterr().out
    assert "4 cameras, the walker got around 2." in said
    assert "px off, saw 100 % of the walk" in said


def test_one_file_is_refused_in_a_line(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["calibrate", files[0], "-o", str(tmp_path / "calib.toml")]) == 2
    assert "found 1 camera; expected at least 2" in capsys.readouterr().err


def seen_by_turns(clip: Clip, turn: int) -> Clip:
    """The clip with somebody in it in every other second only."""
    keypoints = clip.keypoints.copy()
    keypoints[((clip.t_ns - clip.t_ns[0]) // 10**9) % 2 != turn] = 0
    return replace(clip, keypoints=keypoints)


def mirrored(clip: Clip) -> Clip:
    """The clip as a detector finds it in a mirrored picture: a left hand looks like a right one."""
    keypoints = clip.keypoints[..., FLIP_INDICES, :].copy()
    keypoints[..., 0] = clip.size[0] - 1 - keypoints[..., 0]
    return replace(clip, keypoints=keypoints)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda _: clips_of_walk(TWO, still=True), "expected somebody who walks about"),
        (lambda clips: clips | {"cam1": mirrored(clips["cam1"])}, "is mirrored"),
        (
            lambda clips: {
                name: seen_by_turns(clip, int(name > "cam0")) for name, clip in clips.items()
            },
            "sees nobody together with another camera",
        ),
    ],
    ids=["nobody walks", "a mirrored picture", "people who never meet in two views"],
)
def test_a_walk_that_cannot_calibrate_is_one_sentence(
    change: Callable[[dict[str, Clip]], dict[str, Clip]],
    sentence: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = [tmp_path / f"{name}.npz" for name in TWO]
    for path, clip in zip(files, change(clips_of_walk(TWO)).values(), strict=True):
        clip_to_npz(path, clip)
    out = tmp_path / "calib.toml"
    assert main(["calibrate", *map(str, files), "-o", str(out)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert sentence in said
    assert not out.exists()


def test_no_option_is_offered_that_would_be_ignored(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["calibrate", *files, "-o", str(tmp_path / "calib.toml")]
    for option in ("--gravity=0,1,0", "--camera-pitch-deg=3", "--up=z", "--camera=cam0"):
        with pytest.raises(SystemExit):
            main([*words, option])
        assert option.partition("=")[0] in capsys.readouterr().err


def test_a_file_that_is_read_is_never_written_over(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lenses = tmp_path / "lenses.toml"
    lenses.write_text("[cam]")
    assert main(["calibrate", *files, "--lenses", str(lenses), "-o", str(lenses)]) == 2
    assert "is the file that is read; choose another -o" in capsys.readouterr().err
    assert lenses.read_text() == "[cam]"


def test_lenses_of_another_rig_are_refused(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lenses = tmp_path / "lenses.toml"
    lenses.write_text(
        "[left]\nsize = [1280, 720]\nmatrix = [[900, 0, 640], [0, 900, 360], [0, 0, 1]]"
    )
    words = ["calibrate", *files, "--lenses", str(lenses), "-o", str(tmp_path / "calib.toml")]
    assert main(words) == 2
    assert 'there is no camera "cam0"; the calibration has left' in capsys.readouterr().err
