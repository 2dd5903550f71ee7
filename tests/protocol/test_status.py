"""Heartbeat, schema and event as bytes and back."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langpose_rt.errors import MessageError
from langpose_rt.geometry.skeleton import SKELETONS
from langpose_rt.protocol.header import MAX_UINT
from langpose_rt.protocol.status import (
    Event,
    Heartbeat,
    decode_status,
    encode_status,
    schema_from_skeleton,
)
from tests.protocol.samples import event_sample, heartbeat_sample, schema_sample

NAMES = st.from_regex(r"[A-Za-z0-9_.-]{1,64}", fullmatch=True)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
UINTS = st.integers(0, MAX_UINT)
EVENTS = st.builds(
    Event, kind=NAMES, epoch=UINTS, seq=UINTS, t_ns=UINTS, subject=WORDS, reason=WORDS,
    detail=WORDS, count=UINTS,
)  # fmt: skip
HEARTBEATS = st.builds(
    Heartbeat, server=NAMES, epoch=UINTS, seq=UINTS, t_ns=UINTS, uptime_s=st.floats(0, 1e9),
    state=st.sampled_from(["starting", "ready", "degraded", "draining"]), streams=UINTS,
    persons=UINTS, fps=st.floats(0, 1e5), p99_ms=st.floats(0, 1e5), model=st.none(),
    counters=st.dictionaries(WORDS, UINTS, max_size=5),
)  # fmt: skip


@settings(deadline=None)
@given(EVENTS | HEARTBEATS)
def test_what_is_encoded_is_decoded(message: Event | Heartbeat) -> None:
    assert decode_status(encode_status(message)) == message


@pytest.mark.parametrize("name", SKELETONS)
def test_every_keypoint_format_fits_a_schema_message(name: str) -> None:
    schema = schema_from_skeleton(SKELETONS[name])
    assert schema.topic == f"schema/{name}/"
    assert decode_status(encode_status(schema)) == schema


def test_every_option_survives() -> None:
    for message in (heartbeat_sample(), schema_sample(), event_sample()):
        assert decode_status(encode_status(message)) == message


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0])
def test_a_number_that_cannot_be_is_neither_sent_nor_believed(value: float) -> None:
    with pytest.raises(MessageError, match="bad_header"):
        encode_status(msgspec.structs.replace(heartbeat_sample(), p99_ms=value))
    topic, raw = encode_status(heartbeat_sample())
    raw = msgspec.msgpack.encode(msgspec.msgpack.decode(raw) | {"p99_ms": value})
    with pytest.raises(MessageError, match="bad_header"):
        decode_status([topic, raw])


def test_the_topic_names_what_the_header_says() -> None:
    _, raw = encode_status(event_sample())
    for topic in (b"event/drain/", b"hb/studio/", b"kp2d/a/b/", b"", b"event/reject", b"\xff/"):
        with pytest.raises(MessageError, match=r"bad_topic|unknown_schema"):
            decode_status([topic, raw])


def test_a_name_that_makes_no_topic_is_not_sent() -> None:
    with pytest.raises(MessageError, match="bad_topic"):
        encode_status(msgspec.structs.replace(event_sample(), kind="re/ject"))


def test_later_servers_may_say_more() -> None:
    topic, raw = encode_status(event_sample())
    more = msgspec.msgpack.encode(msgspec.msgpack.decode(raw) | {"later": [1]})
    assert decode_status([topic, more, b"further part"]) == event_sample()


def test_an_event_too_long_for_a_header_is_not_sent() -> None:
    with pytest.raises(MessageError, match="header_too_large"):
        encode_status(msgspec.structs.replace(event_sample(), detail="x" * 9000))
