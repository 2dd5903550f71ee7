"""Every recorder satisfies the protocol, and the one that records nothing does nothing."""

import inspect

import pytest

from langpose_rt.monitoring.announcer import Announcer
from langpose_rt.monitoring.counters import Stats
from langpose_rt.monitoring.faults import FaultReporter
from langpose_rt.pipeline.journal import NO_KEYS, NoRecorder, Recorder
from langpose_rt.recording.recorder import FileRecorder

METHODS = ("begin", "received", "published", "decided", "close")


@pytest.mark.parametrize("recorder", [NoRecorder, FileRecorder])
def test_every_recorder_takes_what_the_protocol_gives(recorder: type) -> None:
    assert issubclass(recorder, Recorder)
    for method in METHODS:
        own = inspect.signature(getattr(recorder, method)).parameters
        expected = inspect.signature(getattr(Recorder, method)).parameters
        assert list(own) == list(expected), method
        assert [own[name].default for name in own] == [expected[name].default for name in expected]


def test_what_lacks_one_of_the_calls_is_no_recorder() -> None:
    class Half:
        """Begins and never ends."""

        def begin(self, epoch: int, faults: FaultReporter) -> None:
            """Nothing."""

    assert not isinstance(Half(), Recorder)


def test_the_one_that_records_nothing_counts_and_says_nothing() -> None:
    stats, announcer, recorder = Stats(), Announcer("srv", 1), NoRecorder()
    recorder.begin(1, FaultReporter(stats, announcer), {"rig0": "key"})
    recorder.received([b"kp2d/rig0/cam0/", b""], 5, "rig0")
    recorder.published([b"pose3d/rig0/cam0/", b""], 6)
    recorder.decided("step", 7, 1)
    recorder.close()
    recorder.close()
    assert stats.recording == "off"
    assert not any(stats.counters().values())
    assert announcer.events(0, at_once=True) == []


def test_nobody_changes_the_keys_of_everybody() -> None:
    with pytest.raises(TypeError):
        NO_KEYS["rig0"] = "key"  # type: ignore[index]
