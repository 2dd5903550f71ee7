"""The small model and a short clip as files."""

from pathlib import Path

import pytest

from langpose_rt.formats.clip_npz import clip_to_npz
from tests.commands import Done, exported_checkpoint, part_of_demo_clip


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Done, Path, Path]:
    """How the export of the model ended, its checkpoint and its folder."""
    return exported_checkpoint(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def model(exported: tuple[Done, Path, Path]) -> Path:
    """The model folder."""
    done, _, folder = exported
    assert done.code == 0, done.err
    return folder


@pytest.fixture(scope="session")
def clip_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty frames of one person, with 3D."""
    path = tmp_path_factory.mktemp("clip") / "clip.npz"
    clip_to_npz(path, part_of_demo_clip(20))
    return path
