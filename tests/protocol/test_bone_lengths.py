"""Bone lengths on the wire: what is encoded is decoded, and what no body has is refused."""

import msgspec
import numpy as np
import pytest

from langpose_rt.errors import MessageError
from langpose_rt.geometry.skeleton import REFERENCE_BONES_M
from langpose_rt.protocol.bone_lengths import bones_from_wire, bones_to_wire

BONES = REFERENCE_BONES_M.tolist()


def bodies(*factors: float) -> np.ndarray:
    return np.outer(factors, REFERENCE_BONES_M).astype(np.float32)


def read(bones_m: np.ndarray) -> list[list[float] | None]:
    raw = bones_to_wire(bones_m, len(bones_m))
    assert raw is not None
    found: list[list[float] | None] = msgspec.msgpack.decode(bytes(raw))
    return found


@pytest.mark.parametrize("people", [1, 2, 20])
def test_what_is_encoded_is_decoded_bit_by_bit(people: int) -> None:
    bones_m = bodies(*np.linspace(0.5, 1.5, people))
    back = bones_from_wire(read(bones_m), range(people), people)
    np.testing.assert_array_equal(back, bones_m)


def test_the_limits_themselves_are_lengths() -> None:
    bones_m = np.full((2, 16), 0.01, np.float32)
    bones_m[1] = 1.5
    np.testing.assert_array_equal(bones_from_wire(read(bones_m), (0, 1), 2), bones_m)
    assert bones_from_wire([[0.01] * 16], (0,), 1) is not None


def test_whoever_has_an_unknown_length_is_nil() -> None:
    bones_m = bodies(1.0, 1.1, 1.2)
    bones_m[1, 4] = np.nan
    wire = read(bones_m)
    assert [own is None for own in wire] == [False, True, False]
    back = bones_from_wire(wire, range(3), 3)
    assert back is not None
    np.testing.assert_array_equal(back[[0, 2]], bones_m[[0, 2]])
    assert np.isnan(back[1]).all()


def test_the_lengths_of_64_people_leave_room_in_a_header() -> None:
    raw = bones_to_wire(bodies(*[1.0] * 64), 64)
    assert raw is not None
    assert len(bytes(raw)) < 5400


def test_nobody_known_is_no_key() -> None:
    assert bones_to_wire(None, 3) is None
    assert bones_to_wire(np.full((2, 16), np.nan, np.float32), 2) is None
    assert bones_to_wire(np.zeros((0, 16), np.float32), 0) is None
    assert bones_from_wire(None, (0,), 1) is None
    assert bones_from_wire([None, None], (0, 1), 2) is None
    assert bones_from_wire([], (), 0) is None
    assert bones_from_wire([BONES, None], (1,), 2) is None, "the one who has them is not kept"


def test_rows_follow_the_people_who_are_kept() -> None:
    wire = read(bodies(0.8, 0.9, 1.0, 1.1))
    np.testing.assert_array_equal(bones_from_wire(wire, (1, 3), 4), bodies(0.9, 1.1))


@pytest.mark.parametrize(
    ("bones", "sentence"),
    [
        ([], "got 0 entries of bones_m for 1 people"),
        ([BONES, None], "got 2 entries of bones_m for 1 people"),
        ([BONES[:15]], "got 15 lengths of a person in bones_m, expected 16 or nil"),
        ([[]], "got 0 lengths of a person in bones_m, expected 16 or nil"),
        ([[44.7, *BONES[1:]]], "got a length of 44.7 m in bones_m, expected 0.01 to 1.5 m"),
        ([[0.0, *BONES[1:]]], "got a length of 0 m in bones_m, expected 0.01 to 1.5 m"),
        ([[*BONES[:15], float("nan")]], "got a length of nan m in bones_m"),
        ([[*BONES[:15], 1e300]], "got a length of inf m in bones_m"),
    ],
)
def test_lengths_that_no_body_has_are_one_sentence(bones: list[object], sentence: str) -> None:
    with pytest.raises(MessageError, match=sentence) as refused:
        bones_from_wire(bones, (0,), 1)  # type: ignore[arg-type]
    assert refused.value.reason == "bad_header"


@pytest.mark.parametrize(
    ("bones_m", "sentence"),
    [
        (bodies(1.0, 1.0), r"bones_m of shape \[2, 16\], expected \[1, 16\]"),
        (bodies(1.0)[:, :15], r"bones_m of shape \[1, 15\], expected \[1, 16\]"),
        (bodies(100.0), "got a length of 13.3 m in bones_m, expected 0.01 to 1.5 m"),
        (bodies(-1.0), "got a length of -0.133 m in bones_m"),
    ],
)
def test_lengths_that_no_server_reads_are_not_sent(bones_m: np.ndarray, sentence: str) -> None:
    with pytest.raises(MessageError, match=sentence):
        bones_to_wire(bones_m, 1)
