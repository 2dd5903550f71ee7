"""The driver through PyCUDA: integers outside, PyCUDA's own objects inside, its errors as ours.

PyCUDA here is a module of that name whose "device" is this process.
"""

import importlib
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from langpose_rt.errors import BackendError
from langpose_rt.runtime.cuda.driver import Driver

MODULE = "langpose_rt.runtime.cuda.pycuda"


class FakeError(Exception):
    """`pycuda.driver.Error`."""


class FakeCuda(ModuleType):
    """`pycuda.driver`.

    Attributes:
        did: What was asked, in order.
        failing: Names of functions that fail.
        living: Objects that hold something of the device.
    """

    Error = FakeError

    def __init__(self) -> None:  # noqa: C901 - one class for each of PyCUDA's
        super().__init__("pycuda.driver")
        self.did: list[tuple[Any, ...]] = []
        self.failing: set[str] = set()
        self.living = 0
        fake, numbers = self, iter(range(4000, 9000))

        class Held:
            """Alive until PyCUDA's user forgets it."""

            def __init__(self, kind: str) -> None:
                fake.do(kind)
                self.handle, self.kind = next(numbers), kind
                fake.living += 1

            def __del__(self) -> None:
                fake.living -= 1

            def __int__(self) -> int:
                return self.handle

        class Function:
            def prepare(self, signature: str) -> None:
                fake.do("prepare", signature)

            def prepared_async_call(self, grid: Any, block: Any, stream: Any, *given: int) -> None:
                fake.do("launch", grid, block, stream.handle, *given)

        class Module(Held):
            def get_function(self, name: str) -> Function:
                fake.do("get_function", name)
                return Function()

        class Stream(Held):
            def __init__(self, flags: int) -> None:
                super().__init__("stream")
                fake.did[-1] = ("stream", flags)

            def synchronize(self) -> None:
                fake.do("synchronize", self.handle)

        class Context:
            def push(self) -> None:
                fake.do("push")

            def pop(self) -> None:
                fake.did.append(("pop",))

            def detach(self) -> None:
                fake.do("detach")

            @staticmethod
            def synchronize() -> None:
                fake.do("context synchronize")

        class Device:
            def __init__(self, number: int) -> None:
                fake.do("device", number)

            def retain_primary_context(self) -> Context:
                return Context()

        self.Context, self.Device, self.Stream = Context, Device, Stream
        self.module_from_buffer = lambda _: Module("module")
        self.mem_alloc = lambda _: Held("mem_alloc")

    def do(self, what: str, *arguments: Any) -> None:
        self.did.append((what, *arguments))
        if what in self.failing:
            raise FakeError(f"cu{what} failed: out of memory\nand a second line")

    def init(self) -> None:
        self.do("init")

    def memset_d8(self, memory: Any, value: int, size: int) -> None:
        self.do("memset", int(memory), value, size)

    def pagelocked_zeros(self, size: int, dtype: Any) -> np.ndarray:
        self.do("pagelocked", size)
        return np.zeros(size, dtype)

    def memcpy_htod_async(self, address: int, host: np.ndarray, stream: Any) -> None:
        self.do("upload", address, host.nbytes, stream.handle)

    def memcpy_dtoh_async(self, host: np.ndarray, address: int, stream: Any) -> None:
        self.do("download", address, host.nbytes, stream.handle)


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCuda]:
    fake, package = FakeCuda(), ModuleType("pycuda")
    package.driver = fake  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pycuda", package)
    monkeypatch.setitem(sys.modules, "pycuda.driver", fake)
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    yield fake
    sys.modules.pop(MODULE, None)


@pytest.fixture
def driver(cuda: FakeCuda) -> Any:
    opened = importlib.import_module(MODULE).PyCudaDriver()
    cuda.did.clear()
    return opened


def test_it_opens_the_primary_context_of_the_first_device(cuda: FakeCuda) -> None:
    driver = importlib.import_module(MODULE).PyCudaDriver()
    assert isinstance(driver, Driver)
    assert cuda.did == [("init",), ("device", 0)]


