"""What this machine has to compute with: processor and GPU, and how well it knows the time."""

import ctypes
import os
import platform
import re
import struct
from pathlib import Path

from langpose_rt.cli.doctor.check import Check
from langpose_rt.errors import ConfigError
from langpose_rt.runtime.gpu_info import NO_DRIVER, probe

_USEFUL = ("avx2", "fma", "avx512f", "avx512_vnni", "amx_int8", "asimd", "sve", "i8mm")
_LEAST_CUDA = (13, 0)
"""TensorRT and PyCUDA of the gpu and rtx extras are built for CUDA 13."""

_TIMEX = "@Illlli"
_UNSYNCED = 0x0040


def check_processor() -> list[Check]:
    """Cores this process may use, and the instructions that make a model fast."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    name, useful = processor_from_cpuinfo(_read("/proc/cpuinfo"))
    sets = ", ".join(useful) if useful else "none known"
    found = f"{cores} cores, {name or platform.machine()}, instructions: {sets}"
    if platform.machine() == "x86_64" and useful and "avx2" not in useful:
        advice = "the model runs, several times slower; measure it: langpose-rt bench"
        return [Check(name="processor", verdict="warn", found=found, advice=advice)]
    return [Check(name="processor", verdict="ok", found=found)]


def processor_from_cpuinfo(text: str) -> tuple[str, list[str]]:
    """Name of the processor and its useful instruction sets, from Linux's /proc/cpuinfo."""
    name = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
    has = set(flags[1].split()) if flags else set()
    return name[1].strip() if name else "", [known for known in _USEFUL if known in has]


def check_gpu() -> list[Check]:
    """Which GPU with which driver."""
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
    """Whether something keeps this machine's clock right, asked of the kernel."""
    text = "whether the clock is kept right is not known here"
    try:
        buffer = ctypes.create_string_buffer(512)  # struct timex is 208 bytes; all 0 only reads
        ctypes.CDLL(None).adjtimex(buffer)
    except (OSError, AttributeError, TypeError):
        return [Check(name="clock", verdict="ok", found=text)]
    *_, most_us, _, status = struct.unpack_from(_TIMEX, buffer.raw)
    if not status & _UNSYNCED:
        found = f"kept right by NTP or PTP, to {most_us / 1000:.0f} ms at worst"
        return [Check(name="clock", verdict="ok", found=found)]
    found = "nobody keeps it right, as far as the kernel knows; within one machine that is no harm"
    advice = "for rigs on other machines: timedatectl set-ntp true, or chrony, or PTP"
    return [Check(name="clock", verdict="warn", found=found, advice=advice)]


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
