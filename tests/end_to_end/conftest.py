"""The small model as a file, the same that tests/cli uses; and a browser."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.commands import exported_checkpoint
from tests.end_to_end.browser import browser_page


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model folder."""
    done, _, folder = exported_checkpoint(tmp_path_factory.getbasetemp())
    assert done.code == 0, done.err
    return folder


@pytest.fixture
def page() -> Iterator[Any]:
    """A page of a real browser."""
    with browser_page() as page:
        yield page
