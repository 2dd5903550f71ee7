"""Fused poses as npz: what is in the file, and that readers of poses take it."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from langpose_rt.errors import ConfigError
from langpose_rt.formats.archive import arrays_to_npz
from langpose_rt.formats.fused_npz import (
    FusedSequence,
    fused_to_npz,
    poses_from_npz,
    poses_to_npz,
)
from langpose_rt.formats.lifted_npz import (
    PoseSequence,
    lifted_from_npz,
    poses_of_people,
    tracks_from_lifted,
)

NAMES = tuple(f"joint{n}" for n in range(20))


def one_person() -> FusedSequence:
    fused = FusedSequence.of_nobody(
        np.array([0, 20, 40]) * 1_000_000, 2, joint_names=NAMES, cameras=("left", "right")
    )
    rng = np.random.default_rng(0)
    fused.pose[:, 1] = rng.normal(size=(3, 17, 3))
    fused.root[:, 1] = rng.normal(size=(3, 3))
    fused.sigma_m[:, 1] = 0.01
    fused.ids[:, 1] = 7
    fused.joints[:, 1] = rng.normal(size=(3, 20, 3))
    fused.views[:, 1] = 3
    fused.seen_by[:, 1] = True
    return fused


def test_nobody_is_nan_without_views() -> None:
    fused = FusedSequence.of_nobody(np.zeros(2, np.int64), 1, joint_names=NAMES, cameras=("a",))
    assert fused.frame == "world"
    assert fused.joints.shape == (2, 1, 20, 3)
    assert np.isnan(fused.joints).all()
    assert not fused.views.any()
    assert (fused.held_ns == -1).all()


def test_the_file_has_every_fused_joint_and_where_it_comes_from(tmp_path: Path) -> None:
    fused = one_person()
    fused_to_npz(tmp_path / "fused.npz", fused)
    with np.load(tmp_path / "fused.npz", allow_pickle=False) as file:
        np.testing.assert_array_equal(file["joints"], fused.joints)
        np.testing.assert_array_equal(file["views"], fused.views)
        assert file["joint_names"].tolist() == list(NAMES)
        assert file["cameras"].tolist() == ["left", "right"]
        assert file["covariance_m2"].shape == (3, 2, 20, 3, 3)


def test_a_reader_of_poses_takes_the_17_joints_in_world_axes(tmp_path: Path) -> None:
    fused = one_person()
    fused_to_npz(tmp_path / "fused.npz", fused)
    (track,) = tracks_from_lifted(lifted_from_npz(tmp_path / "fused.npz"), "file/volume")
    assert (track.person, track.frame) == (7, "world")
    np.testing.assert_array_equal(track.joints, fused.pose[:, 1] + fused.root[:, 1, None])


def test_all_that_is_written_is_read_again(tmp_path: Path) -> None:
    fused, path = one_person(), tmp_path / "fused.npz"
    poses_to_npz(path, fused)
    read = poses_from_npz(path)
    assert isinstance(read, FusedSequence)
    for one in fields(FusedSequence):
        wrote, found = getattr(fused, one.name), getattr(read, one.name)
        np.testing.assert_array_equal(found, wrote, err_msg=one.name)
        assert getattr(found, "dtype", None) == getattr(wrote, "dtype", None), one.name


def test_plain_poses_are_read_as_such(tmp_path: Path) -> None:
    poses_to_npz(tmp_path / "a.npz", PoseSequence.empty(np.arange(3), 1))
    assert type(poses_from_npz(tmp_path / "a.npz")) is PoseSequence


def test_people_who_are_not_chosen_are_missing_from_every_array() -> None:
    fused = one_person()
    fused.ids[:, 0] = 3
    fused.joints[:, 0] = 1.0
    fused.views[:, 0] = 3
    (chosen, nobody) = (poses_of_people(fused, people) for people in ({7}, ()))
    assert chosen.ids.tolist() == [[7]] * 3
    np.testing.assert_array_equal(chosen.joints, fused.joints[:, 1:])
    np.testing.assert_array_equal(chosen.seen_by, fused.seen_by[:, 1:])
    assert nobody.joints.shape == (3, 0, 20, 3)
    fused.ids[1:, 1] = 3
    alone = poses_of_people(fused, {7})
    assert alone.ids.tolist() == [[7], [-1], [-1]]
    assert np.isnan(alone.joints[1:]).all()
    assert not alone.views[1:].any()
    assert (alone.held_ns == -1).all()


@pytest.mark.parametrize("name", ["joints", "views", "seen_by", "cameras"])
def test_a_file_with_an_array_of_another_shape_is_one_sentence(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.npz"
    fused_to_npz(path, one_person())
    with np.load(path) as file:
        arrays = dict(file) | {name: np.zeros((3, 2), np.float32)}
    arrays_to_npz(path, arrays)
    with pytest.raises(ConfigError, match=name):
        poses_from_npz(path)
