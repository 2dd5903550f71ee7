"""GPU and driver of this machine, queried through the driver library.

Needs no CUDA toolkit. Query it before constructing TensorRT objects, which can crash without a
driver.
"""

import ctypes
import sys
from dataclasses import dataclass

from langpose_rt.errors import ConfigError

DRIVER_LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
MANAGEMENT_LIBRARY = "nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1"

NO_DRIVER = "no NVIDIA driver"
"""First words of the error on a machine without a driver."""

_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76
_LONGEST_NAME = 256


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """Name, compute capability and driver of a GPU.

    Attributes:
        name: Name from the driver.
        compute_capability: Such as ``8.9``.
        driver: Version of the driver; ``CUDA 13.0`` if only the CUDA version is known.
        cuda: Newest CUDA version the driver supports, such as ``(13, 0)``.
    """

    name: str
    compute_capability: str
    driver: str
    cuda: tuple[int, int]


def probe(driver: str = DRIVER_LIBRARY, management: str = MANAGEMENT_LIBRARY) -> Gpu:
    """Return the first GPU that is visible to this process.

    Args:
        driver: Library of the CUDA driver.
        management: NVIDIA's management library (NVML), which reports the driver version.

    Raises:
        ConfigError: If there is no driver, it does not start, or it finds no device.
    """
    try:
        cuda = ctypes.CDLL(driver)
    except OSError:
        raise ConfigError(f"{NO_DRIVER}: {driver} cannot be loaded") from None
    status = cuda.cuInit(0)
    if status:
        raise ConfigError(f"the NVIDIA driver does not start: cuInit gave {status}")
    count = _query(cuda, "cuDeviceGetCount")
    if count < 1:
        raise ConfigError("the NVIDIA driver sees no device; look at CUDA_VISIBLE_DEVICES")
    device = _query(cuda, "cuDeviceGet", 0)
    name = ctypes.create_string_buffer(_LONGEST_NAME)
    _call(cuda, "cuDeviceGetName", name, _LONGEST_NAME, device)
    major, minor = (
        _query(cuda, "cuDeviceGetAttribute", attribute, device)
        for attribute in (_CAPABILITY_MAJOR, _CAPABILITY_MINOR)
    )
    version = _query(cuda, "cuDriverGetVersion")
    newest = version // 1000, version % 1000 // 10
    return Gpu(
        name=name.value.decode(errors="replace"),
        compute_capability=f"{major}.{minor}",
        driver=_driver_version(management) or f"CUDA {newest[0]}.{newest[1]}",
        cuda=newest,
    )


def no_gpu_reason() -> str | None:
    """Return the reason why no GPU can be used, or None if one can."""
    try:
        probe()
    except ConfigError as error:
        return str(error)
    return None


def _call(cuda: ctypes.CDLL, function: str, *arguments: object) -> None:
    status = getattr(cuda, function)(*arguments)
    if status:
        raise ConfigError(f"the NVIDIA driver does not answer: {function} gave {status}")


def _query(cuda: ctypes.CDLL, function: str, *arguments: object) -> int:
    value = ctypes.c_int(0)
    _call(cuda, function, ctypes.byref(value), *arguments)
    return value.value


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
