"""TensorRT and TensorRT-RTX backends: run the engines of a model folder on the GPU."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from langpose_rt.errors import BackendError, ConfigError
from langpose_rt.manifest import Engine, Manifest
from langpose_rt.runtime.cuda.backend import CudaBackend, cuda_backend
from langpose_rt.runtime.cuda.device_network import Enqueue
from langpose_rt.runtime.cuda.driver import Driver
from langpose_rt.runtime.cuda.graph import Graph
from langpose_rt.runtime.engine_compatibility import Machine, engine_matching
from langpose_rt.runtime.gpu_info import Gpu, probe
from langpose_rt.runtime.tensorrt_flavor import FLAVORS, Flavor, import_tensorrt
from langpose_rt.window.reference import Stored

BACKEND_NAMES = {"tensorrt": "tensorrt", "rtx": "tensorrt-rtx"}
"""Name of the backend of each flavor."""

_INPUT = "INPUT"


class EngineNetwork:
    """Encoder and lifter as two engines: a `langpose_rt.runtime.cuda.device_network.DeviceNetwork`.

    Every batch size has its own execution context, whose shapes and addresses are set once, because
    a captured CUDA graph keeps the state of its context at capture.

    Args:
        trt: Imported module of the flavor; the driver's context has been entered.
        flavor: Flavor of trt.
        folder: Folder of the engine files.
        engine: Record of the engine files.

    Raises:
        BackendError: If TensorRT cannot open an engine, with its messages.
    """

    precision = "fp16"
    stored: Stored = np.float16

    def __init__(self, trt: Any, flavor: Flavor, folder: Path, engine: Engine) -> None:
        self.name = BACKEND_NAMES[flavor.name]
        self.sizes = batch_sizes(engine.profiles[-1].largest)
        self._profiles = engine.profiles
        self._log = _engine_log(trt, flavor.title)
        self._runtime = trt.Runtime(self._log)
        self._engines: dict[str, Any] = {}
        for part, file in (("encoder", engine.encoder.file), ("lifter", engine.lifter.file)):
            opened = self._runtime.deserialize_cuda_engine((folder / file).read_bytes())
            if opened is None:
                raise self._log.error(f"cannot open {file}")
            self._engines[part] = opened
        self._contexts: list[Any] = []

    def bind(self, part: str, size: int, addresses: dict[str, int], stream: int) -> Enqueue:
        """See `DeviceNetwork.bind`."""
        engine = self._engines[part]
        context = engine.create_execution_context()
        if context is None:
            raise self._log.error(f"has no execution context for the {part}")
        self._contexts.append(context)
        profile = next(i for i, p in enumerate(self._profiles) if p.smallest <= size <= p.largest)
        if not context.set_optimization_profile_async(profile, stream):
            raise self._log.error(f"refuses profile {profile} of the {part}")
        for index in range(engine.num_io_tensors):
            name = engine.get_tensor_name(index)
            if engine.get_tensor_mode(name).name == _INPUT:
                shape = (size, *tuple(engine.get_tensor_shape(name))[1:])
                if not context.set_input_shape(name, shape):
                    raise self._log.error(f"refuses shape {shape} of {name!r} in the {part}")
            if not context.set_tensor_address(name, addresses[name]):
                raise self._log.error(f"refuses the address of {name!r} in the {part}")

        def enqueue() -> None:
            if not context.execute_async_v3(stream):
                raise self._log.error(f"failed in the {part}")

        return enqueue

    def capture(self, work: Enqueue, stream: int) -> Graph:
        """See `DeviceNetwork.capture`."""
        return Graph(work, stream)

    def close(self) -> None:
        """Free contexts, then engines, then the runtime."""
        self._contexts.clear()
        self._engines.clear()
        self._runtime = None


def open_tensorrt(
    folder: Path, manifest: Manifest, *, slots: int, flavor_name: str, graphs: bool = True
) -> CudaBackend:
    """Open the engines of a model folder that fit this machine.

    Args:
        folder: Model folder.
        manifest: Manifest of that folder.
        slots: Number of slots, one per person.
        flavor_name: One of `langpose_rt.runtime.tensorrt_flavor.FLAVORS`.
        graphs: Capture steps as CUDA graphs.

    Raises:
        ConfigError: If there is no GPU, no such TensorRT, or no engine that fits.
        BackendError: If TensorRT or the device reports an error.
    """
    flavor, gpu = FLAVORS[flavor_name], probe()
    flavor.check_capability(gpu.compute_capability)
    trt = import_tensorrt(flavor)
    engine = engine_matching(
        folder, manifest, Machine(flavor=flavor.name, version=trt.__version__, gpu=gpu)
    )
    return engine_backend(folder, manifest, engine, gpu=gpu, slots=slots, graphs=graphs)


def engine_backend(
    folder: Path,
    manifest: Manifest,
    engine: Engine,
    *,
    gpu: Gpu,
    slots: int = 1,
    graphs: bool = True,
) -> CudaBackend:
    """Open engines that are known to fit.

    Args:
        folder: Folder of the two engine files.
        manifest: Manifest of the model.
        engine: Record of the files; it need not be in the manifest.
        gpu: GPU that runs them.
        slots: Number of slots, one per person.
        graphs: Capture steps as CUDA graphs.

    Raises:
        ConfigError: If the flavor or a driver library is missing.
        BackendError: If TensorRT or the device reports an error.
    """
    flavor = FLAVORS[engine.flavor]
    trt = import_tensorrt(flavor)

    def network_from(_: Driver) -> EngineNetwork:
        return EngineNetwork(trt, flavor, folder, engine)

    return cuda_backend(network_from, manifest, gpu.compute_capability, slots=slots, graphs=graphs)


def batch_sizes(largest: int) -> tuple[int, ...]:
    """Return the powers of two below the largest batch, and the largest batch.

    Raises:
        ConfigError: If it is less than one.
    """
    if largest < 1:
        raise ConfigError(f"the largest batch is {largest}; expected 1 or more")
    powers = (2**power for power in range(largest.bit_length()))
    return (*(size for size in powers if size < largest), largest)


def _engine_log(trt: Any, title: str) -> Any:
    """Return a logger that collects errors; its base class comes from the imported module."""

    class EngineLog(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self._lines: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity <= trt.ILogger.ERROR:
                self._lines.append(re.sub(r"\s+", " ", message))

        def error(self, what: str) -> BackendError:
            reasons = "; ".join(dict.fromkeys(self._lines)) or "it gave no reason"
            self._lines.clear()
            return BackendError(f"{title} {what}: {reasons}")

    return EngineLog()
