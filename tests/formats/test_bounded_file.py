"""Files are bounded before they are read, and are files."""

import os
from pathlib import Path

import pytest

from langpose_rt.errors import ConfigError
from langpose_rt.formats.bounded_file import check_regular, read_bounded
from langpose_rt.formats.readers import read_clip


def test_a_small_file_is_read_and_a_large_one_is_refused_unread(tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(b"abc")
    assert read_bounded(tmp_path / "small", 3) == b"abc"
    with (tmp_path / "large").open("wb") as file:
        file.truncate(1 << 40)  # sparse: reading it would fail
    with pytest.raises(ConfigError, match="large: found 1048576 MB; expected at most 1 MB"):
        read_bounded(tmp_path / "large", 1 << 20)


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing cannot be read: No such file"):
        read_bounded(tmp_path / "nothing", 9)


@pytest.mark.parametrize("name", ["pipe", "pipe.npz", "pipe.json"])
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(ConfigError, match="is no regular file; expected one on disk"):
        read_clip(tmp_path / name)
    with pytest.raises(ConfigError, match="is no regular file"):
        read_bounded(tmp_path / name, 9)


def test_files_and_folders_are_regular(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path, tmp_path / "file", tmp_path / "missing"):
        check_regular(path)
