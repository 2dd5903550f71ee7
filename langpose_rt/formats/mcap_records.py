"""Records of an MCAP file in order, also of one that is damaged in places or cut off.

A record that cannot be read is passed over: the reader goes on with the next one whose length, and
that of its follower, fit into the file. The meaning of the records is in `recording.py`.

Source: https://mcap.dev/spec
"""

import re
from collections.abc import Callable, Iterator
from io import BufferedIOBase, BytesIO

MAGIC = b"\x89MCAP0\r\n"

LARGEST_RECORD = 256 << 20

OnDamage = Callable[[int], None]
"""Receives the number of bytes that were passed over."""

_HEAD_BYTES = 9
"""Of an opcode and a length."""
_FOOTER, _CHANNEL, _CHUNK, _MESSAGE_INDEX = 0x02, 0x04, 0x06, 0x07
_READ = frozenset((0x03, _CHANNEL, _CHUNK, 0x0C))
"""Opcodes of schema, channel, chunk and metadata; messages are in chunks, which have checksums."""
_OPCODES = range(0x01, 0x10)
_FOOTER_BYTES = 20
_SUMMARY_OFFSET, _SUMMARY_OFFSET_BYTES = 0x0E, 17
_CHANNEL_BYTES = 2
_CHUNK_NUMBERS_BYTES = 28
"""Of a chunk's times, size and checksum, before the name of its compression."""
_SEARCHED_BYTES = 16 << 20
_BEGINNING = re.compile(rb"(?=[\x06\x07\x0c\x0f].{4}\x00{4})", re.DOTALL)


def mcap_records(file: BufferedIOBase, on_damage: OnDamage) -> Iterator[object]:
    """Iterate over the records after the magic, up to the footer or to a truncation.

    Args:
        file: The file; its position is moved.
        on_damage: Called for every place that cannot be read, before the records after it.

    Raises:
        ModuleNotFoundError: If mcap is not installed.
        OSError: If reading fails.
    """
    size = file.seek(0, 2)
    place, whole = len(MAGIC), True
    while (end := _end_of_record(file, place, size)) != place:
        records = None if end is None else _records_at(file, place, end)
        if end is None or records is None:
            following = _next_record(file, place + 1, size)  # the length may be what is wrong
            if following is None:
                return  # truncated within a record: it was not closed properly
            on_damage(following - place)
            if whole:
                yield from _channels_of_summary(file, size)
            whole, place = False, following
            continue
        yield from records
        place = end


def _end_of_record(file: BufferedIOBase, place: int, size: int) -> int | None:
    """Return where a record ends; its own place for the footer or no record, None for damage."""
    file.seek(place)
    head = file.read(_HEAD_BYTES)
    if len(head) < _HEAD_BYTES:
        return place
    opcode, length = head[0], int.from_bytes(head[1:], "little")
    end = place + _HEAD_BYTES + length
    if opcode not in _OPCODES or length > LARGEST_RECORD or end > size:
        return None
    if opcode == _FOOTER:
        return place if length == _FOOTER_BYTES else None
    return end


def _records_at(file: BufferedIOBase, place: int, end: int) -> list[object] | None:
    """Return a record, or those in a chunk; none for an index, None if it is damaged."""
    from mcap.exceptions import EndOfFile
    from mcap.stream_reader import StreamReader

    file.seek(place)
    raw = file.read(end - place)
    if not _fills_its_record(raw):
        return None
    if raw[0] not in _READ:
        return []
    found: list[object] = []
    reader = StreamReader(BytesIO(raw), skip_magic=True, validate_crcs=True)
    try:
        found.extend(reader.records)
    except EndOfFile:  # after the record, or within it before anything is found
        return found or None
    except Exception:  # noqa: BLE001 - mcap, struct and zstandard raise many types
        return None
    return found


def _fills_its_record(raw: bytes) -> bool:
    """Return True if the lengths within a chunk or its index add up to that of the record."""
    if raw[0] == _MESSAGE_INDEX:
        entries = _HEAD_BYTES + _CHANNEL_BYTES
        return entries + 4 + int.from_bytes(raw[entries : entries + 4], "little") == len(raw)
    if raw[0] == _SUMMARY_OFFSET:
        return len(raw) == _HEAD_BYTES + _SUMMARY_OFFSET_BYTES
    if raw[0] != _CHUNK:
        return True
    named = _HEAD_BYTES + _CHUNK_NUMBERS_BYTES
    data = named + 4 + int.from_bytes(raw[named : named + 4], "little")
    return data + 8 + int.from_bytes(raw[data : data + 8], "little") == len(raw)


def _next_record(file: BufferedIOBase, start: int, size: int) -> int | None:
    """Return the place of the next record that has a follower; None if none is found."""
    file.seek(start)
    data = file.read(_SEARCHED_BYTES)
    for match in _BEGINNING.finditer(data):
        place = start + match.start()
        end = _end_of_record(file, place, size)
        if end is not None and end > place and _end_of_record(file, end, size) is not None:
            return place
    return None


def _channels_of_summary(file: BufferedIOBase, size: int) -> Iterator[object]:
    """Iterate over the channels that the end of a whole file repeats."""
    tail = size - len(MAGIC) - _FOOTER_BYTES
    file.seek(max(tail, 0))
    footer = file.read(_FOOTER_BYTES)
    if tail < 0 or file.read(len(MAGIC)) != MAGIC:
        return
    place = int.from_bytes(footer[:8], "little")
    while place and (end := _end_of_record(file, place, size)) not in (None, place):
        assert end is not None
        file.seek(place)
        if file.read(1)[0] == _CHANNEL:
            yield from _records_at(file, place, end) or ()
        place = end
