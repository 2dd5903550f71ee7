"""The driver through cuda.bindings: what it asks of them, in which order, and what failing says."""

import ctypes

import numpy as np
import pytest

from langpose_rt.errors import BackendError
from langpose_rt.runtime.cuda.driver import Driver
from tests.runtime.cuda.fake_bindings import OUT_OF_MEMORY, UNKNOWN, FakeBindings

pytest.importorskip("cuda.bindings")

from langpose_rt.runtime.cuda import cuda_bindings
from langpose_rt.runtime.cuda.cuda_bindings import BindingsDriver, checked


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> FakeBindings:
    fake = FakeBindings()
    monkeypatch.setattr(cuda_bindings, "cuda", fake)
    return fake


@pytest.fixture
def driver(cuda: FakeBindings) -> BindingsDriver:
    opened = BindingsDriver()
    cuda.calls.clear()
    return opened


def test_it_opens_the_primary_context_of_the_first_device(cuda: FakeBindings) -> None:
    driver = BindingsDriver()
    assert isinstance(driver, Driver)
    assert cuda.calls == [("cuInit", 0), ("cuDeviceGet", 0), ("cuDevicePrimaryCtxRetain", 0)]


@pytest.mark.parametrize("error", [RuntimeError, OSError])
def test_without_the_library_of_the_driver_it_is_one_sentence(
    cuda: FakeBindings, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def init(_: int) -> tuple[int]:
        raise error("libcuda.so.1 cannot be loaded\nTraceback of something")

    monkeypatch.setattr(cuda, "cuInit", init, raising=False)
    with pytest.raises(BackendError) as caught:
        BindingsDriver()
    assert str(caught.value) == "no NVIDIA driver: libcuda.so.1 cannot be loaded"


def test_a_status_is_a_sentence_in_the_drivers_words_or_its_number(cuda: FakeBindings) -> None:
    assert checked((0,), "nothing") is None
    assert checked((0, 5, 6), "two") == 5
    with pytest.raises(BackendError, match=r"^CUDA failed at the work: out of memory$"):
        checked((OUT_OF_MEMORY, None), "the work")
    with pytest.raises(BackendError, match=r"^CUDA failed at the work: error 999$"):
        checked((UNKNOWN,), "the work")


def test_the_context_is_left_whatever_happens_in_it(
    cuda: FakeBindings, driver: BindingsDriver
) -> None:
    with pytest.raises(ZeroDivisionError), driver.entered():
        _ = 1 / 0
    assert cuda.names == ["cuCtxPushCurrent", "cuCtxPopCurrent"]


def test_a_context_that_cannot_be_entered_is_not_left(
    cuda: FakeBindings, driver: BindingsDriver
) -> None:
    cuda.failing["cuCtxPushCurrent"] = UNKNOWN
    with pytest.raises(BackendError, match="cuCtxPushCurrent"), driver.entered():
        pytest.fail("it was entered")
    assert cuda.names == ["cuCtxPushCurrent"]


def test_device_memory_is_zero_before_anybody_has_its_address(
    cuda: FakeBindings, driver: BindingsDriver
) -> None:
    address = driver.device_memory(1024)
    assert cuda.calls == [
        ("cuMemAlloc", 1024), ("cuMemsetD8", address, 0, 1024), ("cuCtxSynchronize",)
    ]  # fmt: skip


def test_memory_that_is_not_there_says_how_much_was_wanted(
    cuda: FakeBindings, driver: BindingsDriver
) -> None:
    cuda.failing["cuMemAlloc"] = OUT_OF_MEMORY
    with pytest.raises(BackendError, match=r"allocating 2\.5 MB on the GPU: out of memory"):
        driver.device_memory(2_500_000)


def test_pinned_memory_is_the_drivers_own_and_zero(
    cuda: FakeBindings, driver: BindingsDriver
) -> None:
    memory = driver.pinned_memory(64)
    assert (memory.dtype, memory.shape) == (np.uint8, (64,))
    assert not memory.any()
    memory[3] = 7
    assert (ctypes.c_uint8 * 64).from_address(memory.ctypes.data)[3] == 7


def test_copies_are_enqueued_with_addresses_sizes_and_the_stream(
    cuda: FakeBindings, driver: BindingsDriver
) -> None:
    host = driver.pinned_memory(32)
    cuda.calls.clear()
    driver.upload(5000, host[:16], 7)
    driver.download(host[16:], 6000, 7)
    driver.synchronize(7)
    start = host.ctypes.data
    assert cuda.calls == [
        ("cuMemcpyHtoDAsync", 5000, start, 16, 7), ("cuMemcpyDtoHAsync", start + 16, 6000, 16, 7),
        ("cuStreamSynchronize", 7),
    ]  # fmt: skip


def test_a_launch_gives_every_argument_in_its_own_type(
    cuda: FakeBindings, driver: BindingsDriver
) -> None:
    kernels = driver.kernels(b"image", {"push": "Piq", "other": ""})
    assert [call[2] for call in cuda.calls if call[0] == "cuModuleGetFunction"] == [
        b"push", b"other"
    ]  # fmt: skip
    cuda.types = [ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64]
    driver.launch(kernels["push"], (8, 3), 256, 7, 2**40, -5, -(2**40))
    assert cuda.launched == [[2**40, -5, -(2**40)]]
    name, handle, *grid_and_block, shared, stream, _, extra = cuda.calls[-1]
    assert (name, handle) == ("cuLaunchKernel", kernels["push"].handle)
    assert grid_and_block == [8, 3, 1, 256, 1, 1]
    assert (shared, stream, extra) == (0, 7, 0)


def test_a_launch_with_too_few_arguments_never_reaches_the_device(
    cuda: FakeBindings, driver: BindingsDriver
) -> None:
    kernel = driver.kernels(b"image", {"push": "Piq"})["push"]
    with pytest.raises(ValueError, match="zip"):
        driver.launch(kernel, (1, 1), 256, 7, 1, 2)
    assert "cuLaunchKernel" not in cuda.names


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("cuModuleLoadData", "loading the kernels"),
        ("cuModuleGetFunction", "push"),
        ("cuStreamCreate", "cuStreamCreate"),
        ("cuMemHostAlloc", "allocating pinned memory"),
        ("cuLaunchKernel", "launching a kernel"),
        ("cuMemcpyHtoDAsync", "copying to the GPU"),
        ("cuMemcpyDtoHAsync", "copying from the GPU"),
        ("cuStreamSynchronize", "the work on the GPU"),
    ],
)
def test_whatever_fails_says_where(
    cuda: FakeBindings, driver: BindingsDriver, function: str, words: str
) -> None:
    cuda.failing[function] = OUT_OF_MEMORY

    def work() -> None:
        kernel = driver.kernels(b"image", {"push": ""})["push"]
        stream, host = driver.stream(), driver.pinned_memory(8)
        driver.upload(1, host, stream)
        driver.launch(kernel, (1, 1), 1, stream)
        driver.download(host, 1, stream)
        driver.synchronize(stream)

    with pytest.raises(BackendError, match=f"^CUDA failed at {words}: out of memory$"):
        work()


