"""The recorder protocol: what the pipeline reports while it runs.

A recorder that writes to a file is `langpose_rt.recording.recorder`.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Protocol, runtime_checkable

from langpose_rt.monitoring.faults import FaultReporter

NO_KEYS: Mapping[str, str] = MappingProxyType({})


@runtime_checkable
class Recorder(Protocol):
    """What a server tells of itself; every call returns at once, from any thread."""

    def begin(self, epoch: int, faults: FaultReporter, keys: Mapping[str, str] = NO_KEYS) -> None:
        """The server starts.

        Args:
            epoch: Of the server.
            incidents: Where it is counted what is recorded, and said that recording has ended.
            keys: Public keys by the names they are pinned to, where there are any.

        Raises:
            ConfigError: If there is nowhere to record to.
        """

    def received(self, parts: Sequence[bytes], now_ns: int, sender: str | None = None) -> None:
        """A message has come, by a key of that name if there are keys, and is about to be read."""

    def published(self, parts: Sequence[bytes], now_ns: int) -> None:
        """A message is sent."""

    def decided(self, what: str, now_ns: int, heard: int) -> None:
        """The lift side did something after so many messages; inside the lock of both sides."""

    def close(self) -> None:
        """The server has stopped."""


class NoRecorder:
    """Records nothing."""

    def begin(self, epoch: int, faults: FaultReporter, keys: Mapping[str, str] = NO_KEYS) -> None:
        """Nothing."""

    def received(self, parts: Sequence[bytes], now_ns: int, sender: str | None = None) -> None:
        """Nothing."""

    def published(self, parts: Sequence[bytes], now_ns: int) -> None:
        """Nothing."""

    def decided(self, what: str, now_ns: int, heard: int) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""
