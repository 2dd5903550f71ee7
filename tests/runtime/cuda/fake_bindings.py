"""`cuda.bindings.driver` that remembers what it was asked, for one device without a device."""

import ctypes
from types import SimpleNamespace
from typing import Any

import numpy as np

SUCCESS, OUT_OF_MEMORY, UNKNOWN = 0, 2, 999
TEXTS = {OUT_OF_MEMORY: b"out of memory"}


class FakeBindings:
    """Every function returns a tuple with a status first, as the bindings do.

    Attributes:
        calls: Name and arguments of everything that was asked, in order.
        failing: Status by the name of a function; the others succeed.
        launched: Values of the arguments of every launch, as the device would read them.
        types: ctypes type of every argument of the next launch.
    """

    CUstreamCaptureMode = SimpleNamespace(CU_STREAM_CAPTURE_MODE_THREAD_LOCAL="thread local")

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.failing: dict[str, int] = {}
        self.launched: list[list[int]] = []
        self.types: list[Any] = []
        self._numbers = iter(range(100, 10_000))
        self._memory: list[np.ndarray] = []

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("cu"):
            raise AttributeError(name)

        def ask(*arguments: Any) -> tuple[Any, ...]:
            self.calls.append((name, *arguments))
            status = self.failing.get(name, SUCCESS)
            value = None if status else self._value(name, arguments)
            return (status,) if value is None else (status, value)

        return ask

    def cuGetErrorString(self, status: int) -> tuple[int, bytes | None]:
        return SUCCESS, TEXTS.get(status)

    @property
    def names(self) -> list[str]:
        """What was asked, in order."""
        return [call[0] for call in self.calls]

    def _value(self, name: str, arguments: tuple[Any, ...]) -> Any:
        if name == "cuDeviceGet":
            return 0
        if name == "cuMemHostAlloc":
            self._memory.append(np.full(arguments[0], 0xFF, np.uint8))
            return self._memory[-1].ctypes.data
        if name == "cuLaunchKernel":
            pointers = (ctypes.c_void_p * len(self.types)).from_address(arguments[9])
            self.launched.append(
                [kind.from_address(at).value for kind, at in zip(self.types, pointers, strict=True)]
            )
            return None
        gives = "Create Retain MemAlloc LoadData GetFunction EndCapture Instantiate".split()
        return next(self._numbers) if any(word in name for word in gives) else None