def test_closing_gives_everything_back_once(cuda: FakeBindings, driver: BindingsDriver) -> None:
    stream, address = driver.stream(), driver.device_memory(8)
    pinned = driver.pinned_memory(8).ctypes.data
    driver.kernels(b"image", {"push": ""})
    cuda.calls.clear()
    driver.close()
    assert cuda.names == [
        "cuCtxPushCurrent", "cuStreamSynchronize", "cuStreamDestroy", "cuMemFree", "cuMemFreeHost",
        "cuModuleUnload", "cuCtxPopCurrent", "cuDevicePrimaryCtxRelease",
    ]  # fmt: skip
    assert ("cuStreamDestroy", stream) in cuda.calls
    assert ("cuMemFree", address) in cuda.calls
    assert ("cuMemFreeHost", pinned) in cuda.calls
    cuda.calls.clear()
    driver.close()
    assert cuda.calls == []
    with pytest.raises(BackendError, match="the GPU backend is closed"), driver.entered():
        pytest.fail("it was entered")


def test_a_device_that_has_failed_is_still_left(cuda: FakeBindings, driver: BindingsDriver) -> None:
    driver.device_memory(8)
    cuda.failing |= dict.fromkeys(("cuMemFree", "cuStreamSynchronize"), UNKNOWN)
    driver.close()
    assert cuda.names[-2:] == ["cuCtxPopCurrent", "cuDevicePrimaryCtxRelease"]
