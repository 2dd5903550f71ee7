"""Recordings that pages save, without a socket."""

from pathlib import Path

import pytest

from langpose_rt.formats.recording import Recording
from langpose_rt.protocol.messages import encode_pose
from langpose_rt.server.viewer import pose_recordings
from langpose_rt.server.viewer.pose_recordings import PoseRecordings
from tests.protocol.samples import pose_sample

HEARTBEAT = [b"hb/srv/", b"x"]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mcap", reason="pip install '.[record]'")
    monkeypatch.setattr(pose_recordings, "FLUSH_S", 0.001)


def read(path: Path, pieces: list[bytes]) -> Recording:
    path.write_bytes(b"".join(pieces))
    return Recording(path)


def test_every_message_is_in_the_file_from_its_beginning_to_its_end(tmp_path: Path) -> None:
    recordings, pose = PoseRecordings(2), list(encode_pose(pose_sample()))
    recordings.offer(HEARTBEAT, 1)
    token, pieces = recordings.open()
    got = [next(pieces)]
    recordings.offer(pose, 2)
    recordings.offer(HEARTBEAT, 3)
    got.append(next(pieces))
    assert recordings.end(token)
    recordings.offer(HEARTBEAT, 4)
    got += pieces
    found = read(tmp_path / "a.mcap", got)
    entries = [(entry.direction, entry.parts, entry.log_ns) for entry in found.entries()]
    assert entries == [("published", pose, 2), ("published", HEARTBEAT, 3)]
    assert found.complete
    assert not recordings.end(token), "it is over"


def test_two_pages_record_apart() -> None:
    recordings = PoseRecordings(2)
    (first, one), (_, other) = recordings.open(), recordings.open()
    next(one)
    next(other)
    assert recordings.end(first)
    list(one)
    recordings.offer(HEARTBEAT, 1)
    assert next(other), "the other one goes on"
    assert not recordings.end("another")
    assert recordings.end()


def test_what_a_page_got_before_it_was_cut_off_is_readable(tmp_path: Path) -> None:
    recordings = PoseRecordings(1)
    _, pieces = recordings.open()
    got = [next(pieces)]
    for number in range(3):
        recordings.offer(HEARTBEAT, number)
        got.append(next(pieces))
    pieces.close()
    found = read(tmp_path / "a.mcap", [*got[:-1], got[-1][:9]])
    assert [entry.log_ns for entry in found.entries()] == [0, 1]
    assert not found.complete
    assert not recordings.end(), "a page that has left records no more"


def test_a_page_that_reads_too_slowly_ends_its_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pose_recordings, "MAX_WAITING_BYTES", 3 * 8)
    recordings = PoseRecordings(1)
    _, pieces = recordings.open()
    got = [next(pieces)]
    for number in range(9):
        recordings.offer(HEARTBEAT, number)
    found = read(tmp_path / "a.mcap", [*got, *pieces])
    assert [entry.log_ns for entry in found.entries()] == [0, 1, 2]
    assert found.complete
