"""What a lifter without a ring would pay: the same weights over a whole window for every new frame.

For `bench` alone; needs torch to export the window's graph.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch

from langpose_rt.engine.export import onnx_from_module
from langpose_rt.manifest import Manifest
from langpose_rt.model.checkpoint import load
from langpose_rt.model.encoder import MASKED
from langpose_rt.model.graphs import (
    ENCODER_INPUTS,
    WINDOW_INPUTS,
    EncoderWindow,
    example_inputs,
)
from langpose_rt.model.macs import step_macs, window_macs
from langpose_rt.runtime.onnx import OnnxNetwork, session_from_file
from langpose_rt.runtime.torch import CHECKPOINT_NAME

_WARM_UP = 20


@dataclass(frozen=True, kw_only=True)
class RecomputeRatio:
    """One person's encoder, one thread, ONNX Runtime, float32: step against window.

    Attributes:
        frames: Of the recomputed window.
        step_ms, window_ms: Medians of one call.
        time_ratio: Window time over step time.
        mac_ratio: The same of multiply-accumulates.
    """

    frames: int
    step_ms: float
    window_ms: float
    time_ratio: float
    mac_ratio: float


def recompute_ratio(folder: Path, manifest: Manifest, *, repeats: int = 100) -> RecomputeRatio:
    """Time one step against a window of as many frames as the ring holds, alternately in one run."""
    model, _ = load(folder / CHECKPOINT_NAME)
    config = model.config
    product = manifest.products["fp32"]
    step = OnnxNetwork(folder / product.encoder, folder / product.lifter, precision="fp32", threads=1)
    step_inputs = {
        name: value.numpy() for name, value in zip(ENCODER_INPUTS, example_inputs(model, 1)[0], strict=True)
    }
    window_inputs = _window_inputs(model.config.window, len(step_inputs["cos"][0]))
    with tempfile.TemporaryDirectory() as scratch:
        graph = onnx_from_module(EncoderWindow(model), tuple(window_inputs), WINDOW_INPUTS, ("feature",))
        onnx.save(graph, Path(scratch) / "window.onnx")
        window = session_from_file(Path(scratch) / "window.onnx", threads=1)
        feed = {n: v[:1].numpy() for n, v in zip(WINDOW_INPUTS, window_inputs, strict=True)}
        took_ms: tuple[list[float], list[float]] = ([], [])
        for _ in range(repeats + _WARM_UP):
            took_ms[0].append(_timed_ms(lambda: step.encode(step_inputs)))
            took_ms[1].append(_timed_ms(lambda: window.run(None, feed)))
    step_ms, window_ms = (float(np.median(own[_WARM_UP:])) for own in took_ms)
    return RecomputeRatio(
        frames=config.window,
        step_ms=step_ms,
        window_ms=window_ms,
        time_ratio=window_ms / step_ms,
        mac_ratio=window_macs(config, config.window) / step_macs(config),
    )


def _window_inputs(frames: int, half: int) -> list[torch.Tensor]:
    """Two persons' inputs, so that the exported batch stays free."""
    causal = torch.full((frames, frames), MASKED).triu(1)
    return [
        torch.zeros(2, frames, 17, 3),
        torch.zeros(2, frames, 7),
        torch.ones(2, frames, half),
        torch.zeros(2, frames, half),
        causal.expand(2, -1, -1).contiguous(),
    ]


def _timed_ms(work: Callable[[], object]) -> float:
    start_s = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - start_s)
