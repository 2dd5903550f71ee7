"""C3D, written with ezc3d and read back with the independent package c3d."""

import warnings
from pathlib import Path
from typing import Any

import c3d
import ezc3d
import numpy as np
import pytest

from langpose_rt.errors import ConfigError
from langpose_rt.formats.c3d import motion_to_c3d
from langpose_rt.formats.track import Motion
from langpose_rt.geometry.skeleton import JOINTS
from tests.commands import python
from tests.formats.walker import joint, motion_of, swinging


def read_back(path: Path, motion: Motion) -> tuple[Any, np.ndarray]:
    motion_to_c3d(path, motion)
    with path.open("rb") as file, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No analog data found")
        reader = c3d.Reader(file)
        return reader, np.stack([points for _, points, _ in reader.read_frames()])


def test_another_reader_finds_the_points_labels_units_and_rate(tmp_path: Path) -> None:
    joints = swinging(7)
    reader, points = read_back(tmp_path / "walk.c3d", motion_of(joints))
    assert [label.strip() for label in reader.point_labels] == JOINTS
    assert reader.point_rate == 50.0
    assert reader.get("POINT:UNITS").string_value.strip() == "mm"
    assert reader.get("POINT:Y_SCREEN").string_value.strip() == "+Z"
    expected = np.stack([-joints[..., 2], joints[..., 0], -joints[..., 1]], -1)
    np.testing.assert_allclose(points[..., :3] / 1000, expected, atol=1e-6)
    np.testing.assert_array_equal(points[..., 3], 0)


def test_z_is_up(tmp_path: Path) -> None:
    _, points = read_back(tmp_path / "a.c3d", motion_of(swinging(5)))
    head, hip, ankle = (points[:, joint(name), 2] for name in ("Head", "Hip", "RAnkle"))
    assert (head > hip + 300).all()
    assert (hip > ankle + 300).all()


def test_missing_frames_have_a_residual_of_minus_one(tmp_path: Path) -> None:
    _, points = read_back(tmp_path / "gap.c3d", motion_of(swinging(6), slice(2, 4)))
    missing = (points[..., 3] == -1).all(-1)
    assert missing.tolist() == [False, False, True, True, False, False]


def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        motion_to_c3d(tmp_path / "nowhere" / "a.c3d", motion_of(swinging(2)))


def motion_of_frames(frames: int) -> Motion:
    return Motion(
        rate_hz=60.0, first_s=0.0, joints=np.ones((frames, 17, 3)), sigma_m=np.ones((frames, 17))
    )


def test_as_many_frames_as_the_format_counts_are_read_back(tmp_path: Path) -> None:
    motion_to_c3d(tmp_path / "long.c3d", motion_of_frames(65_535))
    again = ezc3d.c3d(str(tmp_path / "long.c3d"))
    assert again["data"]["points"].shape[2] == 65_535


def test_more_frames_than_the_format_counts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="would have 65536 frames; a C3D file holds 65535: choose"
    ):
        motion_to_c3d(tmp_path / "long.c3d", motion_of_frames(65_536))
    assert list(tmp_path.iterdir()) == []


def test_a_file_name_may_be_of_any_language(tmp_path: Path) -> None:
    motion_to_c3d(tmp_path / "カメラ é.c3d", motion_of_frames(3))
    assert [path.name for path in tmp_path.iterdir()] == ["カメラ é.c3d"]


def test_a_full_disk_leaves_no_half_file(tmp_path: Path) -> None:
    script = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from langpose_rt.errors import ConfigError\n"
        "from tests.formats.test_c3d import motion_of_frames\n"
        "from langpose_rt.formats.c3d import motion_to_c3d\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "try:\n"
        f"    motion_to_c3d(Path({str(tmp_path / 'cut.c3d')!r}), motion_of_frames(500))\n"
        "except ConfigError as error:\n"
        "    print(error)\n"
    )
    done = python(script)
    assert "cut.c3d cannot be written: " in done.out, done.err
    assert list(tmp_path.iterdir()) == []
