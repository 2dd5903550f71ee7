"""TensorRT and TensorRT-RTX: engines of a model folder, run on the GPU beside their window."""

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
from langpose_rt.runtime.tensorrt_flavor import FLAVORS, Flavor, imported
from langpose_rt.window.reference import Stored

BACKEND_NAMES = {"tensorrt": "tensorrt", "rtx": "tensorrt-rtx"}
"""Flavor to the name of its backend."""

_INPUT = "INPUT"


class EngineNetwork:
    """Encoder and lifter as two engines: a `langpose_rt.runtime.cuda.device_network.DeviceNetwork`.

    Every batch size has an execution context of its own, whose shapes and addresses are set once:
    a recorded graph holds what its context was when it was recorded.

    Args:
        trt: The imported module of the flavor. A driver has been found and its context entered.
        flavor: Of trt.
        folder: Where the engines are.
        engine: Their record.

    Raises:
        BackendError: If TensorRT cannot open one, with what it says.
    """

    precision = "fp16"
    stored: Stored = np.float16

    def __init__(self, trt: Any, flavor: Flavor, folder: Path, engine: Engine) -> None:
        self.name = BACKEND_NAMES[flavor.name]
        self.sizes = batch_sizes(engine.profiles[-1].largest)
        self._trt, self._profiles = trt, engine.profiles
        self._log = _engine_log(trt, flavor.title)
        self._runtime = trt.Runtime(self._log)
        self._engines: dict[str, Any] = {}
        for part, file in (("encoder", engine.encoder.file), ("lifter", engine.lifter.file)):
            opened = self._runtime.deserialize_cuda_engine((folder / file).read_bytes())
            if opened is None:
                raise self._log.error(f"cannot open {file}")
            self._engines[part] = opened
        self._contexts: list[Any] = []

    def bound(self, part: str, size: int, addresses: dict[str, int], stream: int) -> Enqueue:
        """See `DeviceNetwork.bound`."""
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

    def recorded(self, work: Enqueue, stream: int) -> Graph:
        """See `DeviceNetwork.recorded`."""
        return Graph(work, stream)

    def close(self) -> None:
        """Free contexts before engines, engines before the runtime."""
        self._contexts.clear()
        self._engines.clear()
        self._runtime = None


def open_tensorrt(
    folder: Path, manifest: Manifest, *, slots: int, flavor_name: str, graphs: bool = True
) -> CudaBackend:
    """The backend of a model folder with engines that fit this machine.

    Args:
        folder: Of the model.
        manifest: Of that folder.
        slots: Persons to remember at once.
        flavor_name: One of `langpose_rt.runtime.tensorrt_flavor.FLAVORS`.
        graphs: Whether steps are recorded as CUDA graphs.

    Raises:
        ConfigError: If there is no GPU, no such TensorRT, or no engine that fits.
        BackendError: If TensorRT or the device refuses.
    """
    flavor, gpu = FLAVORS[flavor_name], probe()
    flavor.check_capability(gpu.compute_capability)
    trt = imported(flavor)
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
    """A backend over engines that are known to fit.

    Args:
        folder: Where the two files are.
        manifest: Of the model.
        engine: Record of the files; it need not be in the manifest.
        gpu: That runs them.
        slots: Persons to remember at once.
        graphs: Whether steps are recorded as CUDA graphs.

    Raises:
        ConfigError: If the flavor or a driver library is missing.
        BackendError: If TensorRT or the device refuses.
    """
    flavor = FLAVORS[engine.flavor]
    trt = imported(flavor)

    def network_from(_: Driver) -> EngineNetwork:
        return EngineNetwork(trt, flavor, folder, engine)

    return cuda_backend(network_from, manifest, gpu.compute_capability, slots=slots, graphs=graphs)


def batch_sizes(largest: int) -> tuple[int, ...]:
    """Powers of two up to the largest batch, and that.

    Raises:
        ConfigError: If it is less than one.
    """
    if largest < 1:
        raise ConfigError(f"the largest batch is {largest}; expected 1 or more")
    powers = (2**power for power in range(largest.bit_length()))
    return (*(size for size in powers if size < largest), largest)


def _engine_log(trt: Any, title: str) -> Any:
    """A logger that keeps what went wrong; its class needs the module for its base."""

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
