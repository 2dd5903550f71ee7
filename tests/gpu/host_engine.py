"""TensorRT as far as `EngineNetwork` asks it, over ONNX Runtime: for CPU threads only.

It refuses what TensorRT refuses: a profile that has no such batch, a shape or an address that was
not set, another stream than a real one. An "engine" is the bytes of an ONNX model.
"""

import ctypes
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

from langpose_rt.manifest import Profile

_Callback = ctypes.CFUNCTYPE(None, ctypes.c_int)


class Mode(Enum):
    INPUT = 1
    OUTPUT = 2


@dataclass
class Context:
    engine: "Engine"
    profile: Profile | None = None
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    addresses: dict[str, int] = field(default_factory=dict)
    kept: list[object] = field(default_factory=list)

    def set_optimization_profile_async(self, index: int, stream: int) -> bool:
        self.profile = self.engine.profiles[index]
        return bool(stream)

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        assert self.profile is not None, "the profile comes first"
        self.shapes[name] = shape
        return self.profile.smallest <= shape[0] <= self.profile.largest

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return address % 16 == 0

    def execute_async_v3(self, stream: int) -> bool:
        if self.engine.broken:
            self.engine.log.log(self.engine.trt.ILogger.ERROR, "the engine was told to fail")
            return False
        callback = _Callback(lambda _: self._run())
        self.kept.append(callback)
        return not ctypes.CDLL("libcuda.so.1").on_cpu_enqueue(ctypes.c_void_p(stream), callback, 0)

    def _run(self) -> None:
        batch = next(iter(self.shapes.values()))[0]
        given = {name: self._view(name, batch) for name in self.shapes}
        for name, answer in zip(
            self.engine.outputs, self.engine.session.run(None, given), strict=True
        ):
            self._view(name, batch)[...] = answer

    def _view(self, name: str, batch: int) -> np.ndarray:
        dtype, shape = self.engine.types[name], (batch, *self.engine.shapes[name])
        size = int(np.prod(shape)) * dtype.itemsize
        memory = (ctypes.c_uint8 * size).from_address(self.addresses[name])
        return np.frombuffer(memory, dtype).reshape(shape)


class Engine:
    def __init__(self, trt: "HostTensorRT", log: Any, data: bytes) -> None:
        self.trt, self.log, self.profiles, self.broken = trt, log, trt.profiles, False
        graph = onnx.load_from_string(data).graph
        options = ort.SessionOptions()
        options.log_severity_level = 3
        self.session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        self.inputs, self.outputs = ([v.name for v in side] for side in (graph.input, graph.output))
        self.types, self.shapes = {}, {}
        for value in (*graph.input, *graph.output):
            tensor = value.type.tensor_type
            self.types[value.name] = np.dtype(
                onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
            )
            self.shapes[value.name] = tuple(d.dim_value for d in tensor.shape.dim)[1:]
        self.num_io_tensors = len(self.inputs) + len(self.outputs)
        trt.engines.append(self)

    def create_execution_context(self) -> Context:
        self.trt.contexts += 1
        return Context(self)

    def get_tensor_name(self, index: int) -> str:
        return [*self.inputs, *self.outputs][index]

    def get_tensor_mode(self, name: str) -> Mode:
        return Mode.INPUT if name in self.inputs else Mode.OUTPUT

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return (-1, *self.shapes[name])


class HostTensorRT:
    """The module."""

    class ILogger:
        ERROR = 1

        def __init__(self) -> None:
            pass

    def __init__(self, profiles: list[Profile]) -> None:
        self.profiles, self.engines, self.contexts = profiles, [], 0  # type: ignore[var-annotated]

    def Runtime(self, log: Any) -> Any:
        class Runtime:
            @staticmethod
            def deserialize_cuda_engine(data: bytes) -> Engine | None:
                if data == b"damaged":
                    log.log(HostTensorRT.ILogger.ERROR, "the plan is damaged\n  at byte 0")
                    return None
                return Engine(self, log, data)

        return Runtime()
