"""Lifted poses as npz: round trip, with NaN for missing persons."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from langpose_rt.errors import ConfigError
from langpose_rt.formats.lifted_npz import (
    PoseSequence,
    columns_of_ids,
    lifted_from_npz,
    lifted_from_tracks,
    lifted_to_npz,
    tracks_from_lifted,
)

T_NS = np.array([0, 20, 50]) * 1_000_000


def one_person_in_the_middle() -> PoseSequence:
    lifted = PoseSequence.empty(T_NS, persons=2)
    rng = np.random.default_rng(0)
    lifted.pose[1, 0] = rng.normal(size=(17, 3))
    lifted.root[1, 0] = rng.normal(size=3)
    lifted.sigma_m[1, 0] = rng.random(17)
    lifted.ids[1, 0] = 12
    return lifted


def test_an_empty_clip_has_nobody_in_it() -> None:
    lifted = PoseSequence.empty(T_NS, persons=2)
    assert lifted.pose.shape == (3, 2, 17, 3)
    assert lifted.root.shape == (3, 2, 3)
    assert lifted.sigma_m.shape == (3, 2, 17)
    assert all(np.isnan(array).all() for array in (lifted.pose, lifted.root, lifted.sigma_m))
    assert (lifted.ids == -1).all()


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    lifted = one_person_in_the_middle()
    lifted_to_npz(tmp_path / "out.npz", lifted)
    again = lifted_from_npz(str(tmp_path / "out.npz"))
    assert (again.gravity, again.level_src) == (None, "none")
    for name in ("pose", "root", "sigma_m", "ids", "t_ns", "frame"):
        before, after = np.asarray(getattr(lifted, name)), np.asarray(getattr(again, name))
        assert before.dtype == after.dtype
        np.testing.assert_array_equal(before, after)


def test_the_file_has_the_documented_arrays(tmp_path: Path) -> None:
    lifted_to_npz(tmp_path / "out", one_person_in_the_middle())
    with np.load(tmp_path / "out", allow_pickle=False) as arrays:
        assert set(arrays.files) == {"pose", "root", "sigma_m", "ids", "t_ns", "frame"}
        assert arrays["pose"].dtype == np.float32
        assert arrays["t_ns"].tolist() == T_NS.tolist()


def test_a_file_that_does_not_fit_together_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "out.npz"
    lifted_to_npz(path, one_person_in_the_middle())
    arrays = dict(np.load(path))
    np.savez(path, **{**arrays, "root": np.zeros((3, 1, 3))})
    with pytest.raises(ConfigError, match=r'"root" of shape \(3, 1, 3\); expected shape \(3,2,3\)'):
        lifted_from_npz(path)
    del arrays["sigma_m"]
    np.savez(path, **arrays)
    with pytest.raises(ConfigError, match='found no "sigma_m"'):
        lifted_from_npz(path)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone/out.npz cannot be written: No such file"):
        lifted_to_npz(tmp_path / "gone" / "out.npz", one_person_in_the_middle())


def test_gravity_and_its_source_stay_with_the_poses_and_their_tracks(tmp_path: Path) -> None:
    lifted = replace(one_person_in_the_middle(), gravity=(0.0, 0.6, 0.8), level_src="estimated")
    lifted_to_npz(tmp_path / "out.npz", lifted)
    again = lifted_from_npz(tmp_path / "out.npz")
    assert again.gravity == pytest.approx((0.0, 0.6, 0.8))
    assert again.level_src == "estimated"
    tracks = tracks_from_lifted(again, "file/clip")
    assert {(track.gravity, track.level_src) for track in tracks} == {(again.gravity, "estimated")}
    assert lifted_from_tracks(tracks).gravity == again.gravity
    np.savez(tmp_path / "bad.npz", **arrays_of(lifted), gravity=np.zeros(3))
    with pytest.raises(ConfigError, match='"gravity" of length 0'):
        lifted_from_npz(tmp_path / "bad.npz")


def arrays_of(lifted: PoseSequence) -> dict[str, np.ndarray]:
    return {name: getattr(lifted, name) for name in ("pose", "root", "sigma_m", "ids", "t_ns")}


def test_axes_are_kept_and_those_of_older_files_are_the_cameras(tmp_path: Path) -> None:
    path = tmp_path / "out.npz"
    lifted_to_npz(path, replace(one_person_in_the_middle(), frame="world"))
    again = lifted_from_npz(path)
    (track,) = tracks_from_lifted(again, "a/b")
    assert (again.frame, track.frame) == ("world", "world")
    assert lifted_from_tracks([track]).frame == "world"
    arrays = {name: array for name, array in np.load(path).items() if name != "frame"}
    np.savez(path, **arrays)
    assert lifted_from_npz(path).frame == "camera"
    np.savez(path, **arrays, frame="room")
    with pytest.raises(ConfigError, match='"frame" is "room"; expected "camera" or "world"'):
        lifted_from_npz(path)


def test_a_column_is_used_again_after_the_last_frame_of_a_person() -> None:
    ids = [np.array(own) for own in ([3], [3, 5], [5], [5, 9], [9])]
    assert [own.tolist() for own in columns_of_ids(ids)] == [[0], [0, 1], [1], [1, 0], [0]]
