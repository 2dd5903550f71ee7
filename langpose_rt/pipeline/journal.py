"""Recorder protocol: messages and decisions that the pipeline hands to a recording.

A recorder that writes to a file is `langpose_rt.recording.recorder`.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Protocol, runtime_checkable

from langpose_rt.monitoring.faults import FaultReporter

NO_KEYS: Mapping[str, str] = MappingProxyType({})


@runtime_checkable
class Recorder(Protocol):
    """Receiver of messages and decisions; every call returns at once, from any thread."""

    def begin(self, epoch: int, faults: FaultReporter, keys: Mapping[str, str] = NO_KEYS) -> None:
        """Begin a recording at the start of the server.

        Args:
            epoch: Of the server.
            faults: Counts recorded messages, and reports the end of the recording.
            keys: Public keys by the names they are pinned to, where there are any.

        Raises:
            ConfigError: If the recording cannot be opened.
        """

    def received(self, parts: Sequence[bytes], now_ns: int, sender: str | None = None) -> None:
        """Record a message before it is read, with the name of its key if there are keys."""

    def published(self, parts: Sequence[bytes], now_ns: int) -> None:
        """Record a message that was sent."""

    def decided(self, what: str, now_ns: int, heard: int) -> None:
        """Record a decision of the lift side after so many messages; called inside the lock."""

    def close(self) -> None:
        """End the recording."""


class NoRecorder:
    """Records nothing."""

    def begin(self, epoch: int, faults: FaultReporter, keys: Mapping[str, str] = NO_KEYS) -> None:
        """Do nothing."""

    def received(self, parts: Sequence[bytes], now_ns: int, sender: str | None = None) -> None:
        """Do nothing."""

    def published(self, parts: Sequence[bytes], now_ns: int) -> None:
        """Do nothing."""

    def decided(self, what: str, now_ns: int, heard: int) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""
