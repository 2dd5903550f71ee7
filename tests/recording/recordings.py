"""Recordings of a pipeline that is fed by a table, with the fake backend."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from langpose_rt.monitoring.announcer import Announcer
from langpose_rt.monitoring.counters import Stats
from langpose_rt.monitoring.faults import FaultReporter
from langpose_rt.pipeline.config import PipelineConfig
from langpose_rt.pipeline.pipeline import Pipeline
from langpose_rt.recording.recorder import FileRecorder
from langpose_rt.recording.setup import RecordedSetup
from tests.fakes import FakeBackend

EPOCH = 77


class MeddledBackend(FakeBackend):
    """A backend during whose computations something else happens.

    Attributes:
        meanwhile: Called once, at the next computation.
    """

    meanwhile: Callable[[], None] | None = None

    def encode(
        self, rows: np.ndarray, extras: np.ndarray, slots: np.ndarray, time_ns: np.ndarray
    ) -> np.ndarray:
        happens, self.meanwhile = self.meanwhile, None
        if happens is not None:
            happens()
        return super().encode(rows, extras, slots, time_ns)


class Ears(FaultReporter):
    """Collects what a recorder says.

    Attributes:
        said: Reason and detail.
    """

    def __init__(self, stats: Stats) -> None:
        super().__init__(stats, Announcer("srv", 1))
        self.said: list[tuple[str, str]] = []

    def recording_ended(self, reason: str, detail: str) -> None:
        self.said.append((reason, detail))


class Recorded:
    """A pipeline whose every call is recorded as a server records it.

    Attributes:
        pipeline, backend: The pipeline and what computes in it.
        ears: What the recorder reported.
    """

    def __init__(self, path: Path, config: PipelineConfig | None = None) -> None:
        config, self.backend = config or PipelineConfig(), MeddledBackend()
        setup = RecordedSetup.of(self.backend, config, threads=1)
        self._recorder = FileRecorder(path, setup.to_facts())
        self.pipeline = Pipeline(self.backend, config, epoch=EPOCH, recorder=self._recorder)
        self.ears = Ears(self.pipeline.stats)
        self._recorder.begin(EPOCH, self.ears)

    def receive(self, parts: Sequence[bytes], now_ns: int, sender: str | None = None) -> None:
        """A message comes."""
        self.pipeline.receive(parts, now_ns, sender)

    def do(self, work: Callable[[int], list[list[bytes]]], now_ns: int) -> list[list[bytes]]:
        """The lift side does something, such as `pipeline.step`."""
        replies = work(now_ns)
        for parts in replies:
            self._recorder.published(parts, now_ns)
        return replies

    def close(self) -> None:
        """The end."""
        self._recorder.close()
