"""The `gpu` marker: without a driver such a test is skipped, or failed where a GPU was promised."""

import random
from collections.abc import Sequence
from unittest.mock import Mock

import pytest
from beartype import beartype

from tests import conftest

NO_GPU = "no NVIDIA driver: libcuda.so.1 cannot be loaded"


def item(*, marked: bool) -> Mock:
    """A collected test."""
    return Mock(get_closest_marker=lambda name: name == "gpu" if marked else None)


@pytest.fixture
def without_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conftest, "no_gpu_reason", lambda: NO_GPU)
    monkeypatch.delenv("LANGPOSE_REQUIRE_GPU", raising=False)


@pytest.mark.usefixtures("without_gpu")
def test_a_gpu_test_without_a_driver_is_skipped_with_the_reason() -> None:
    with pytest.raises(pytest.skip.Exception, match=NO_GPU):
        conftest.pytest_runtest_setup(item(marked=True))


@pytest.mark.usefixtures("without_gpu")
def test_a_gpu_test_without_a_driver_fails_where_a_gpu_is_required(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LANGPOSE_REQUIRE_GPU", "1")
    with pytest.raises(pytest.fail.Exception, match=f"LANGPOSE_REQUIRE_GPU=1, but {NO_GPU}"):
        conftest.pytest_runtest_setup(item(marked=True))


@pytest.mark.usefixtures("without_gpu")
def test_other_tests_run_without_a_driver() -> None:
    conftest.pytest_runtest_setup(item(marked=False))


def test_a_gpu_test_runs_where_there_is_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conftest, "no_gpu_reason", lambda: None)
    conftest.pytest_runtest_setup(item(marked=True))


def test_a_checked_annotation_leaves_pythons_random_state_alone() -> None:
    @beartype
    def total(numbers: Sequence[int]) -> int:
        return sum(numbers)

    before = random.getstate()
    assert total([1, 2, 3]) == 6
    assert random.getstate() == before


def test_shapes_are_checked_under_pytest() -> None:
    import numpy as np
    from jaxtyping import TypeCheckError

    from langpose_rt.window.reference import Window, reset

    with pytest.raises(TypeCheckError):
        reset(Window.empty(1, 0, 1, 0, 0), np.zeros((1, 1), np.int32))
