"""What every test runs under: checked shapes, patient hypothesis, and `gpu` tests need a driver."""

import os
from typing import Any

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

# Before anything imports the package: from here on every annotated shape in it is an assertion.
install_import_hook("langpose_rt", "beartype.beartype")

from langpose_rt.runtime.gpu_info import why_no_gpu  # noqa: E402

# No deadline: a busy machine is not a defect. In CI the same examples every time.
settings.register_profile("langpose", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("langpose")


@pytest.fixture(scope="session")
def rtx() -> Any:
    """TensorRT-RTX, which builds engines without a GPU."""
    return pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx has no wheel here")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a `gpu` test where there is no GPU, or fail it if one was promised."""
    if item.get_closest_marker("gpu") is None:
        return
    reason = why_no_gpu()
    if reason is None:
        return
    if os.environ.get("LANGPOSE_REQUIRE_GPU") == "1":
        pytest.fail(f"LANGPOSE_REQUIRE_GPU=1, but {reason}", pytrace=False)
    pytest.skip(reason)
