"""Layout of several arrays in one block of memory, so that one copy moves them all."""

from dataclasses import dataclass

import numpy as np

ALIGNMENT = 256
"""Alignment of every array in bytes: that of the CUDA allocator, sufficient for any kernel."""


@dataclass(frozen=True)
class Field:
    """Position, shape and type of an array in a block.

    Attributes:
        start: Offset of the first byte.
        shape: Full shape, batch first.
        dtype: Element type.
    """

    start: int
    shape: tuple[int, ...]
    dtype: np.dtype


class Layout:
    """Consecutive layout of named arrays.

    Args:
        arrays: Name to shape and type.

    Attributes:
        size_bytes: Size of the block.
    """

    def __init__(self, arrays: dict[str, tuple[tuple[int, ...], str]]) -> None:
        self._fields: dict[str, Field] = {}
        end = 0
        for name, (shape, kind) in arrays.items():
            dtype = np.dtype(kind)
            self._fields[name] = Field(end, shape, dtype)
            size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
            end += -(-size // ALIGNMENT) * ALIGNMENT
        self.size_bytes = max(end, ALIGNMENT)

    def addresses(self, base: int) -> dict[str, int]:
        """Return the address of every array in a block that begins at an address."""
        return {name: base + field.start for name, field in self._fields.items()}

    def views(self, block: np.ndarray) -> dict[str, np.ndarray]:
        """Return every array as a view into a block of bytes on the host."""
        return {
            name: np.ndarray(field.shape, field.dtype, block, field.start)
            for name, field in self._fields.items()
        }
