"""Arrays as parts of a message: raw little-endian bytes in C order, described by the header.

What the arrays mean is known to the messages; here they only become bytes and come back whole.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from langpose_rt.protocol.header import MAX_MESSAGE_BYTES, RejectReason, UInt, reject

DTYPES: dict[str, np.dtype[Any]] = {"<f4": np.dtype("<f4"), "|u1": np.dtype("|u1")}
"""Element types on the wire, by the name they have there."""


class Extra(msgspec.Struct, frozen=True):
    """One entry of `header.extra`: what the part at the same place after the payload is."""

    name: str
    shape: tuple[UInt, ...]
    dtype: str


def array_to_bytes(array: npt.NDArray[Any], dtype: str) -> bytes:
    """The bytes of an array, in C order and the element type `dtype`."""
    return np.ascontiguousarray(array, DTYPES[dtype]).tobytes()


def array_from_bytes(raw: bytes, shape: Sequence[int], dtype: str) -> npt.NDArray[Any]:
    """The array in a part of a message.

    Returns:
        A read-only view of `raw`; copy what is to be changed.

    Raises:
        MessageError: bad_shape, if the bytes are not exactly the array's.
    """
    element = DTYPES.get(dtype)
    if element is None:
        known = ", ".join(DTYPES)
        raise reject(RejectReason.BAD_SHAPE, f"got dtype {dtype[:16]!r}, expected one of {known}")
    if math.prod(shape) * element.itemsize != len(raw) or max(shape, default=0) > MAX_MESSAGE_BYTES:
        found = list(shape[:8])
        raise reject(RejectReason.BAD_SHAPE, f"got {len(raw)} bytes for shape {found} of {dtype}")
    return np.frombuffer(raw, element).reshape(shape)


def extras_to_parts(
    arrays: Mapping[str, npt.NDArray[Any]], dtypes: Mapping[str, str]
) -> tuple[tuple[Extra, ...], list[bytes]]:
    """`header.extra` and the parts it describes, in the order of `dtypes`."""
    names = [name for name in dtypes if name in arrays]
    extras = tuple(Extra(name, arrays[name].shape, dtypes[name]) for name in names)
    return extras, [array_to_bytes(arrays[name], dtypes[name]) for name in names]


def extras_from_parts(
    extras: Sequence[Extra], parts: Sequence[bytes], dtypes: Mapping[str, str]
) -> dict[str, npt.NDArray[Any]]:
    """The extra arrays whose names are in `dtypes`; others are for newer readers and ignored.

    Args:
        extras: `header.extra`.
        parts: The parts after the payload.
        dtypes: Element type of every array that is understood.

    Raises:
        MessageError: bad_parts or bad_shape.
    """
    if len(extras) != len(parts):
        raise reject(
            RejectReason.BAD_PARTS, f"got {len(parts)} extra parts, extra names {len(extras)}"
        )
    arrays: dict[str, npt.NDArray[Any]] = {}
    for extra, part in zip(extras, parts, strict=True):
        if dtypes.get(extra.name) == extra.dtype:
            arrays[extra.name] = array_from_bytes(part, extra.shape, extra.dtype)
        elif extra.name in dtypes:
            found = f"{extra.name} as {extra.dtype[:16]!r}"
            raise reject(RejectReason.BAD_SHAPE, f"got {found}, expected {dtypes[extra.name]}")
    return arrays
