"""Headers as the front reads and changes them: a few keys, without decoding the rest.

The front is a loop in Python, and its cost per message is the number of streams that one of them
carries. The whole messages are in `langpose_rt.protocol`.
"""

import msgspec

from langpose_rt.errors import MessageError
from langpose_rt.protocol.header import UNREADABLE, RejectReason, reject
from langpose_rt.protocol.keypoints import Via
from langpose_rt.protocol.poses import Source

_VIA = b"\xa3via"
_FIXED, _FIXED_MOST, _MAP16 = 0x80, 15, 0xDE


class FrameNumber(msgspec.Struct, frozen=True):
    """Epoch and number of a rig's frame."""

    epoch: int
    seq: int


class _Window(msgspec.Struct, frozen=True):
    frames: int


class Answer(msgspec.Struct, frozen=True):
    """Keys of a pose header that the front reads.

    Args:
        epoch: Random number of this start of the lifter.
        src: The rig's frame.
        ids, state: Of every person.
        win: Frames of the window.
        via: Number of the assignment, or None from a server outside any cluster.
    """

    epoch: int
    src: Source
    ids: list[int]
    state: list[str]
    win: _Window
    via: int | None = None

    @property
    def ids_in_frame(self) -> tuple[int, ...]:
        """Ids of the people of the frame, in its order; without the coasting ones."""
        if "held" not in self.state:
            return tuple(self.ids)
        pairs = zip(self.ids, self.state, strict=False)
        return tuple(number for number, state in pairs if state != "held")


_FRAME_NUMBER = msgspec.msgpack.Decoder(FrameNumber)
_ANSWER = msgspec.msgpack.Decoder(Answer)


def frame_number(header: bytes) -> FrameNumber | None:
    """Return epoch and number of a frame; None if the header is not readable."""
    try:
        return _FRAME_NUMBER.decode(header)
    except UNREADABLE:
        return None


def answer_from_header(header: bytes) -> Answer:
    """Return the keys of a pose header.

    Raises:
        MessageError: bad_header.
    """
    try:
        return _ANSWER.decode(header)
    except UNREADABLE as error:
        raise reject(RejectReason.BAD_HEADER, str(error)[:200]) from None


def via_to_bytes(via: Via) -> bytes:
    """Encode the key of a front, to be added to headers by `with_via`."""
    return _VIA + msgspec.msgpack.encode(via)


def with_via(header: bytes, via: bytes) -> bytes:
    """Return a header with one more key at its end, which replaces an earlier one of that name.

    Args:
        header: A msgpack map.
        via: From `via_to_bytes`.

    Raises:
        MessageError: bad_header, if it is no map, or one with more than 65,534 keys.
    """
    kind = header[0] if header else 0
    if _FIXED <= kind < _FIXED + _FIXED_MOST:
        return bytes((kind + 1,)) + header[1:] + via
    if kind == _FIXED + _FIXED_MOST:
        return bytes((_MAP16, 0, _FIXED_MOST + 1)) + header[1:] + via
    keys = int.from_bytes(header[1:3], "big")
    if kind != _MAP16 or keys >= (1 << 16) - 1:
        raise MessageError(RejectReason.BAD_HEADER.value, "the header is no msgpack map")
    return bytes((_MAP16,)) + (keys + 1).to_bytes(2, "big") + header[3:] + via
