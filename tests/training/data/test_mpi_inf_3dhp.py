"""P-STMO's files of MPI-INF-3DHP, written here in their published layout."""

from pathlib import Path

import numpy as np
import pytest

from langpose_rt.errors import ConfigError
from langpose_rt.geometry.skeleton import JOINTS
from training.data.mpi_inf_3dhp import read_3dhp

MPI_NAMES = (
    "Head Thorax RShoulder RElbow RWrist LShoulder LElbow LWrist RHip RKnee RAnkle "
    "LHip LKnee LAnkle Hip Spine Nose"
).split()
"""The file's joints by the names Human3.6M has for them."""


def joints(frames: int, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    pose = rng.standard_normal((frames, 17, 3)).astype(np.float32) * 500
    return {"data_2d": rng.uniform(0, 2048, (frames, 17, 2)).astype(np.float32), "data_3d": pose}


def written(folder: Path, data: object) -> Path:
    path = folder / "data.npz"
    np.savez_compressed(path, data=np.array(data, object))
    return path


def test_test_sequences_come_with_their_sizes_and_valid_frames(tmp_path: Path) -> None:
    stored = {
        name: joints(frames, frames) | {"valid": (np.arange(frames) % 2).astype(np.float64)}
        for name, frames in (("TS1", 6), ("TS5", 4))
    }
    first, fifth = read_3dhp(written(tmp_path, stored), "test")
    assert (first.name, first.size_px, first.fps) == ("TS1", (2048, 2048), None)
    assert (fifth.name, fifth.size_px) == ("TS5", (1920, 1080))
    assert first.valid.tolist() == [False, True] * 3
    for place, name in enumerate(JOINTS):
        source = MPI_NAMES.index(name)
        np.testing.assert_array_equal(first.pose_mm[:, place], stored["TS1"]["data_3d"][:, source])
        np.testing.assert_array_equal(
            first.joints_px[:, place], stored["TS1"]["data_2d"][:, source]
        )


def test_training_sequences_come_camera_by_camera(tmp_path: Path) -> None:
    stored = {"S1 Seq1": [{"4": joints(5, 0), "0": joints(5, 1)}, 25]}
    sequences = read_3dhp(written(tmp_path, stored), "train")
    assert [(s.name, s.fps) for s in sequences] == [("S1 Seq1 0", 25.0), ("S1 Seq1 4", 25.0)]
    assert all(sequence.valid.all() for sequence in sequences)


@pytest.mark.parametrize(
    ("split", "data", "expected"),
    [
        ("test", {"TS9": joints(2, 0)}, "expected TS1 to TS6"),
        ("test", {"TS1": {"data_2d": np.zeros((2, 17, 2))}}, "has no numbers"),
        ("test", {"TS1": joints(2, 0) | {"valid": np.ones(3)}}, "(3,)"),
        ("train", {"S1 Seq1": 5}, "is not [cameras, fps]"),
        ("test", [1], "holds no sequences"),
    ],
)
def test_a_wrong_layout_is_one_sentence(
    tmp_path: Path, split: str, data: object, expected: str
) -> None:
    with pytest.raises(ConfigError) as said:
        read_3dhp(written(tmp_path, data), split)  # type: ignore[arg-type]
    assert expected in str(said.value)
    assert "\n" not in str(said.value)
