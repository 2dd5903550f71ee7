"""What a library must give so that its model runs in a program on a stream."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from langpose_rt.window.reference import Stored

Enqueue = Callable[[], None]


@runtime_checkable
class Recording(Protocol):
    """Work that is launched as one."""

    def launch(self) -> None:
        """Enqueue it."""
        ...

    def close(self) -> None:
        """Free it."""
        ...


@runtime_checkable
class DeviceNetwork(Protocol):
    """Encoder and lifter of one model in one library; keeps no state of persons.

    Attributes:
        name: Of the backend.
        precision: Of the arithmetic.
        stored: What it wants keys and values as.
        sizes: Batches it is to run, rising; others are padded up to the next.
    """

    name: str
    precision: str
    stored: Stored
    sizes: tuple[int, ...]

    def bound(self, part: str, size: int, addresses: dict[str, int], stream: int) -> Enqueue:
        """One network at one batch size on fixed addresses.

        Args:
            part: ``encoder`` or ``lifter``.
            size: One of `sizes`.
            addresses: Of every input and output, on the device.
            stream: Where it is enqueued.

        Raises:
            BackendError: If it cannot run so.
        """
        ...

    def recorded(self, work: Enqueue, stream: int) -> Recording:
        """Work that has run once, as a CUDA graph.

        Raises:
            BackendError: If it cannot be recorded.
        """
        ...

    def close(self) -> None:
        """Free what it holds."""
        ...
