"""C3D, written with ezc3d and read back with the independent package c3d."""

import warnings
from pathlib import Path
from typing import Any

import c3d
import numpy as np
import pytest

from langpose_rt.errors import ConfigError
from langpose_rt.formats.c3d import motion_to_c3d
from langpose_rt.formats.track import Motion
from langpose_rt.geometry.skeleton import JOINTS
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
