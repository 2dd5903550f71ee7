"""The probe, against drivers compiled here that answer as a real one does."""

import shutil
import subprocess
from pathlib import Path

import pytest

from langpose_rt.errors import ConfigError
from langpose_rt.runtime.gpu_info import Gpu, probe

DRIVER = """
#include <stddef.h>
#include <string.h>
int cuInit(unsigned flags) { return flags == 0 ? STATUS : 1; }
int cuDeviceGetCount(int* count) { *count = COUNT; return 0; }
int cuDeviceGet(int* device, int ordinal) { *device = 7; return ordinal; }
int cuDeviceGetName(char* name, int size, int device) {
  if (device != 7) return 1;
  strncpy(name, "NVIDIA H100", size);
  return NAMES;
}
int cuDeviceTotalMem_v2(size_t* bytes, int device) { *bytes = 80UL << 30; return device - 7; }
int cuDeviceGetAttribute(int* value, int attribute, int device) {
  *value = attribute == 75 ? 9 : attribute == 76 ? 0 : -1;
  return device - 7;
}
int cuDriverGetVersion(int* version) { *version = 13010; return 0; }
"""
MANAGEMENT = """
#include <string.h>
int nvmlInit_v2(void) { return STATUS; }
int nvmlShutdown(void) { return 0; }
int nvmlSystemGetDriverVersion(char* version, unsigned size) {
  strncpy(version, "580.65.06", size);
  return 0;
}
"""

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not on PATH")


def library(folder: Path, name: str, source: str, **values: int) -> str:
    """Compile a shared library with some values set."""
    path = folder / f"{name}.so"
    defined = [f"-D{key}={value}" for key, value in values.items()]
    (folder / f"{name}.c").write_text(source)
    subprocess.run(
        ["gcc", "-shared", "-fPIC", *defined, "-o", path, folder / f"{name}.c"], check=True
    )
    return str(path)


def driver(folder: Path, *, status: int = 0, count: int = 1, names: int = 0) -> str:
    return library(folder, "cuda", DRIVER, STATUS=status, COUNT=count, NAMES=names)


def test_the_gpu_is_named_with_its_capability_and_driver(tmp_path: Path) -> None:
    management = library(tmp_path, "nvml", MANAGEMENT, STATUS=0)
    assert probe(driver(tmp_path), management) == Gpu(
        name="NVIDIA H100",
        compute_capability="9.0",
        driver="580.65.06",
        cuda=(13, 1),
        memory_bytes=80 * 2**30,
    )


@pytest.mark.parametrize("status", [None, 9])
def test_without_the_management_library_the_driver_is_known_by_its_cuda(
    tmp_path: Path, status: int | None
) -> None:
    missing = str(tmp_path / "missing.so")
    broken = missing if status is None else library(tmp_path, "nvml", MANAGEMENT, STATUS=status)
    assert probe(driver(tmp_path), broken).driver == "CUDA 13.1"


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        ({"status": 100}, "the NVIDIA driver does not start: cuInit gave 100"),
        ({"count": 0}, "the NVIDIA driver sees no device; look at CUDA_VISIBLE_DEVICES"),
        ({"names": 3}, "the NVIDIA driver does not answer: cuDeviceGetName gave 3"),
    ],
)
def test_a_driver_that_does_not_work_is_one_sentence(
    tmp_path: Path, answers: dict[str, int], sentence: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        probe(driver(tmp_path, **answers), "missing.so")
    assert str(refused.value) == sentence


def test_no_driver_is_one_sentence() -> None:
    with pytest.raises(ConfigError, match=r"no NVIDIA driver: missing\.so cannot be loaded"):
        probe("missing.so", "missing.so")
