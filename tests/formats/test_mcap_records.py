"""Records of whole, cut and damaged MCAP files."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.records import Channel, Message, Metadata
from mcap.stream_reader import StreamReader
from mcap.writer import Writer

from langpose_rt.formats.mcap_records import MAGIC, mcap_records

MESSAGES = 400
CHUNK_BYTES = 2_000


def a_file(*, finished: bool = True) -> bytes:
    """Messages of one byte string each over four channels, in chunks of a few dozen."""
    file = BytesIO()
    writer = Writer(file, chunk_size=CHUNK_BYTES)
    writer.start()
    writer.add_metadata("about", {"name": "value"})
    schema = writer.register_schema("s", "text", b"")
    channels = [writer.register_channel(f"topic{n}", "raw", schema) for n in range(4)]
    for number in range(MESSAGES):
        writer.add_message(channels[number % 4], number, number.to_bytes(50, "big"), number)
    if finished:
        writer.finish()
    else:
        writer.flush()  # type: ignore[no-untyped-call]
    return file.getvalue()


WHOLE = a_file()
FIRST_CHUNK = 81


def read(data: bytes) -> tuple[list[object], list[int]]:
    """The records, and the sizes of the places that were passed over."""
    damage: list[int] = []
    return list(mcap_records(BytesIO(data), damage.append)), damage


def numbers(records: list[object]) -> list[int]:
    return [int.from_bytes(r.data, "big") for r in records if isinstance(r, Message)]


def test_a_whole_file_is_read_as_the_library_reads_it() -> None:
    records, damage = read(WHOLE)
    library = [record for record in StreamReader(BytesIO(WHOLE)).records]  # noqa: C416
    messages = [record for record in library if isinstance(record, Message)]
    assert [record for record in records if isinstance(record, Message)] == messages
    assert [r.name for r in records if isinstance(r, Metadata)] == ["about"]
    assert numbers(records) == list(range(MESSAGES))
    assert damage == []


@given(place=st.integers(FIRST_CHUNK, len(WHOLE) - 1), bit=st.integers(0, 7))
@settings(max_examples=100, deadline=None)
def test_one_wrong_bit_costs_one_chunk_at_most_and_is_reported(place: int, bit: int) -> None:
    data = bytearray(WHOLE)
    data[place] ^= 1 << bit
    records, damage = read(bytes(data))
    found = numbers(records)
    assert found == sorted(set(found))
    lost = MESSAGES - len(found)
    assert lost <= 3 * CHUNK_BYTES // 50
    assert not lost or damage


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_zeros_in_the_middle_cost_what_they_cover(share: float) -> None:
    data, start = bytearray(WHOLE), round(share * len(WHOLE))
    data[start : start + 500] = bytes(500)
    records, damage = read(bytes(data))
    found = numbers(records)
    assert MESSAGES - 3 * CHUNK_BYTES // 50 < len(found) < MESSAGES
    assert (found[0], found[-1]) == (0, MESSAGES - 1)
    assert len(damage) >= 1


def test_channels_that_are_lost_are_read_from_the_end_of_the_file() -> None:
    data = bytearray(WHOLE)
    data[data.index(b"topic0") if b"topic0" in data[:300] else 200] ^= 0xFF  # the first chunk
    records, damage = read(bytes(data))
    assert damage
    first = next(place for place, r in enumerate(records) if isinstance(r, Message))
    known = {r.topic for r in records[:first] if isinstance(r, Channel)}
    assert known == {f"topic{n}" for n in range(4)}


@pytest.mark.parametrize("bytes_kept", [8, 12, 40, len(WHOLE) // 3, len(WHOLE) // 2])
def test_a_file_that_is_cut_is_read_as_far_as_it_goes(bytes_kept: int) -> None:
    records, damage = read(WHOLE[:bytes_kept])
    found = numbers(records)
    assert found == list(range(len(found)))
    assert damage == []


def test_a_file_that_was_never_closed_is_read_to_its_end() -> None:
    records, damage = read(a_file(finished=False))
    assert numbers(records) == list(range(MESSAGES))
    assert damage == []


@pytest.mark.parametrize(
    "damaged",
    [
        lambda data: data[:100] + b"\xff" * 30 + data[130:],
        lambda data: data[: len(data) // 2] + data[len(data) // 2 + 7 :],
        lambda data: data[: len(data) // 2] + b"seven b" + data[len(data) // 2 :],
    ],
    ids=["overwritten", "bytes missing", "bytes too many"],
)
def test_damage_of_other_kinds_is_passed_over(damaged: Callable[[bytes], bytes]) -> None:
    records, damage = read(damaged(WHOLE))
    assert numbers(records)[-1] == MESSAGES - 1
    assert damage


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything(data: bytes) -> None:
    read(MAGIC + data)


def test_a_record_of_an_impossible_length_is_not_allocated(tmp_path: Path) -> None:
    path = tmp_path / "a.mcap"
    path.write_bytes(MAGIC + b"\x06" + (1 << 60).to_bytes(8, "little") + bytes(100))
    with path.open("rb") as file:
        assert list(mcap_records(file, lambda _: None)) == []
