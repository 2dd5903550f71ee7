"""The CUDA kernels: they compile for every architecture, and their code equals the definition.

Without a GPU the kernels run on CPU threads (kernels_on_cpu.cpp). That checks indices, padding and
the order within a block; it is no claim about a GPU.
"""

import ctypes
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from langpose_rt.window import reference
from langpose_rt.window.reference import MASKED, Window
from langpose_rt.window.rotary import rotary_periods_ns, rotary_table
from tests.cpp_ext.conftest import CPP_EXT
from tests.window.walk import Sizes, Step, assert_same_state, walk

ARCHITECTURES = (80, 86, 89, 90, 120)
KERNELS = {
    *(
        f"window_{name}_{stored}"
        for name in ("push", "reset", "look")
        for stored in ("float", "half")
    ),
    "window_feature_at",
}
MOST_REGISTERS = 64
"""256 threads of 64 registers leave room for four blocks on a multiprocessor."""

THREADS = 16
"""Of a block on the CPU; the kernels take any number up to their launch bound."""

PERIODS_NS = rotary_periods_ns(5)

SUFFIX = {np.float32: "float", np.float16: "half"}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_nvcc_compiles_every_kernel_without_spills(architecture: int, tmp_path: Path) -> None:
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        pytest.skip("nvcc is not on PATH")
    known = subprocess.run([nvcc, "--list-gpu-arch"], capture_output=True, text=True, check=True)
    if f"compute_{architecture}" not in known.stdout.split():
        pytest.skip(f"this nvcc does not know sm_{architecture}")
    source, cubin = CPP_EXT / "sliding_window.cu", tmp_path / "window.cubin"
    command = [
        nvcc,
        "-cubin",
        f"-arch=sm_{architecture}",
        "-Xptxas",
        "-v",
        "-Werror",
        "all-warnings",
    ]
    done = subprocess.run(
        [*command, "-o", str(cubin), str(source)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    report = done.stdout + done.stderr
    assert set(re.findall(r"entry function '(\w+)'", report)) == KERNELS
    memory = re.findall(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+)", report)
    assert memory == [("0", "0", "0")] * len(KERNELS)
    registers = [int(number) for number in re.findall(r"Used (\d+) registers", report)]
    assert len(registers) == len(KERNELS)
    assert max(registers) <= MOST_REGISTERS


@dataclass
class Device:
    """A window whose operations are the kernels, launched as a driver would launch them."""

    library: ctypes.CDLL
    window: Window
    chunks: int

    def __post_init__(self) -> None:
        self.suffix = SUFFIX[self.window.keys.dtype.type]

    def launch(
        self, name: str, persons: int, *arguments: np.ndarray | int, chunks: int | None = None
    ) -> None:
        """One launch; integers are int32 unless the kernel wants more."""
        holders = [
            ctypes.c_void_p(value.ctypes.data)
            if isinstance(value, np.ndarray)
            else ctypes.c_longlong(value)
            for value in arguments
        ]
        pointers = (ctypes.c_void_p * len(holders))(*map(ctypes.addressof, holders))
        if persons:  # a grid without blocks is an error on a device
            assert self.library.launch_on_cpu(
                name.encode(), chunks or self.chunks, persons, THREADS, pointers
            )

    @property
    def state(self) -> tuple[np.ndarray, ...]:
        """The arrays push and reset change, in their order."""
        w = self.window
        return w.keys, w.values, w.features, w.time_ns, w.head, w.fill

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """Blocks, frames, channels, feature channels."""
        return *self.window.keys.shape[1:], self.window.features.shape[2]

    def push(self, step: Step) -> None:
        """As reference.push."""
        new = (step.keys, step.values, step.features, step.time_ns)
        self.launch(
            f"window_push_{self.suffix}", step.slots.size, *self.state, step.slots,
            *new, *self.sizes, chunks=1,
        )  # fmt: skip

    def reset(self, slots: np.ndarray) -> None:
        """As reference.reset."""
        self.launch(f"window_reset_{self.suffix}", slots.size, *self.state, slots, *self.sizes)

    def feature_at(self, slots: np.ndarray, frames_back: np.ndarray) -> np.ndarray:
        """As reference.feature_at."""
        w, channels = self.window, self.window.features.shape[2]
        out = np.full((slots.size, channels), np.nan, np.float32)
        self.launch(
            "window_feature_at", slots.size, out, w.features, w.head, w.fill, slots, frames_back,
            w.frames, channels,
        )  # fmt: skip
        return out

    def look(
        self, slots: np.ndarray, now_ns: np.ndarray, periods_ns: np.ndarray, max_age_ns: int
    ) -> tuple[np.ndarray, ...]:
        """Keys, values, bias, cosine and sine of a step."""
        w, persons = self.window, slots.size
        keys, values = (np.full((persons, *w.keys.shape[1:]), 7, w.keys.dtype) for _ in range(2))
        bias = np.full((persons, w.frames), np.nan, np.float32)
        cos, sin = (np.full((persons, periods_ns.size), np.nan, np.float32) for _ in range(2))
        self.launch(
            f"window_look_{self.suffix}", persons, keys, values, bias, cos, sin, w.keys, w.values,
            w.time_ns, w.fill, slots, now_ns, periods_ns, *self.sizes[:3], periods_ns.size,
            max_age_ns,
        )  # fmt: skip
        return keys, values, bias, cos, sin


SIZES = {
    "vector": Sizes(blocks=2, channels=16, feature_channels=8),
    "scalar": Sizes(blocks=3, channels=7, feature_channels=5),
    "window mode": Sizes(blocks=0, channels=0, feature_channels=51),
    "one frame": Sizes(frames=1),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("chunks", [1, 3])
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_the_kernels_live_through_a_walk_as_the_definition_does(
    on_cpu: ctypes.CDLL, sizes: Sizes, chunks: int, dtype: type
) -> None:
    device, window = Device(on_cpu, sizes.empty(dtype), chunks), sizes.empty(dtype)
    random = np.random.default_rng(0)
    for step in walk(sizes, steps=12, seed=1):
        device.reset(step.leaving)
        device.push(step)
        reference.reset(window, step.leaving)
        reference.push(window, step.slots, step.keys, step.values, step.features, step.time_ns)
        assert_same_state(device.window, window)
        now = step.time_ns + random.integers(-1, 40_000_000, step.slots.size)
        keys, values, bias, *angles = device.look(step.slots, now, PERIODS_NS, 50_000_000)
        np.testing.assert_array_equal(keys, window.keys[step.slots])
        np.testing.assert_array_equal(values, window.values[step.slots])
        np.testing.assert_array_equal(bias, reference.key_bias(window, step.slots, now, 50_000_000))
        for mine, expected in zip(angles, rotary_table(now, PERIODS_NS), strict=True):
            np.testing.assert_allclose(mine, expected, rtol=0, atol=1e-6)
        here = np.flatnonzero(window.fill).astype(np.int32)
        back = random.integers(0, window.fill[here], dtype=np.int32)
        np.testing.assert_array_equal(
            device.feature_at(here, back), reference.feature_at(window, here, back)
        )


def test_padded_rows_change_no_ring_and_read_as_nothing(on_cpu: ctypes.CDLL) -> None:
    sizes = Sizes()
    device, window = Device(on_cpu, sizes.empty(), 2), sizes.empty()
    step = next(step for step in walk(sizes, steps=9, seed=0) if step.slots.size > 2)
    padded = step.slots.copy()
    padded[1] = -1
    device.push(Step(step.leaving, padded, step.keys, step.values, step.features, step.time_ns))
    real = padded >= 0
    parts = (step.keys, step.values, step.features, step.time_ns)
    reference.push(window, padded[real], *(part[real] for part in parts))
    assert_same_state(device.window, window)
    keys, values, bias, *_ = device.look(padded, step.time_ns, PERIODS_NS, 0)
    assert (bias[1] == MASKED).all()
    assert not keys[1].any()
    assert not values[1].any()
    assert not device.feature_at(padded, np.zeros_like(padded))[1].any()
    device.reset(padded)
    assert_same_state(device.window, sizes.empty())


def test_a_frame_beyond_the_ring_reads_the_oldest_and_never_outside(on_cpu: ctypes.CDLL) -> None:
    sizes = Sizes()
    device = Device(on_cpu, sizes.empty(), 1)
    for step in walk(sizes, steps=3, seed=0):
        device.push(step)
    here = np.flatnonzero(device.window.fill).astype(np.int32)
    oldest = device.feature_at(here, device.window.fill[here] - 1)
    np.testing.assert_array_equal(
        device.feature_at(here, np.full(here.size, 10**9, np.int32)), oldest
    )
