"""Checks whether a processor multiplies bfloat16 faster than float32; others emulate it slowly."""

import functools

import torch


def faster_than_float32(device: torch.device) -> bool:
    """Return whether a device has bfloat16: GPUs, and CPUs with AVX512-BF16 or AMX."""
    return device.type != "cpu" or torch.cpu._is_avx512_bf16_supported() or has_tiles()


@functools.cache
def has_tiles() -> bool:
    """Return whether this CPU multiplies bfloat16 several times as fast as float32 (AMX)."""
    return torch.cpu._is_amx_tile_supported()
