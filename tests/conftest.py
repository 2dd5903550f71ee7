"""What every test runs under: checked shapes, patient hypothesis, nothing left behind."""

import importlib
import os
import random
import signal
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

# beartype chooses the item of a container it checks with a generator that it takes when it is
# imported. With Python's own, a thread that calls checked functions would change the state that
# hypothesis gives to the test in the main thread, and the test would be reported as flaky.
with patch.object(random, "getrandbits", random.Random().getrandbits):
    importlib.import_module("beartype")

# A shell that runs the tests in the background has them ignore SIGINT, and every child with them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Before anything imports the package: from here on every annotated shape in it is an assertion.
install_import_hook("langpose_rt", "beartype.beartype")

from langpose_rt.formats.clip_npz import clip_to_npz  # noqa: E402
from langpose_rt.runtime.gpu_info import no_gpu_reason  # noqa: E402
from tests.commands import Done, exported_checkpoint, part_of_demo_clip  # noqa: E402
from tests.left_behind import nothing_left_behind  # noqa: E402, F401

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
    reason = no_gpu_reason()
    if reason is None:
        return
    if os.environ.get("LANGPOSE_REQUIRE_GPU") == "1":
        pytest.fail(f"LANGPOSE_REQUIRE_GPU=1, but {reason}", pytrace=False)
    pytest.skip(reason)


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
