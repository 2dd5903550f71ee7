"""The door of a listening port: while it is closed nobody new comes in, and who is in stays."""

import contextlib
import ctypes
import os
import socket
import struct

_ATTACH_FILTER, _DETACH_FILTER = 26, 27
_PASS_NOTHING = struct.pack("=HBBI", 0x06, 0, 0, 0)
"""One instruction of the Berkeley packet filter: return 0."""


class Door:
    """Closes and opens a TCP port that this process listens on, without touching ZeroMQ's socket.

    Unbinding would end the connections too. On Linux a filter on the listening socket drops the
    first packet of a connection; the peer's system sends it again after a second, and so on, until
    the door is open. On other systems the door stays open.

    Args:
        port: Local port.

    Attributes:
        closed: True while nobody new comes in.
    """

    def __init__(self, port: int) -> None:
        self._port, self.closed = port, False

    def close(self) -> None:
        """Let nobody in."""
        if not self.closed:
            instruction = ctypes.create_string_buffer(_PASS_NOTHING)
            program = struct.pack("@HP", 1, ctypes.addressof(instruction))
            self.closed = self._set(_ATTACH_FILTER, program)

    def open(self) -> None:
        """Let everybody in."""
        if self.closed:
            self.closed = not self._set(_DETACH_FILTER, bytes(4))

    def _set(self, option: int, value: bytes) -> bool:
        done = False
        with contextlib.suppress(OSError, AttributeError):
            for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - numbers
                with contextlib.suppress(OSError):
                    done |= self._set_one(int(name), option, value)
        return done

    def _set_one(self, descriptor: int, option: int, value: bytes) -> bool:
        one = socket.socket(fileno=descriptor)
        try:
            listens = one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            inet = one.family in (socket.AF_INET, socket.AF_INET6)
            if not (listens and inet and one.getsockname()[1] == self._port):
                return False
            one.setsockopt(socket.SOL_SOCKET, option, value)
            return True
        finally:
            one.detach()
