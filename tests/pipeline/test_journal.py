"""Recorder protocol: calls of the pipeline in order, and the recorder that does nothing."""

from collections.abc import Mapping, Sequence

from langpose_rt.monitoring.announcer import Announcer
from langpose_rt.monitoring.counters import Stats
from langpose_rt.monitoring.faults import FaultReporter
from langpose_rt.pipeline.config import PipelineConfig
from langpose_rt.pipeline.journal import NO_KEYS, NoRecorder, Recorder
from langpose_rt.pipeline.pipeline import Pipeline
from langpose_rt.recording.recorder import FileRecorder
from tests.fakes import MS, FakeBackend, keypoint_parts, person_px

PERSON = person_px((0, 0, 4))


class Calls(NoRecorder):
    """Keeps the calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int, object]] = []

    def received(self, parts: Sequence[bytes], now_ns: int, sender: str | None = None) -> None:
        del parts
        self.calls.append(("received", now_ns, sender))

    def decided(self, what: str, now_ns: int, heard: int) -> None:
        self.calls.append((what, now_ns, heard))


def test_messages_are_recorded_before_they_are_read_and_decisions_after_so_many_messages() -> None:
    recorder = Calls()
    pipeline = Pipeline(FakeBackend(), PipelineConfig(), recorder=recorder)
    pipeline.receive([b"not", b"a message"], 1 * MS, "rig0")
    pipeline.receive(keypoint_parts(PERSON), 2 * MS)
    pipeline.step(3 * MS)
    pipeline.step(4 * MS)  # there is nothing to take, so nothing is decided
    pipeline.flush(5 * MS)
    assert recorder.calls == [
        ("received", 1 * MS, "rig0"),
        ("received", 2 * MS, None),
        ("step", 3 * MS, 2),
        ("flush", 5 * MS, 2),
    ]


def test_both_recorders_follow_the_protocol_and_one_does_nothing() -> None:
    assert issubclass(FileRecorder, Recorder)
    nothing, stats = NoRecorder(), Stats()
    assert isinstance(nothing, Recorder)
    before = stats.counters()
    nothing.begin(1, FaultReporter(stats, Announcer("srv", 1)), {"rig0": "key"})
    nothing.received([b""], 0)
    nothing.published([b""], 0)
    nothing.decided("step", 0, 1)
    nothing.close()
    assert (stats.counters(), stats.recording) == (before, "off")


def test_a_server_without_keys_has_none_to_record() -> None:
    assert isinstance(NO_KEYS, Mapping)
    assert not NO_KEYS
