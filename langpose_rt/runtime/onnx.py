"""ONNX Runtime on the CPU: the default backend."""

from pathlib import Path

import numpy as np
import onnxruntime as ort

from langpose_rt.errors import BackendError, ModelError
from langpose_rt.manifest import Manifest
from langpose_rt.runtime.ring_backend import RingBackend

_ERRORS_ONLY = 3


class OnnxNetwork:
    """Encoder and lifter as two ONNX Runtime sessions.

    Dynamic int8 takes its activation scale from everything in a call, so an int8 step runs one
    person per call: nobody's pose may depend on who else is in the room.
    """

    name = "onnx"

    def __init__(self, encoder: Path, lifter: Path, *, precision: str, threads: int) -> None:
        self.precision = precision
        self.persons_per_call = 1 if precision == "int8" else 64
        self._encoder = session_from_file(encoder, threads=threads)
        self._lifter = session_from_file(lifter, threads=threads)

    def encode(self, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        """Run the encoder."""
        return _run(self._encoder, inputs)

    def lift(self, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        """Run the lifter."""
        return _run(self._lifter, inputs)


def open_onnx(
    folder: Path, manifest: Manifest, *, slots: int, threads: int, precision: str
) -> RingBackend:
    """The ONNX Runtime backend of a checked model folder; arguments as in `open_backend`."""
    product = manifest.products.get(precision)
    if product is None:
        raise ModelError(
            f"model {manifest.name!r} has no {precision}, "
            f"only {', '.join(sorted(manifest.products))}; "
            f"make it with 'langpose-rt export CHECKPOINT --precision fp32,int8 --out FOLDER'"
        )
    network = OnnxNetwork(
        folder / product.encoder, folder / product.lifter, precision=precision, threads=threads
    )
    return RingBackend(network, manifest, slots=slots)


def session_from_file(path: Path, *, threads: int) -> ort.InferenceSession:
    """A session on the CPU that leaves the cores alone between calls.

    Raises:
        ModelError: If ONNX Runtime cannot load the file.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False  # it would keep a plan and its memory for every crowd size
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = _ERRORS_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises its own types, private to its C++ module
        raise ModelError(
            f"ONNX Runtime cannot load {path}: {str(error).splitlines()[0]}"
        ) from error


def _run(session: ort.InferenceSession, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    try:
        outputs: list[np.ndarray] = session.run(None, inputs)
    except Exception as error:  # as above
        raise BackendError(f"ONNX Runtime failed: {str(error).splitlines()[0]}") from error
    return outputs
