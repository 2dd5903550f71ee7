"""Topics, headers, arrays and limits that all messages share."""

import msgspec
import numpy as np
import pytest

from langpose_rt.errors import MessageError
from langpose_rt.protocol.header import (
    MAX_HEADER_BYTES,
    MAX_MESSAGE_BYTES,
    MAX_PARTS,
    MAX_TIME_NS,
    MAX_UINT,
    Extra,
    Stamp,
    array_from_bytes,
    array_to_bytes,
    check_parts,
    check_uints,
    extras_from_parts,
    extras_to_parts,
    header_from_bytes,
    header_to_bytes,
    time_from_wire,
    topic_names,
    topic_of,
)

DECODER = msgspec.msgpack.Decoder(Stamp)


def header(**keys: object) -> bytes:
    return msgspec.msgpack.encode({"p": "lprt", "v": 1, "s": "hb/1"} | keys)


def test_a_topic_is_read_back() -> None:
    topic = topic_of("kp2d", "rig-0.a_B", "c" * 64)
    assert topic_names(topic.encode(), "kp2d", 2) == ("rig-0.a_B", "c" * 64)


@pytest.mark.parametrize(
    "topic",
    [
        b"",
        b"/",
        b"kp2d",
        b"kp2d/",
        b"kp2d/rig/",
        b"kp2d/rig/cam",
        b"kp2d/rig/cam/more/",
        b"kp2d/rig//",
        b"kp2d//cam/",
        b"kp2d/rig/cam/\n",
        b"kp2d/rig/cam\n/",
        b"kp2d/r\xc3\xa9g/cam/",
        b"kp2d/rig/ca m/",
        b"kp2d/rig/cam\x00/",
        b"KP2D/rig/cam/",
        b"pose3d/rig/cam/",
        b"kp2d/rig/" + b"c" * 65 + b"/",
        b"kp2d/" * 100_000,
    ],
)
def test_a_topic_of_another_shape_is_refused(topic: bytes) -> None:
    with pytest.raises(MessageError) as refused:
        topic_names(topic, "kp2d", 2)
    assert refused.value.reason == "bad_topic"
    assert len(refused.value.detail) < 400


@pytest.mark.parametrize("name", ["", "a/b", "a b", "a\n", "x" * 65, "ü"])
def test_a_name_with_other_characters_makes_no_topic(name: str) -> None:
    with pytest.raises(MessageError, match="bad_topic"):
        topic_of("kp2d", "rig", name)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (header(p="other"), "unknown_protocol"),
        (header(v=2), "unknown_version"),
        (header(v=0), "unknown_version"),
        (header(v=1.0), "bad_header"),
        (header(v="1"), "bad_header"),
        (header(s="hb/2"), "unknown_schema"),
        (header(p=None), "bad_header"),
        (msgspec.msgpack.encode({"p": "lprt", "v": 1}), "bad_header"),
        (header() + b"\x00", "bad_header"),
        (header()[:-1], "bad_header"),
        (b"", "bad_header"),
        (b"\xc1", "bad_header"),
        (b"\x91" * 5000, "bad_header"),
        (b"\x81\xa1\x61" * 2000, "bad_header"),
        (b"\x83\xa1p\xa1\xff\xa1v\x01\xa1s\xa1x", "bad_header"),
        (b"\xdf\xff\xff\xff\xff", "bad_header"),
        (header(more="x" * MAX_HEADER_BYTES), "header_too_large"),
    ],
)
def test_a_header_is_refused_for_what_is_wrong_with_it(raw: bytes, reason: str) -> None:
    with pytest.raises(MessageError) as refused:
        header_from_bytes(raw, DECODER, "hb/1")
    assert refused.value.reason == reason


def test_the_version_is_looked_at_before_the_types_of_other_keys() -> None:
    strict = msgspec.msgpack.Decoder(type("Strict", (Stamp,), {"__annotations__": {"n": int}}))
    with pytest.raises(MessageError, match="unknown_version"):
        header_from_bytes(header(v=2, n="later versions may write words"), strict, "hb/1")


def test_unknown_keys_are_ignored() -> None:
    raw = header(later={"nested": [1, 2, {"deep": None}]}, more=b"\x00\xff")
    assert header_from_bytes(raw, DECODER, "hb/1").s == "hb/1"


def test_a_header_that_nobody_would_read_is_not_made() -> None:
    with pytest.raises(MessageError, match="header_too_large"):
        header_to_bytes({"more": "x" * MAX_HEADER_BYTES})
    with pytest.raises(MessageError, match="bad_header"):
        header_to_bytes({"n": 1 << 64})
    with pytest.raises(MessageError, match="bad_header"):
        header_to_bytes({"text": "\ud800"})


def test_parts_are_counted_and_weighed() -> None:
    check_parts([b"t", b"h", bytes(MAX_MESSAGE_BYTES - 2)], at_least=3)
    with pytest.raises(MessageError, match="too_large"):
        check_parts([b"t", b"h", bytes(MAX_MESSAGE_BYTES - 1)], at_least=3)
    with pytest.raises(MessageError, match="bad_parts"):
        check_parts([b"t", b"h"], at_least=3)
    with pytest.raises(MessageError, match="bad_parts"):
        check_parts([b""] * (MAX_PARTS + 1), at_least=2)


def test_time_is_exact_as_a_number_and_as_a_string() -> None:
    assert time_from_wire(1_700_000_000_123_456_789) == 1_700_000_000_123_456_789
    assert time_from_wire("1700000000123456789") == 1_700_000_000_123_456_789
    assert time_from_wire(str(-MAX_TIME_NS)) == -MAX_TIME_NS


@pytest.mark.parametrize(
    "value",
    ["", "1.5", "1e9", " 1", "+1", "1_000", "0x10", "٣", "9" * 19, MAX_TIME_NS + 1, "9" * 99],
)
def test_a_time_that_is_none_is_refused(value: int | str) -> None:
    with pytest.raises(MessageError, match="bad_time"):
        time_from_wire(value)


def test_unsigned_integers_stay_below_what_javascript_holds() -> None:
    check_uints(epoch=MAX_UINT, seq=0)
    for number in (-1, MAX_UINT + 1):
        with pytest.raises(MessageError, match="got seq"):
            check_uints(epoch=0, seq=number)


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
