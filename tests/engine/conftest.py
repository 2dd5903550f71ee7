"""TensorRT-RTX builds engines without a GPU; where it has no wheel, these tests are skipped."""

from typing import Any

import pytest


@pytest.fixture(scope="session")
def rtx() -> Any:
    """The module."""
    return pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx has no wheel here")
