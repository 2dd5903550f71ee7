"""The wire as a whole: golden bytes, the specification, and hostile bytes."""

import json
import pickle
import re
from collections.abc import Callable

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langpose_rt.errors import MessageError
from langpose_rt.protocol import header, messages
from langpose_rt.protocol.messages import (
    JsonNumbering,
    KeypointMessage,
    PoseMessage,
    RejectReason,
    decode_keypoints,
    decode_pose,
    decode_status,
)
from tests.protocol.samples import (
    GOLDEN,
    encoded_samples,
    event_sample,
    fused_sample,
    golden_parts,
    heartbeat_sample,
    keypoint_sample,
    kp2d_parts,
    meaning,
    pose_sample,
    same,
    schema_sample,
)

READERS: dict[str, tuple[Callable[[list[bytes]], object], Callable[[], object]]] = {
    "kp2d": (lambda parts: decode_keypoints(parts, now_ns=0), keypoint_sample),
    "pose3d": (decode_pose, pose_sample),
    "pose3d_fused": (decode_pose, fused_sample),
    "hb": (decode_status, heartbeat_sample),
    "schema": (decode_status, schema_sample),
    "event": (decode_status, event_sample),
}


@pytest.mark.parametrize("name", READERS)
def test_the_bytes_are_those_of_the_first_day(name: str) -> None:
    assert encoded_samples()[name] == golden_parts(name)


@pytest.mark.parametrize("name", READERS)
def test_the_bytes_of_the_first_day_are_read(name: str) -> None:
    decode, sample = READERS[name]
    assert same(decode(golden_parts(name)), sample())


@pytest.mark.parametrize("name", READERS)
def test_golden_bytes_mean_the_golden_json(name: str) -> None:
    assert meaning(golden_parts(name)) == json.loads((GOLDEN / f"{name}.json").read_text("ascii"))


@pytest.mark.parametrize("name", READERS)
def test_golden_json_is_written_as_the_golden_bytes(name: str) -> None:
    meant = json.loads((GOLDEN / f"{name}.json").read_text("ascii"))
    header, parts = dict(meant["header"]), golden_parts(name)
    if name.startswith("pose3d"):
        header["src"] = header["src"] | {"t": int(header["src"]["t"])}
    header |= {key: int(header[key]) for key in ("t", "t_srv") if key in header}
    arrays = [meant["payload"], *meant["extra"].values()] if "payload" in meant else []
    dtypes = ["<f4", *(about["dtype"] for about in header.get("extra", []))]
    written = [meant["topic"].encode(), msgspec.msgpack.encode(header)]
    written += [
        np.array(array, dtype).tobytes() for array, dtype in zip(arrays, dtypes, strict=False)
    ]
    assert written == parts


def test_the_header_printed_in_the_specification_is_one() -> None:
    specification = messages.__doc__ or ""
    digits = "".join(re.findall(r"^    ([0-9a-f]{20,})$", specification, re.MULTILINE))
    message = decode_keypoints([b"kp2d/rig0/cam0/", bytes.fromhex(digits), b""], now_ns=0)
    assert (message.skeleton, message.wh, len(message.ids)) == ("coco17", (1920, 1080), 0)


@pytest.mark.parametrize("name", READERS)
def test_the_specification_names_every_key_that_is_sent(name: str) -> None:
    specification = messages.__doc__ or ""
    keys = msgspec.msgpack.decode(golden_parts(name)[1])
    section = specification.split(f"\n{name.partition('_')[0]}/1: ")[1].split("\n====")[1]
    for key in set(keys) - {"p", "v", "s"}:
        assert re.search(rf"\b{key}\b", section), key


def test_every_limit_is_in_the_specification() -> None:
    specification = messages.__doc__ or ""
    assert header.MAX_HEADER_BYTES == 8 << 10
    assert "at most 8 KiB" in specification
    assert header.MAX_MESSAGE_BYTES == 1 << 20
    assert "at most 1 MiB" in specification
    assert f"at most {header.MAX_PARTS}" in specification
    assert f"more than {header.MAX_PEOPLE} people" in specification


