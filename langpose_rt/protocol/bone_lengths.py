"""Bone lengths of the people of a frame: the key `bones_m` of `kp2d/1`.

A list with one entry for every person: nil, or the lengths of `skeleton.BONES` in metres.
"""

from collections.abc import Sequence

import msgspec
import numpy as np
from jaxtyping import Float32

from langpose_rt.errors import MessageError
from langpose_rt.geometry.length_channels import LENGTH_RANGE_M
from langpose_rt.geometry.skeleton import BONES
from langpose_rt.protocol.header import RejectReason, reject

WireBones = Sequence[Sequence[float] | None]
"""`bones_m` as it is decoded."""

_FLOAT32 = np.dtype([("type", "u1"), ("value", ">f4")])
_FLOAT32_TYPE, _ARRAY16_TYPE, _NIL = 0xCA, b"\xdc", b"\xc0"


def bones_to_wire(
    bones_m: Float32[np.ndarray, "row bone"] | None, people: int
) -> msgspec.Raw | None:
    """Encode bone lengths as msgpack; a person with an unknown one has none.

    They are floats of 32 bits there, so that those of 64 people fit into a header.

    Raises:
        MessageError: bad_header, if there is not a row of 16 for every person, or a length is out
            of range.
    """
    if bones_m is None:
        return None
    if bones_m.shape != (people, len(BONES)):
        found = list(bones_m.shape)
        raise _wrong(f"got bones_m of shape {found}, expected [{people}, {len(BONES)}]")
    known = ~np.isnan(bones_m).any(-1)
    if not known.any():
        return None
    _check_lengths(bones_m[known])
    numbers = np.empty(bones_m.shape, _FLOAT32)
    numbers["type"], numbers["value"] = _FLOAT32_TYPE, bones_m
    bones = _ARRAY16_TYPE + len(BONES).to_bytes(2, "big")
    rows = zip(numbers, known.tolist(), strict=True)
    entries = [bones + own.tobytes() if is_known else _NIL for own, is_known in rows]
    return msgspec.Raw(b"".join([_ARRAY16_TYPE, people.to_bytes(2, "big"), *entries]))


def bones_from_wire(
    bones: WireBones | None, places: Sequence[int], people: int
) -> Float32[np.ndarray, "person 16"] | None:
    """Return the bone lengths of the people who are kept.

    Args:
        bones: `bones_m` of the message.
        places: Places of those people in the message.
        people: Number of people in the message.

    Returns:
        A new array, NaN where a person has none; None if nobody has.

    Raises:
        MessageError: bad_header, if there is not one entry for every person, or an entry is not
            16 lengths in range.
    """
    if bones is None:
        return None
    if len(bones) != people:
        raise _wrong(f"got {len(bones)} entries of bones_m for {people} people")
    counts = {len(own) for own in bones if own is not None}
    if counts - {len(BONES)}:
        wrong = min(counts - {len(BONES)})
        raise _wrong(f"got {wrong} lengths of a person in bones_m, expected {len(BONES)} or nil")
    with np.errstate(over="ignore"):  # what overflows float32 is out of range
        lengths_m = np.array([own for own in bones if own is not None], np.float32)
    _check_lengths(lengths_m)
    found = np.full((people, len(BONES)), np.nan, np.float32)
    known = [place for place, own in enumerate(bones) if own is not None]
    if known:
        found[known] = lengths_m
    kept = found[list(places)]
    return None if np.isnan(kept).all() else kept


def _check_lengths(lengths_m: Float32[np.ndarray, "..."]) -> None:
    low, high = LENGTH_RANGE_M
    good = (lengths_m >= np.float32(low)) & (lengths_m <= np.float32(high))
    if not good.all():
        found_m = float(lengths_m[~good][0])
        raise _wrong(f"got a length of {found_m:g} m in bones_m, expected {low} to {high} m")


def _wrong(detail: str) -> MessageError:
    return reject(RejectReason.BAD_HEADER, detail)
