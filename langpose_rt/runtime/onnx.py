"""ONNX Runtime backend on the CPU; the default."""

from pathlib import Path

import numpy as np
import onnxruntime as ort

from langpose_rt.errors import BackendError, ConfigError, ModelError
from langpose_rt.manifest import Manifest
from langpose_rt.runtime.ring_backend import RingBackend

_ERRORS_ONLY = 3


class OnnxNetwork:
    """Encoder and lifter as two ONNX Runtime sessions, in float32."""

    name = "onnx"
    precision = "fp32"
    persons_per_call = 64

    def __init__(self, encoder: Path, lifter: Path, *, threads: int) -> None:
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
    """Open a model folder with ONNX Runtime; arguments as in `open_backend`."""
    if precision != "fp32":
        raise ConfigError(
            f"backend onnx runs fp32, not {precision}; use '--precision fp32', or build an engine "
            "with 'langpose-rt build-engine'"
        )
    product = manifest.products.get("fp32")
    if product is None:
        raise ModelError(f"model {manifest.name!r} has no float32 graph; export it again")
    network = OnnxNetwork(folder / product.encoder, folder / product.lifter, threads=threads)
    return RingBackend(network, manifest, slots=slots)


def session_from_file(path: Path, *, threads: int) -> ort.InferenceSession:
    """Open a session on the CPU whose threads do not spin between calls.

    Raises:
        ModelError: If ONNX Runtime cannot load the file.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False  # it would keep a memory plan for every batch size
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
