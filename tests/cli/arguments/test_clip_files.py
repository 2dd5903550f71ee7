"""Clips of several cameras: which file is of which camera, and what the calibration adds."""

import argparse
import json
from pathlib import Path

import numpy as np
import pytest

from langpose_rt.cli.arguments.clip_files import (
    add_clip_arguments,
    camera_name,
    camera_named,
    clips_of_cameras,
    rate_from_text,
)
from langpose_rt.errors import ConfigError
from langpose_rt.formats.clip_npz import clip_to_npz
from tests.fusion.rigs import ring
from tests.fusion.walks import clips_of_walk


def flags(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_clip_arguments(parser)
    return parser.parse_args(words)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    found = []
    for name, clip in clips_of_walk().items():
        found.append(tmp_path / f"{name}.npz")
        clip_to_npz(found[-1], clip)
    return found


def test_every_file_is_the_camera_of_its_name(files: list[Path]) -> None:
    clips = clips_of_cameras(flags(), files)
    assert list(clips) == ["cam0", "cam1", "cam2", "cam3"]
    assert all(len(clip.t_ns) == 240 for clip in clips.values())


def test_a_calibration_gives_names_lenses_and_gravity(files: list[Path]) -> None:
    cameras = {f"cam_{name[-1]}": camera for name, camera in ring(4).items()}
    named = {
        name: type(camera)(
            name=name,
            intrinsics=camera.intrinsics.resized(640, 360),
            T_world_camera=camera.T_world_camera,
            gravity=camera.gravity,
        )
        for name, camera in cameras.items()
    }
    clips = clips_of_cameras(flags(), files, named)
    assert list(clips) == ["cam_0", "cam_1", "cam_2", "cam_3"]
    for name, clip in clips.items():
        assert clip.intrinsics is not None
        assert clip.intrinsics.width_px == clip.size[0], "the lens is that of the clip's size"
        np.testing.assert_array_equal(clip.gravity, named[name].gravity)


def test_a_folder_of_folders_is_one_camera_each(tmp_path: Path) -> None:
    people = {"people": [{"pose_keypoints_2d": [100.0, 200.0, 0.9] * 25}]}
    for camera in ("cam01_json", "cam02_json"):
        folder = tmp_path / "pose" / camera
        folder.mkdir(parents=True)
        for frame in range(3):
            (folder / f"f_{frame:04}.json").write_text(json.dumps(people))
    words = flags("--size", "640x480", "--fps", "30", "--format", "body25")
    assert list(clips_of_cameras(words, [tmp_path / "pose"])) == ["cam01", "cam02"]


def test_two_files_of_one_camera_are_refused(files: list[Path], tmp_path: Path) -> None:
    again = tmp_path / "again" / "cam1.npz"
    again.parent.mkdir()
    again.write_bytes(files[1].read_bytes())
    with pytest.raises(ConfigError, match='two files are of a camera "cam1"; rename one'):
        clips_of_cameras(flags(), [*files, again])


def test_a_camera_has_the_name_of_its_file_without_json() -> None:
    assert camera_name(Path("a/cam01_json")) == "cam01"
    assert camera_name(Path("a/left.npz")) == "left"


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("cam1", "cam1"),
        ("cam-1", "cam1"),
        ("rig0/cam_2", "cam2"),
        ("trial_cam3", "cam3"),
        ("Cam01", "cam1"),
    ],
)
def test_names_may_differ_in_what_people_write_between_them(said: str, meant: str) -> None:
    assert camera_named(said, ring(4)).name == meant


@pytest.mark.parametrize("said", ["left", "cam9", "cam1_and_cam2", "cam10", "webcam"])
def test_a_camera_that_is_not_calibrated_is_refused_with_those_that_are(said: str) -> None:
    with pytest.raises(ConfigError, match=r'no camera ".*"; the calibration has cam0, cam1, cam2'):
        camera_named(said, ring(3))


def test_rates_are_read_as_people_write_them() -> None:
    assert rate_from_text("30000/1001") == pytest.approx(29.97, abs=1e-3)
    assert rate_from_text(None) is None
    with pytest.raises(ConfigError, match="expected a number, or a fraction"):
        rate_from_text("1/0")
