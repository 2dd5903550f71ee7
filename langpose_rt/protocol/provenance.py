"""What a pose says of where it came from: its source frame, model, window, latencies and losses.

Small maps inside the header of a pose message, in the names they have on the wire.
"""

import msgspec

from langpose_rt.protocol.header import TimeNs, UInt


class Source(msgspec.Struct, frozen=True):
    """The rig's frame that a pose answers: its epoch, seq and capture time in ns."""

    epoch: UInt
    seq: UInt
    t: TimeNs


class Latency(msgspec.Struct, frozen=True):
    """Nanoseconds the server spent; negative only where its clock was set back meanwhile."""

    rx: int = 0
    """From the arrival of the frame until it was taken from the queue."""
    win: int = 0
    """Until the frame's features were in the window."""
    lift: int = 0
    """Until the network had answered."""
    post: int = 0
    """Until root, filter and states were done."""
    tx: int = 0
    """Until the message was handed to the socket."""


class ModelStamp(msgspec.Struct, frozen=True):
    """Which model answered, on what, in what precision."""

    id: str
    sha256: str = ""
    precision: str = "fp32"
    backend: str = "onnx"


class WindowFill(msgspec.Struct, frozen=True):
    """Frames a window holds, how many of them every person has, and the lookahead in ns."""

    frames: UInt
    filled: tuple[UInt, ...]
    lookahead_ns: UInt = 0


class Drops(msgspec.Struct, frozen=True):
    """Frames of the stream that were not lifted since the last message."""

    late: UInt = 0
    dup: UInt = 0
    gap: UInt = 0
    shed: UInt = 0
