"""JSON as other programs write it: marks, encodings and numbers that are none."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langpose_rt.formats.detections.json_text import FIRST_BYTES, json_from_bytes

ANY: "msgspec.json.Decoder[Any]" = msgspec.json.Decoder()


def test_a_byte_order_mark_is_passed_over() -> None:
    assert json_from_bytes(b'\xef\xbb\xbf{"a": 1}', ANY) == {"a": 1}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_utf_16_is_named(encoding: str) -> None:
    raw = ("\ufeff" if encoding == "utf-16-be" else "") + '{"a": 1}'
    with pytest.raises(ValueError, match="it is UTF-16 text; save it as UTF-8"):
        json_from_bytes(raw.encode(encoding), ANY)


def test_numbers_that_are_none_are_null_and_texts_stay_as_they_are() -> None:
    raw = rb'{"NaN": [NaN, -Infinity, Infinity, 1], "b": "NaN \" NaN", "c": NaN}'
    found = {"NaN": [None, None, None, 1], "b": 'NaN " NaN', "c": None}
    assert json_from_bytes(raw, ANY) == found


@given(st.recursive(st.floats() | st.text(), lambda inner: st.lists(inner, max_size=3)))
def test_what_python_writes_is_read_with_null_for_what_is_no_number(value: object) -> None:
    def expected(part: object) -> object:
        if isinstance(part, list):
            return [expected(inner) for inner in part]
        finite = not isinstance(part, float) or abs(part) < float("inf")
        return part if finite else None

    assert json_from_bytes(json.dumps(value).encode(), ANY) == expected(value)


@given(st.binary(max_size=40))
def test_no_bytes_raise_anything_but_what_is_promised(raw: bytes) -> None:
    sentence = "read"
    try:
        json_from_bytes(raw, ANY)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        sentence = str(error)
    assert sentence


def test_a_msgpack_map_begins_otherwise() -> None:
    maps = {*range(0x80, 0x90), 0xDE, 0xDF}
    assert not maps & set(FIRST_BYTES)
