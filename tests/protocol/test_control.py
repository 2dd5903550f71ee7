"""Requests and answers of the control socket: golden bytes, encodings, hostile bytes."""

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langpose_rt.errors import MessageError
from langpose_rt.protocol import control as control_message
from langpose_rt.protocol.control import (
    OPERATIONS,
    Reply,
    Request,
    decode_reply,
    decode_request,
    encode_control,
    is_json,
)
from langpose_rt.protocol.header import MAX_HEADER_BYTES, RejectReason
from tests.protocol.samples import encoded_samples, golden_parts, reply_sample, request_sample


def test_the_bytes_are_those_of_the_first_day_and_are_read() -> None:
    parts = golden_parts("ctl")
    assert encoded_samples()["ctl"] == parts
    assert [is_json(raw) for raw in parts] == [False, False, True, True]
    for request, reply in (parts[:2], parts[2:]):
        assert decode_request(request) == request_sample()
        assert decode_reply(reply) == reply_sample()


def test_the_specification_names_every_key_and_every_operation() -> None:
    specification = control_message.__doc__ or ""
    for name in (*Request.__struct_fields__, *Reply.__struct_fields__, *OPERATIONS):
        assert re.search(rf"\b{name}\b", specification), name


def test_what_is_left_out_is_not_sent() -> None:
    raw = encode_control(Request.of("status"))
    assert msgspec.msgpack.decode(raw) == {"p": "lprt", "v": 1, "s": "ctl/1", "op": "status"}
    answer = msgspec.json.decode(encode_control(Reply.of(Request.of("x"), {}), as_json=True))
    assert answer == {"p": "lprt", "v": 1, "s": "ctl/1", "op": "x", "ok": True, "data": {}}


def keys(**changes: object) -> bytes:
    header = {"p": "lprt", "v": 1, "s": "ctl/1", "op": "status"} | changes
    return msgspec.msgpack.encode(header)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", RejectReason.BAD_HEADER),
        (b"\xc1", RejectReason.BAD_HEADER),
        (b"[1]", RejectReason.BAD_HEADER),
        (b"{" * 5000, RejectReason.BAD_HEADER),
        (b" " * (MAX_HEADER_BYTES + 1), RejectReason.HEADER_TOO_LARGE),
        (keys(op=3), RejectReason.BAD_HEADER),
        (keys(id=-1), RejectReason.BAD_HEADER),
        (keys(versions=[1] * 17), RejectReason.BAD_HEADER),
        (keys(t="soon"), RejectReason.BAD_TIME),
        (keys(t=1 << 63), RejectReason.BAD_TIME),
        (keys(model="x" * 5000), RejectReason.BAD_HEADER),
        (keys(p="http"), RejectReason.UNKNOWN_PROTOCOL),
        (keys(v=2), RejectReason.UNKNOWN_VERSION),
        (keys(s="kp2d/1"), RejectReason.UNKNOWN_SCHEMA),
    ],
)
def test_a_bad_request_is_refused_with_its_reason(raw: bytes, reason: RejectReason) -> None:
    with pytest.raises(MessageError) as caught:
        decode_request(raw)
    assert caught.value.reason == reason.value


def test_only_hello_is_read_whatever_its_version() -> None:
    assert decode_request(keys(op="hello", v=7, versions=[7, 1])).versions == (7, 1)
    with pytest.raises(MessageError, match="unknown_protocol"):
        decode_request(keys(op="hello", v=7, p="http"))


def test_unknown_keys_are_ignored() -> None:
    assert decode_request(keys(mood="good")) == Request.of("status")


def refused_or_read(raw: bytes) -> None:
    """Whatever the bytes, both decoders read them or give a reason."""
    for decode in (decode_request, decode_reply):
        try:
            decode(raw)
        except MessageError as error:
            refused = error
        else:
            continue
        assert refused.reason in {reason.value for reason in RejectReason}
        assert len(refused.detail) < 500


@given(st.binary(max_size=200), st.sampled_from([b"", b"{", b"\x84", b"["]))
def test_random_bytes_raise_nothing_else(raw: bytes, first: bytes) -> None:
    refused_or_read(first + raw)


@given(st.sampled_from(range(4)), st.data())
def test_valid_bytes_with_wrong_ones_among_them_raise_nothing_else(
    which: int, data: st.DataObject
) -> None:
    raw = bytearray(golden_parts("ctl")[which])
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(raw)))
        raw[start : start + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
    refused_or_read(bytes(raw))
