"""The elementary functions of the step, for every instruction set, against SciPy in double."""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Callable

import numpy as np
import pytest
from scipy.special import erf

from langpose_rt.runtime.native import instruction_sets
from tests.cpp_ext.conftest import CPP_EXT, HERE

FLAGS = {
    "plain": [],
    "AVX2": ["-mavx2", "-mfma", "-mf16c"],
    "AVX-512": ["-mavx512f", "-mavx2", "-mfma", "-mf16c"],
}
"""Of this file's three builds; only those that this processor runs are tested."""

LANES = {"plain": 4, "AVX2": 8, "AVX-512": 16}
NUMBERS = np.concatenate(
    [np.linspace(-100, 100, 2**16), np.linspace(-6, 6, 2**16), [0.0, -0.0, 5.6, -5.6] * 4]
).astype(np.float32)


@pytest.fixture(scope="session", params=instruction_sets())
def lanes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """lanes_on_arrays.cpp as a library."""
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if compiler is None:
        pytest.skip("no C++ compiler: g++ (or $CXX) is not on PATH")
    library = tmp_path_factory.mktemp("lanes") / "lanes.so"
    command = [compiler, "-std=c++17", "-O1", "-ffp-contract=off", "-shared", "-fPIC", "-w"]
    command += [*FLAGS[request.param], f"-I{CPP_EXT}", str(HERE / "lanes_on_arrays.cpp")]
    done = subprocess.run(
        [*command, "-o", str(library)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    loaded = ctypes.CDLL(str(library))
    loaded.sum_of.restype = loaded.largest_of.restype = ctypes.c_float
    assert loaded.lanes() == LANES[request.param]
    return loaded


def pointer(numbers: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(numbers.ctypes.data)


def results(function: Callable[..., object], numbers: np.ndarray) -> np.ndarray:
    """What a function of the library makes of numbers, in double."""
    out = np.empty_like(numbers)
    function(pointer(out), pointer(numbers), ctypes.c_int(numbers.size))
    return out.astype(np.float64)


def test_exponentials_are_relatively_exact_and_end_where_float32_does(lanes: ctypes.CDLL) -> None:
    got = results(lanes.exponentials, NUMBERS)
    expected = np.exp(np.clip(NUMBERS.astype(np.float64), -87, 88))
    assert np.abs(got / expected - 1).max() < 3e-7


def test_what_is_masked_away_adds_nothing_to_a_softmax(lanes: ctypes.CDLL) -> None:
    masked = results(lanes.exponentials, np.full(16, -1e30, np.float32))
    assert (np.float32(1) + masked.astype(np.float32) == 1).all()


def test_gelu_is_the_exact_one(lanes: ctypes.CDLL) -> None:
    x = NUMBERS.astype(np.float64)
    off = np.abs(results(lanes.gelus, NUMBERS) - 0.5 * x * (1 + erf(x / np.sqrt(2))))
    assert (off / np.maximum(1, np.abs(x))).max() < 3e-7


def test_tangents_stay_within_one(lanes: ctypes.CDLL) -> None:
    got = results(lanes.tangents, NUMBERS)
    assert np.abs(got - np.tanh(NUMBERS.astype(np.float64))).max() < 2e-7
    assert np.abs(got).max() <= 1


def test_sums_and_maxima_are_of_all_lanes(lanes: ctypes.CDLL) -> None:
    count = lanes.lanes()
    for lane in range(count):
        numbers = np.full(count, -2.0, np.float32)
        numbers[lane] = 3.0
        assert lanes.largest_of(pointer(numbers)) == 3.0
        assert lanes.sum_of(pointer(numbers)) == 3.0 - 2.0 * (count - 1)