def test_a_driver_that_does_not_start_is_one_sentence(cuda: FakeCuda) -> None:
    cuda.failing.add("init")
    with pytest.raises(
        BackendError, match=r"^CUDA failed at starting: cuinit failed: out of memory$"
    ):
        importlib.import_module(MODULE).PyCudaDriver()


def test_the_context_is_left_whatever_happens_in_it(cuda: FakeCuda, driver: Any) -> None:
    with pytest.raises(ZeroDivisionError), driver.entered():
        _ = 1 / 0
    assert cuda.did == [("push",), ("pop",)]


def test_a_context_that_cannot_be_entered_is_not_left(cuda: FakeCuda, driver: Any) -> None:
    cuda.failing.add("push")
    with pytest.raises(BackendError, match="entering the context"), driver.entered():
        pytest.fail("it was entered")
    assert cuda.did == [("push",)]


def test_streams_are_integers_outside_and_pycudas_own_inside(cuda: FakeCuda, driver: Any) -> None:
    one, other = driver.stream(), driver.stream()
    assert cuda.did == [("stream", 1), ("stream", 1)], "1 is CU_STREAM_NON_BLOCKING"
    assert one != other
    driver.synchronize(other)
    assert cuda.did[-1] == ("synchronize", other)
    with pytest.raises(KeyError):
        driver.synchronize(one + other)


def test_memory_is_zero_before_anybody_has_its_address(cuda: FakeCuda, driver: Any) -> None:
    address = driver.device_memory(1024)
    assert cuda.did == [("mem_alloc",), ("memset", address, 0, 1024), ("context synchronize",)]
    memory = driver.pinned_memory(64)
    assert (memory.dtype, memory.shape) == (np.uint8, (64,))
    assert not memory.any()


def test_copies_and_launches_go_to_their_stream(cuda: FakeCuda, driver: Any) -> None:
    stream, host = driver.stream(), driver.pinned_memory(16)
    kernel = driver.kernels(b"image", {"push": "Piq"})["push"]
    assert ("prepare", "Piq") in cuda.did
    assert kernel.signature == "Piq"
    cuda.did.clear()
    driver.upload(1000, host, stream)
    driver.launch(kernel, (8, 3), 256, stream, 1000, 4, -5)
    driver.download(host[:4], 2000, stream)
    assert cuda.did == [
        ("upload", 1000, 16, stream), ("launch", (8, 3), (256, 1, 1), stream, 1000, 4, -5),
        ("download", 2000, 4, stream),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("module", "loading the kernels"),
        ("get_function", "loading the kernels"),
        ("stream", "making a stream"),
        ("mem_alloc", r"allocating 1\.5 MB on the GPU"),
        ("pagelocked", "allocating pinned memory"),
        ("upload", "copying to the GPU"),
        ("launch", "launching a kernel"),
        ("download", "copying from the GPU"),
        ("synchronize", "the work on the GPU"),
    ],
)
def test_whatever_fails_says_where_in_one_line(
    cuda: FakeCuda, driver: Any, function: str, words: str
) -> None:
    cuda.failing.add(function)

    def work() -> None:
        kernel = driver.kernels(b"image", {"push": ""})["push"]
        stream, host = driver.stream(), driver.pinned_memory(8)
        driver.upload(driver.device_memory(1_500_000), host, stream)
        driver.launch(kernel, (1, 1), 1, stream)
        driver.download(host, 1, stream)
        driver.synchronize(stream)

    with pytest.raises(
        BackendError, match=f"^CUDA failed at {words}: cu{function} failed: out of memory$"
    ):
        work()


def test_closing_forgets_everything_in_the_context_and_lets_it_go_once(
    cuda: FakeCuda, driver: Any
) -> None:
    driver.stream()
    driver.device_memory(8)
    driver.kernels(b"image", {})
    assert cuda.living == 3
    cuda.did.clear()
    driver.close()
    assert cuda.living == 0
    assert cuda.did == [("push",), ("pop",), ("detach",)]
    driver.close()
    assert len(cuda.did) == 3
    with pytest.raises(BackendError, match="the GPU backend is closed"), driver.entered():
        pytest.fail("it was entered")
