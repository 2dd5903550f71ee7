"""bfloat16 only where a processor multiplies it faster than float32."""

import pytest
import torch

from training.trainer.bfloat16 import faster_than_float32


@pytest.mark.parametrize("avx512_bf16", [False, True])
@pytest.mark.parametrize("amx", [False, True])
def test_a_cpu_needs_instructions_for_it_and_a_gpu_has_them(
    monkeypatch: pytest.MonkeyPatch, *, avx512_bf16: bool, amx: bool
) -> None:
    monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda: avx512_bf16)
    monkeypatch.setattr("training.trainer.bfloat16.has_tiles", lambda: amx)
    assert faster_than_float32(torch.device("cpu")) is (avx512_bf16 or amx)
    assert faster_than_float32(torch.device("cuda"))