def test_the_first_byte_tells_json() -> None:
    numbering = JsonNumbering(9)
    points = [[[1.0, 2.0, 0.5]] * 17]
    for before in ("", " ", "\r\n\t"):
        raw = (before + json.dumps({"keypoints": points, "wh": [640, 480]})).encode()
        message = decode_keypoints([b"kp2d/a/b/", raw], now_ns=5, numbering=numbering)
        assert message.json
        assert message.t_ns == 5
    assert not decode_keypoints(kp2d_parts(), now_ns=5, numbering=numbering).json


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([pickle.dumps({"a": 1})], "a Python pickle, which is never read, as send_pyobj sends it"),
        ([b"kp2d/a/b/", pickle.dumps([1])], "a Python pickle, which is never read"),
        ([b'{"people": []}'], "one part of JSON without a topic, as send_json sends it"),
        ([b'kp2d/a/b/ {"people": []}'], "one part that begins with the topic"),
        ([b"kp2d/a/b/", b"\x81\xa1p\xa4lprt"], "is the payload missing?"),
        ([], "got 0 parts"),
        ([b"x"] * 17, "got 17 parts"),
    ],
)
def test_other_parts_are_named_with_what_to_send(parts: list[bytes], words: str) -> None:
    with pytest.raises(MessageError, match=r"^bad_parts") as caught:
        decode_keypoints(parts, now_ns=0, numbering=JsonNumbering(9))
    assert words in caught.value.detail
    if parts and len(parts) < 3:
        assert caught.value.detail.endswith("or the topic and JSON, with send_multipart")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le"])
def test_utf_16_is_named(encoding: str) -> None:
    raw = '{"people": []}'.encode(encoding)
    with pytest.raises(MessageError, match="bad_json: it is UTF-16 text; save it as UTF-8"):
        decode_keypoints([b"kp2d/a/b/", raw], now_ns=0, numbering=JsonNumbering(9))


def test_json_is_refused_where_nobody_numbers_it() -> None:
    with pytest.raises(MessageError, match="json_refused"):
        decode_keypoints([b"kp2d/a/b/", b"{}"], now_ns=0)


def test_reasons_are_labels_and_each_is_explained() -> None:
    for reason in RejectReason:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", reason.value)
        assert reason.value.upper() == reason.name


NUMBERING = JsonNumbering(1)


def read_or_refused(decode: Callable[[list[bytes]], object], parts: list[bytes]) -> object:
    try:
        return decode(parts)
    except MessageError as error:
        return error


def refuses_or_reads(parts: list[bytes]) -> None:
    """Hostile parts cost a MessageError with a known reason at most, in every decoder."""
    readers: list[Callable[[list[bytes]], object]] = [
        lambda parts: decode_keypoints(parts, now_ns=0, numbering=NUMBERING, sizes={"c": (9, 9)}),
        decode_pose,
        decode_status,
    ]
    for decode in readers:
        outcome = read_or_refused(decode, parts)
        if isinstance(outcome, MessageError):
            assert outcome.reason in {reason.value for reason in RejectReason}
            assert len(outcome.detail) < 500
        if isinstance(outcome, KeypointMessage):
            assert np.isfinite(outcome.keypoints).all()
        if isinstance(outcome, PoseMessage):
            assert np.isfinite(outcome.poses).all()


TOPICS = st.sampled_from([b"kp2d/r/c/", b"pose3d/r/c/", b"hb/s/", b"schema/s/", b"event/e/"])


@settings(deadline=None)
@given(st.lists(st.binary(max_size=64), max_size=6))
def test_random_parts_raise_nothing_else(parts: list[bytes]) -> None:
    refuses_or_reads(parts)


@settings(deadline=None)
@given(TOPICS, st.binary(max_size=200), st.binary(max_size=64))
def test_random_headers_raise_nothing_else(topic: bytes, raw: bytes, payload: bytes) -> None:
    refuses_or_reads([topic, raw, payload])
    refuses_or_reads([topic, b"{" + raw])


@settings(deadline=None)
@given(st.sampled_from(sorted(READERS)), st.data())
def test_a_valid_message_with_wrong_bytes_raises_nothing_else(
    name: str, data: st.DataObject
) -> None:
    parts = golden_parts(name)
    for _ in range(data.draw(st.integers(1, 4))):
        part = data.draw(st.integers(0, len(parts) - 1))
        raw = bytearray(parts[part])
        start = data.draw(st.integers(0, len(raw)))
        stop = data.draw(st.integers(start, min(start + 8, len(raw))))
        raw[start:stop] = data.draw(st.binary(max_size=8))
        parts[part] = bytes(raw)
    refuses_or_reads(parts)


NUMBERS = st.integers(-(1 << 63), (1 << 64) - 1) | st.floats()
VALUES: st.SearchStrategy[object] = st.deferred(
    lambda: (
        st.none() | st.booleans() | NUMBERS | st.binary() | st.text()
        | st.lists(VALUES, max_size=2) | st.dictionaries(st.text(), VALUES, max_size=2)
    )
)  # fmt: skip


@settings(deadline=None)
@given(st.sampled_from(sorted(READERS)), st.data())
def test_a_valid_message_with_wrong_values_raises_nothing_else(
    name: str, data: st.DataObject
) -> None:
    topic, raw, *rest = golden_parts(name)
    keys = msgspec.msgpack.decode(raw)
    for key in data.draw(st.lists(st.sampled_from(sorted(keys)), min_size=1, max_size=3)):
        keys[key] = data.draw(VALUES)
    refuses_or_reads([topic, msgspec.msgpack.encode(keys), *rest])
