"""Pickles give data, or a sentence; they run nothing."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from langpose_rt.errors import ConfigError
from training.data.plain_pickle import read_npz_object, read_pickle


class Trap:
    """What a hostile file would do."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.mark),)


VALUE = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": ["x", 1.5, None], "c": np.int64(3)}


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_numbers_text_and_containers_come_back(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "data.pkl"
    path.write_bytes(pickle.dumps(VALUE, protocol=protocol))
    found = read_pickle(path, "data")
    np.testing.assert_array_equal(found["a"], VALUE["a"])
    assert (found["b"], found["c"]) == (VALUE["b"], 3)


def test_an_object_in_an_npz_comes_back_as_numpy_itself_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez_compressed(path, data=np.array(VALUE, object))
    found = read_npz_object(path, "data", "data")
    with np.load(path, allow_pickle=True) as file:
        expected = file["data"].item()
    assert found.keys() == expected.keys()
    np.testing.assert_array_equal(found["a"], expected["a"])


def test_a_file_that_would_run_something_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    pickled, packed = tmp_path / "a.pkl", tmp_path / "a.npz"
    pickled.write_bytes(pickle.dumps({"a": Trap(mark)}))
    np.savez(packed, data=np.array({"a": Trap(mark)}, object))
    with pytest.raises(ConfigError, match="is not data"):
        read_pickle(pickled, "data")
    with pytest.raises(ConfigError, match="is not data"):
        read_npz_object(packed, "data", "data")
    assert not mark.exists()


def test_missing_torn_and_other_files_are_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, other=np.arange(3))
    with pytest.raises(ConfigError, match="expected the thing") as said:
        read_npz_object(path, "data", "the thing")
    assert "\n" not in str(said.value)
    with pytest.raises(ConfigError, match="not objects"):
        read_npz_object(path, "other", "the thing")
    path.write_bytes(path.read_bytes()[:50])
    for read in (lambda: read_npz_object(path, "data", "x"), lambda: read_pickle(path, "x")):
        with pytest.raises(ConfigError, match="cannot read"):
            read()
    with pytest.raises(ConfigError, match="cannot read"):
        read_pickle(tmp_path / "nothing.pkl", "x")
