"""Recordings of a pipeline that is fed by a table, with the fake backend."""

from collections.abc import Callable, Sequence
from pathlib import Path

from langpose_rt.streaming.options import PipelineConfig
from langpose_rt.streaming.pipeline import Pipeline
from langpose_rt.streaming.recorded_setup import RecordedSetup
from langpose_rt.streaming.recorder import FileRecorder
from tests.fakes import FakeBackend

EPOCH = 77


class Recorded:
    """A pipeline whose every call is recorded as a server records it.

    Attributes:
        pipeline: The pipeline.
        events: What the recorder reported.
    """

    def __init__(self, path: Path, config: PipelineConfig | None = None) -> None:
        config, backend = config or PipelineConfig(), FakeBackend()
        setup = RecordedSetup.of(backend, config, threads=1, cameras="")
        self._recorder = FileRecorder(path, setup.to_facts())
        self.pipeline = Pipeline(backend, config, epoch=EPOCH, journal=self._recorder.decided)
        self.events: list[tuple[str, ...]] = []
        self._recorder.begin(EPOCH, self.pipeline.stats, lambda *said: self.events.append(said))

    def receive(self, parts: Sequence[bytes], now_ns: int) -> None:
        """A message comes."""
        self._recorder.received(parts, now_ns)
        self.pipeline.receive(parts, now_ns)

    def do(self, work: Callable[[int], list[list[bytes]]], now_ns: int) -> list[list[bytes]]:
        """The lift side does something, such as `pipeline.step`."""
        replies = work(now_ns)
        for parts in replies:
            self._recorder.published(parts, now_ns)
        return replies

    def close(self) -> None:
        """The end."""
        self._recorder.close()
