"""Interface of a network that runs on a CUDA stream at fixed addresses."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from langpose_rt.window.reference import Stored

Enqueue = Callable[[], None]


@runtime_checkable
class CapturedWork(Protocol):
    """Work captured as a CUDA graph and launched as a whole."""

    def launch(self) -> None:
        """Enqueue the graph."""
        ...

    def close(self) -> None:
        """Free the graph."""
        ...


@runtime_checkable
class DeviceNetwork(Protocol):
    """Encoder and lifter of a model in one library; keeps no state of persons.

    Attributes:
        name: Name of the backend.
        precision: Precision of the arithmetic.
        stored: Type of keys and values in the ring.
        sizes: Batch sizes, rising; other batches are padded to the next size.
    """

    name: str
    precision: str
    stored: Stored
    sizes: tuple[int, ...]

    def bind(self, part: str, size: int, addresses: dict[str, int], stream: int) -> Enqueue:
        """Bind one network to a batch size and fixed addresses; return the call that enqueues it.

        Args:
            part: ``encoder`` or ``lifter``.
            size: One of `sizes`.
            addresses: Device address of every input and output, by name.
            stream: Stream it is enqueued on.

        Raises:
            BackendError: If the network does not accept the size or an address.
        """
        ...

    def capture(self, work: Enqueue, stream: int) -> CapturedWork:
        """Capture work that has run once as a CUDA graph.

        Raises:
            BackendError: If it cannot be captured.
        """
        ...

    def close(self) -> None:
        """Free all resources."""
        ...
