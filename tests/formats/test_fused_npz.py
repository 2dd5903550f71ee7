"""Fused poses as npz: what is in the file, and that readers of poses take it."""

from pathlib import Path

import numpy as np

from langpose_rt.formats.fused_npz import FusedSequence, fused_to_npz
from langpose_rt.formats.lifted_npz import lifted_from_npz, tracks_from_lifted

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
