"""Arrays as raw bytes."""

import numpy as np
import pytest

from langpose_rt.errors import MessageError
from langpose_rt.protocol.arrays import (
    Extra,
    array_from_bytes,
    array_to_bytes,
    extras_from_parts,
    extras_to_parts,
)

DTYPES = {"flags": "|u1", "echo": "<f4"}


def test_arrays_are_little_endian_and_in_c_order() -> None:
    array = np.asfortranarray(np.array([[1, 2], [3, 4]], ">f8"))
    assert array_to_bytes(array, "<f4") == np.array([1, 2, 3, 4], "<f4").tobytes()


def test_an_array_is_read_back_without_a_copy() -> None:
    raw = np.arange(6, dtype="<f4").tobytes()
    array = array_from_bytes(raw, (2, 3), "<f4")
    assert array.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert not array.flags.writeable


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((2, 3), "<f8"),
        ((2, 3), "O"),
        ((2, 3), "object"),
        ((2, 4), "<f4"),
        ((2, 3, 0), "<f4"),
        ((), "<f4"),
        ((1 << 40, 1 << 40), "<f4"),
    ],
)
def test_bytes_that_are_not_the_array_are_refused(shape: tuple[int, ...], dtype: str) -> None:
    with pytest.raises(MessageError, match="bad_shape"):
        array_from_bytes(bytes(24), shape, dtype)


def test_an_empty_array_of_an_absurd_shape_is_refused() -> None:
    with pytest.raises(MessageError, match="bad_shape"):
        array_from_bytes(b"", (0, 1 << 50), "<f4")


def test_extras_come_back_by_name_and_unknown_ones_are_skipped() -> None:
    arrays = {"echo": np.ones((1, 3), np.float32), "flags": np.ones((1, 2), np.uint8)}
    extras, parts = extras_to_parts(arrays, DTYPES)
    assert [extra.name for extra in extras] == ["flags", "echo"]
    later = Extra("later", (9,), "<c16")
    read = extras_from_parts((later, *extras), [b"?", *parts], DTYPES)
    assert {name: array.tolist() for name, array in read.items()} == {
        "flags": [[1, 1]],
        "echo": [[1, 1, 1]],
    }


def test_extras_and_parts_must_match() -> None:
    extra = Extra("flags", (2,), "|u1")
    with pytest.raises(MessageError, match="bad_parts"):
        extras_from_parts((extra,), [], DTYPES)
    with pytest.raises(MessageError, match="bad_parts"):
        extras_from_parts((), [b"xx"], DTYPES)
    with pytest.raises(MessageError, match=r"expected \|u1"):
        extras_from_parts((Extra("flags", (2,), "<f4"),), [bytes(8)], DTYPES)
