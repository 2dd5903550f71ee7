"""A `DeviceNetwork` of plain sums in host memory: what it answers can be said beforehand."""

from collections.abc import Callable

import numpy as np

from langpose_rt.config import ModelConfig
from langpose_rt.errors import BackendError
from langpose_rt.runtime.cuda.device_network import Enqueue
from langpose_rt.runtime.tensors import encoder_io, lifter_io
from langpose_rt.window.reference import Stored
from tests.runtime.cuda.host_driver import HostDriver

CONFIG = ModelConfig(
    name="sums", width=8, heads=2, depth=1, window=3, max_age_s=0.5, representation=4, embedding=2
)


class Replay:
    """A recording: the work itself, and how often it was launched."""

    def __init__(self, work: Enqueue) -> None:
        self._work, self.launches, self.closed = work, 0, False

    def launch(self) -> None:
        self.launches += 1
        self._work()

    def close(self) -> None:
        self.closed = True


class SumNetwork:
    """See `langpose_rt.runtime.cuda.device_network.DeviceNetwork`.

    A feature is the sum of the row in its first channel and the frames the mask lets it see in the
    second; the embedding is the sum, key and value are the sum and its double. A pose is the
    answered feature plus ten times the newest plus a hundred times the lag; sigma is the lag.

    Attributes:
        recordings: All that were made.
        calls: (part, size) of everything that ran, in order.
        unrecordable: Whether recording fails.
    """

    name, precision = "sums", "fp32"

    def __init__(
        self, driver: HostDriver, *, sizes: tuple[int, ...] = (1, 2, 4), stored: Stored = np.float32
    ) -> None:
        self._driver, self.sizes, self.stored = driver, sizes, stored
        self.recordings: list[Replay] = []
        self.calls: list[tuple[str, int]] = []
        self.unrecordable = self.closed = False

    def bind(
        self,
        part: str,
        size: int,
        addresses: dict[str, int],
        stream: int,  # noqa: ARG002 - it works at once
    ) -> Enqueue:
        inputs, outputs = {"encoder": encoder_io, "lifter": lifter_io}[part](CONFIG)
        ring = np.dtype(self.stored).name
        at = {
            name: self._driver.array_at(
                addresses[name], (size, *tensor.shape),
                ring if name.startswith("ring_") else tensor.dtype,
            )
            for name, tensor in (inputs | outputs).items()
        }  # fmt: skip
        run: Callable[[dict[str, np.ndarray]], None]
        run = {"encoder": _encode, "lifter": _lift}[part]

        def enqueue() -> None:
            self.calls.append((part, size))
            self._driver.log.append(part)
            run(at)

        return enqueue

    def capture(self, work: Enqueue, stream: int) -> Replay:  # noqa: ARG002 - as above
        if self.unrecordable:
            raise BackendError("CUDA failed at beginning a graph: not supported")
        self.recordings.append(Replay(work))
        return self.recordings[-1]

    def close(self) -> None:
        self.closed = True


def _encode(at: dict[str, np.ndarray]) -> None:
    total = at["rows"].sum((1, 2)) + at["extras"].sum(1)
    at["feature"][:] = 0
    at["feature"][:, 0] = total
    at["feature"][:, 1] = (at["bias"] == 0).sum(1)
    at["embedding"][:] = total[:, None]
    at["key"][:] = total[:, None, None]
    at["value"][:] = 2 * total[:, None, None]


def _lift(at: dict[str, np.ndarray]) -> None:
    total = at["answered"][:, 0] + 10 * at["newest"][:, 0] + 100 * at["lag_s"]
    at["pose"][:] = total[:, None, None]
    at["sigma"][:] = at["lag_s"][:, None]
