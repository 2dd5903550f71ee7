"""Recording while serving: nothing is lost, nothing waits, a failure ends only the recording."""

import threading
from pathlib import Path

import pytest

from langpose_rt.config import NS_PER_S
from langpose_rt.errors import ConfigError
from langpose_rt.formats.recording import Recording, RecordingWriter
from langpose_rt.monitoring.counters import Stats
from langpose_rt.pipeline.journal import NoRecorder, Recorder
from langpose_rt.recording import recorder as recorder_module
from langpose_rt.recording.recorder import FileRecorder, capture_ns
from tests.fakes import MS, keypoint_parts, person_px
from tests.peers import wait_until
from tests.recording.recordings import Ears

PERSON = person_px((0, 0, 4))


class Started:
    """A recorder that has begun."""

    def __init__(self, path: Path) -> None:
        self.stats = Stats()
        self.ears = Ears(self.stats)
        self.recorder = FileRecorder(path, {"version": "1"})
        self.recorder.begin(5, self.ears)


def test_both_recorders_are_what_a_server_expects(tmp_path: Path) -> None:
    assert isinstance(NoRecorder(), Recorder)
    assert isinstance(FileRecorder(tmp_path / "a.mcap", {}), Recorder)
    assert not (tmp_path / "a.mcap").exists(), "nothing is opened before the server starts"


def test_messages_come_out_as_they_came_with_both_their_times(tmp_path: Path) -> None:
    started, good = Started(tmp_path / "a.mcap"), keypoint_parts(PERSON, t_ms=3.0)
    assert started.stats.recording == "on"
    started.recorder.received(good, 100)
    started.recorder.received([b"nonsense", b"\xff"], 101)
    started.recorder.received([], 102)
    started.recorder.decided("step", 103, 3)
    started.recorder.published([b"event/drain/", b"\x80"], 104)
    started.recorder.close()
    recording = Recording(tmp_path / "a.mcap")
    found = [(e.direction, e.topic, e.parts, e.log_ns, e.publish_ns) for e in recording.entries()]
    assert found == [
        ("received", "kp2d/rig0/cam0/", good, 100, 3 * MS),
        ("received", "unreadable", [b"nonsense", b"\xff"], 101, 101),
        ("received", "unreadable", [], 102, 102),
        ("journal", "journal", [b"step", b"3"], 103, 103),
        ("published", "event/drain/", [b"event/drain/", b"\x80"], 104, 104),
    ]
    assert recording.complete
    assert recording.facts == {"version": "1", "epoch": "5"}
    assert (started.stats.recorded, started.stats.unrecorded, started.ears.said) == (5, 0, [])


def test_a_recording_knows_who_was_let_in_and_who_sent_what(tmp_path: Path) -> None:
    recorder, good = FileRecorder(tmp_path / "a.mcap", {"version": "1"}), keypoint_parts(PERSON)
    recorder.begin(5, Ears(Stats()), {"rig0": "public"})
    for sender in ("rig0", "", None):
        recorder.received(good, 100, sender)
    recorder.close()
    recording = Recording(tmp_path / "a.mcap")
    assert recording.facts["keys"] == '{"rig0":"public"}'
    assert [entry.sender for entry in recording.entries()] == ["rig0", "", None]


@pytest.mark.parametrize("parts", [[], [b"t"], [b"t", b"\x81"], [b"t", b"\x81\xa1t\xa1x"]])
def test_a_message_without_a_capture_time_has_none(parts: list[bytes]) -> None:
    assert capture_ns(parts) is None


def test_a_file_that_cannot_be_written_stops_the_server_before_it_serves(tmp_path: Path) -> None:
    (tmp_path / "a.mcap").touch()
    with pytest.raises(ConfigError, match="exists; choose another name"):
        Started(tmp_path / "a.mcap")
    with pytest.raises(ConfigError, match="No such file"):
        Started(tmp_path / "nowhere" / "a.mcap")


def test_a_disk_that_fails_ends_the_recording_once_and_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = Started(tmp_path / "a.mcap")
    started.recorder.received([b"before"], 2 * NS_PER_S)
    wait_until(lambda: started.stats.recorded == 1)
    monkeypatch.setattr(RecordingWriter, "add", _no_space)
    started.recorder.received([b"during"], 2)
    wait_until(lambda: started.stats.recording != "on")
    for now_ns in range(3, 6):
        started.recorder.received([b"after"], now_ns)
    started.recorder.close()
    assert started.stats.recording == "stopped: no space left on device"
    assert started.stats.unrecorded == 4
    ((reason, detail),) = started.ears.said
    assert reason == "disk"
    assert detail == "recording into a.mcap has stopped: no space left on device"
    assert [entry.parts for entry in Recording(tmp_path / "a.mcap").entries()] == [[b"before"]]


def _no_space(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_disk_that_hangs_never_holds_up_who_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "MAX_WAITING_BYTES", 5_000)
    asked, disk, add = threading.Event(), threading.Event(), RecordingWriter.add

    def slow_add(*arguments: object) -> None:
        asked.set()
        disk.wait(20)
        add(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(RecordingWriter, "add", slow_add)
    started = Started(tmp_path / "a.mcap")
    started.recorder.received([b"x" * 100], 0)
    assert asked.wait(20)
    for now_ns in range(1, 100):
        started.recorder.received([b"x" * 100], now_ns)
    assert started.stats.recording == "stopped: the disk is slower than what comes"
    assert [reason for reason, _ in started.ears.said] == ["too_slow"]
    disk.set()
    started.recorder.close()
    assert started.stats.recorded + started.stats.unrecorded == 100
    assert not Recording(tmp_path / "a.mcap").complete


def test_a_server_that_was_stopped_before_it_began_leaves_no_thread(tmp_path: Path) -> None:
    FileRecorder(tmp_path / "a.mcap", {}).close()
    assert not any(thread.name == "record" for thread in threading.enumerate())
