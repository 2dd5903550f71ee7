"""Which GPU and driver this machine has, asked of the driver itself.

Needs no CUDA toolkit, and is asked before anything of TensorRT is constructed: constructing can
crash where there is no driver.
"""

import ctypes
import sys
from dataclasses import dataclass

from langpose_rt.errors import ConfigError

DRIVER_LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
MANAGEMENT_LIBRARY = "nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1"

NO_DRIVER = "no NVIDIA driver"
"""How the sentence begins where this machine has none."""

_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76
_LONGEST_NAME = 256


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """One GPU.

    Attributes:
        name: As the driver calls it.
        compute_capability: As ``8.9``.
        driver: Version of the driver; ``CUDA 13.0`` where only that is known.
        cuda: Newest CUDA the driver runs, as ``(13, 0)``.
        memory_bytes: Of the device.
    """

    name: str
    compute_capability: str
    driver: str
    cuda: tuple[int, int]
    memory_bytes: int


def probe(driver: str = DRIVER_LIBRARY, management: str = MANAGEMENT_LIBRARY) -> Gpu:
    """The first GPU that is visible to this process.

    Args:
        driver: The driver's library.
        management: NVIDIA's management library, which knows the driver's version.

    Raises:
        ConfigError: If there is no driver, it does not start, or it sees no device.
    """
    try:
        cuda = ctypes.CDLL(driver)
    except OSError:
        raise ConfigError(f"{NO_DRIVER}: {driver} cannot be loaded") from None
    status = cuda.cuInit(0)
    if status:
        raise ConfigError(f"the NVIDIA driver does not start: cuInit gave {status}")
    count = _asked(cuda, "cuDeviceGetCount")
    if count < 1:
        raise ConfigError("the NVIDIA driver sees no device; look at CUDA_VISIBLE_DEVICES")
    device = _asked(cuda, "cuDeviceGet", 0)
    name = ctypes.create_string_buffer(_LONGEST_NAME)
    _call(cuda, "cuDeviceGetName", name, _LONGEST_NAME, device)
    memory = ctypes.c_size_t(0)
    _call(cuda, "cuDeviceTotalMem_v2", ctypes.byref(memory), device)
    major, minor = (
        _asked(cuda, "cuDeviceGetAttribute", attribute, device)
        for attribute in (_CAPABILITY_MAJOR, _CAPABILITY_MINOR)
    )
    version = _asked(cuda, "cuDriverGetVersion")
    runs = version // 1000, version % 1000 // 10
    return Gpu(
        name=name.value.decode(errors="replace"),
        compute_capability=f"{major}.{minor}",
        driver=_driver_version(management) or f"CUDA {runs[0]}.{runs[1]}",
        cuda=runs,
        memory_bytes=memory.value,
    )


def why_no_gpu() -> str | None:
    """Why no GPU can be used, or None if one can."""
    try:
        probe()
    except ConfigError as error:
        return str(error)
    return None


def _call(cuda: ctypes.CDLL, function: str, *arguments: object) -> None:
    status = getattr(cuda, function)(*arguments)
    if status:
        raise ConfigError(f"the NVIDIA driver does not answer: {function} gave {status}")


def _asked(cuda: ctypes.CDLL, function: str, *arguments: object) -> int:
    answer = ctypes.c_int(0)
    _call(cuda, function, ctypes.byref(answer), *arguments)
    return answer.value


def _driver_version(management: str) -> str | None:
    try:
        nvml = ctypes.CDLL(management)
    except OSError:
        return None
    if nvml.nvmlInit_v2():
        return None
    version = ctypes.create_string_buffer(_LONGEST_NAME)
    status = nvml.nvmlSystemGetDriverVersion(version, _LONGEST_NAME)
    nvml.nvmlShutdown()
    return None if status else version.value.decode(errors="replace")
