"""Checks of the machine: processor, GPU and clock synchronisation."""

import ctypes
import os
import platform
import re
import struct
from pathlib import Path

from langpose_rt.cli.doctor.check import Check
from langpose_rt.errors import ConfigError
from langpose_rt.runtime.gpu_info import NO_DRIVER, probe

_USEFUL = (
    "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512_vnni", "avx512_fp16", "amx_int8",
    "asimd", "fphp", "sve", "i8mm",
)  # fmt: skip
"""Instruction sets that determine the speed of a model, by their Linux names."""

_LEAST_CUDA = (13, 0)
"""TensorRT and PyCUDA of the gpu and rtx extras are built for CUDA 13."""

_TIMEX = "@Illlli"
_UNSYNCED = 0x0040


def check_processor() -> list[Check]:
    """Check the cores available to this process and the instruction sets."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    name, useful = processor()
    sets = ", ".join(useful) if useful else "none known"
    found = f"{cores} cores, {name}, instructions: {sets}"
    if platform.machine() == "x86_64" and useful and "avx2" not in useful:
        advice = "the model runs, several times slower; measure it: langpose-rt bench"
        return [Check(name="processor", verdict="warn", found=found, advice=advice)]
    return [Check(name="processor", verdict="ok", found=found)]


def processor() -> tuple[str, list[str]]:
    """Return the name of this machine's processor and its useful instruction sets."""
    name, useful = processor_from_cpuinfo(_read("/proc/cpuinfo"))
    return name or platform.processor() or platform.machine(), useful


def processor_from_cpuinfo(text: str) -> tuple[str, list[str]]:
    """Return processor name and useful instruction sets from the text of /proc/cpuinfo."""
    name = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
    has = set(flags[1].split()) if flags else set()
    return name[1].strip() if name else "", [known for known in _USEFUL if known in has]


def check_gpu() -> list[Check]:
    """Check the GPU and its driver."""
    try:
        gpu = probe()
    except ConfigError as error:
        found = f"none: {error}; the CPU serves"
        if str(error).startswith(NO_DRIVER):
            return [Check(name="gpu", verdict="ok", found=found)]
        advice = "see what the driver says: nvidia-smi"
        return [Check(name="gpu", verdict="warn", found=found, advice=advice)]
    newest = ".".join(map(str, gpu.cuda))
    found = f"{gpu.name} ({gpu.compute_capability}); driver {gpu.driver}, CUDA up to {newest}"
    if gpu.cuda < _LEAST_CUDA:
        advice = "update the NVIDIA driver to 580 or newer; until then the CPU serves"
        return [Check(name="gpu", verdict="warn", found=found, advice=advice)]
    return [Check(name="gpu", verdict="ok", found=found)]


def check_clock() -> list[Check]:
    """Check with the kernel that the clock is synchronised."""
    text = "the system does not report whether the clock is synchronised"
    try:
        buffer = ctypes.create_string_buffer(512)  # struct timex is 208 bytes; all 0 only reads
        ctypes.CDLL(None).adjtimex(buffer)
    except (OSError, AttributeError, TypeError):
        return [Check(name="clock", verdict="ok", found=text)]
    *_, most_us, _, status = struct.unpack_from(_TIMEX, buffer.raw)
    if not status & _UNSYNCED:
        found = f"synchronised by NTP or PTP, to {most_us / 1000:.0f} ms at worst"
        return [Check(name="clock", verdict="ok", found=found)]
    found = "not synchronised, as far as the kernel knows; within one machine that does no harm"
    advice = "for rigs on other machines: timedatectl set-ntp true, or chrony, or PTP"
    return [Check(name="clock", verdict="warn", found=found, advice=advice)]


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
