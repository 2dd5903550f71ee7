"""FP16 reference on the CPU: evaluates the FP16 graph in true FP16, without a GPU.

ONNX's reference evaluator rounds every value to its type in the graph, so overflow and rounding are
visible. ONNX Runtime on a CPU computes FP16 graphs in float32 and would hide both. Sums inside a
matrix product are NumPy's, which accumulates in float32 as tensor cores do.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from langpose_rt.errors import BackendError
from langpose_rt.manifest import Manifest
from langpose_rt.runtime.ring_backend import RingBackend

EVALUATOR = "the FP16 graph in onnx's reference evaluator on the CPU"
"""Evaluator name recorded in the manifest when no GPU could run the engine."""


class Fp16Network:
    """Encoder and lifter as FP16 graphs, a `langpose_rt.runtime.ring_backend.Network`."""

    name = "reference"
    precision = "fp16"
    persons_per_call = 64

    def __init__(self, encoder: onnx.ModelProto | Path, lifter: onnx.ModelProto | Path) -> None:
        self._encoder = ReferenceEvaluator(encoder)
        self._lifter = ReferenceEvaluator(lifter)

    def encode(self, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        """Run the encoder."""
        return _run(self._encoder, inputs)

    def lift(self, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        """Run the lifter."""
        return _run(self._lifter, inputs)


def fp16_backend(
    encoder: onnx.ModelProto | Path,
    lifter: onnx.ModelProto | Path,
    manifest: Manifest,
    *,
    slots: int = 1,
) -> RingBackend:
    """Return a backend that evaluates the FP16 graphs with an FP16 ring, as on the device."""
    network = Fp16Network(encoder, lifter)
    return RingBackend(network, manifest, slots=slots, stored=np.float16)


def _run(evaluator: ReferenceEvaluator, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    with np.errstate(over="ignore", invalid="ignore"):  # the outputs are checked below
        outputs = [np.asarray(value) for value in evaluator.run(None, inputs)]
    for name, value in zip(evaluator.output_names, outputs, strict=True):
        if not np.isfinite(value).all():
            raise BackendError(f"output {name!r} of the FP16 graph is not finite; half overflows")
    return outputs
