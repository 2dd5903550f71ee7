"""The small model as a file; the same that tests/cli uses."""

from pathlib import Path

import pytest

from tests.commands import exported_checkpoint


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model folder."""
    done, _, folder = exported_checkpoint(tmp_path_factory.getbasetemp())
    assert done.code == 0, done.err
    return folder
