"""Cost of a lifter without a ring: the same weights over a whole window for every new frame.

Only for `bench`; needs torch to export the window's graph.

"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

from langpose_rt.benchmark.macs import step_macs, window_macs
from langpose_rt.config import ENCODER_INPUTS, WINDOW_INPUTS
from langpose_rt.engine.onnx_export import onnx_from_module
from langpose_rt.manifest import Manifest
from langpose_rt.model.checkpoint import load
from langpose_rt.model.langpose import LangPose
from langpose_rt.model.step_graphs import EncoderWindow, example_inputs
from langpose_rt.runtime.onnx import OnnxNetwork, session_from_file
from langpose_rt.runtime.torch import CHECKPOINT_NAME
from langpose_rt.window.reference import MASKED

_WARM_UP = 20


@dataclass(frozen=True, kw_only=True)
class RecomputeRatio:
    """Encoder time of one person, one thread, ONNX Runtime, float32: step against window.

    Attributes:
        frames: Frames of the recomputed window.
        step_ms, window_ms: Median time of one call.
        time_ratio: Window time over step time.
        mac_ratio: The same of multiply-accumulates.
    """

    frames: int
    step_ms: float
    window_ms: float
    time_ratio: float
    mac_ratio: float


def recompute_ratio(folder: Path, manifest: Manifest, *, repeats: int = 100) -> RecomputeRatio:
    """Time one step against a window of the ring's length, in turns in one run.

    Args:
        folder: Model folder with its checkpoint.
        manifest: Its manifest.
        repeats: Timed calls of each.

    Raises:
        ModelError: If the checkpoint is missing or damaged.
    """
    model, _ = load(folder / CHECKPOINT_NAME)
    config, product = model.config, manifest.products["fp32"]
    graphs = folder / product.encoder, folder / product.lifter
    step = OnnxNetwork(*graphs, threads=1)
    example = example_inputs(model, batch=1)[0]
    step_inputs = {n: v.numpy() for n, v in zip(ENCODER_INPUTS, example, strict=True)}
    window, window_inputs = _window_session(model)
    took_ms: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats + _WARM_UP):
        took_ms[0].append(_timed_ms(lambda: step.encode(step_inputs)))
        took_ms[1].append(_timed_ms(lambda: window.run(None, window_inputs)))
    step_ms, window_ms = (float(np.median(own[_WARM_UP:])) for own in took_ms)
    return RecomputeRatio(
        frames=config.window,
        step_ms=step_ms,
        window_ms=window_ms,
        time_ratio=window_ms / step_ms,
        mac_ratio=window_macs(config, config.window) / step_macs(config),
    )


def _window_session(model: LangPose) -> tuple[ort.InferenceSession, dict[str, np.ndarray]]:
    """Return a session of the whole window and its inputs: the example frame in all its frames."""
    frames = model.config.window
    rows, extras, cos, sin, *_ = example_inputs(model, batch=2)[
        0
    ]  # a batch of two keeps the batch axis dynamic
    bias = rows.new_full((frames, frames), MASKED).triu(1).expand(2, -1, -1)
    over_time = [v.unsqueeze(1).expand(-1, frames, *v.shape[1:]) for v in (rows, extras, cos, sin)]
    inputs = tuple(value.contiguous() for value in (*over_time, bias))
    graph = onnx_from_module(EncoderWindow(model), inputs, WINDOW_INPUTS, ("feature",))
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "window.onnx"
        onnx.save(graph, path)
        session = session_from_file(path, threads=1)
    return session, {n: v[:1].numpy() for n, v in zip(WINDOW_INPUTS, inputs, strict=True)}


def _timed_ms(work: Callable[[], object]) -> float:
    start_s = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - start_s)
