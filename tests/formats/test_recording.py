"""Recordings: round trip, other readers, and truncated files."""

import resource
from pathlib import Path

import pytest
from mcap.reader import make_reader

from langpose_rt.errors import ConfigError
from langpose_rt.formats.recording import Entry, Recording, RecordingWriter
from tests.commands import python
from tests.formats.entries import FACTS, entries


def written(path: Path, count: int = 50, *, size: int = 40, finished: bool = True) -> list[Entry]:
    found = entries(count, size)
    writer = RecordingWriter(path, FACTS)
    for entry in found:
        writer.add(entry)
    if finished:
        writer.finish()
    else:
        writer.flush()
        writer._file.close()
    return found


def test_what_was_recorded_comes_back_in_order_byte_for_byte(tmp_path: Path) -> None:
    path = tmp_path / "a.mcap"
    expected = written(path)
    recording = Recording(path)
    assert recording.facts == FACTS
    assert not recording.complete, "nobody has looked yet"
    assert list(recording.entries()) == expected
    assert recording.complete


def test_the_library_of_the_format_reads_it_too(tmp_path: Path) -> None:
    path = tmp_path / "a.mcap"
    expected = written(path)
    with path.open("rb") as file:
        reader = make_reader(file)
        found = [(channel.topic, m.log_time) for _, channel, m in reader.iter_messages()]
        names = [metadata.name for metadata in reader.iter_metadata()]
        summary = reader.get_summary()
    assert found == [(entry.topic, entry.log_ns) for entry in expected]
    assert names == ["langpose-rt", "end"]
    assert summary.statistics.message_count == 50


def test_a_recording_that_was_never_closed_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "a.mcap"
    expected = written(path, finished=False)
    whole = path.read_bytes()
    recording = Recording(path)
    assert list(recording.entries()) == expected
    assert not recording.complete
    path.write_bytes(whole[: whole.index(b"zstd") + 50])
    assert list(Recording(path).entries()) == [], "the one chunk there was is cut"


def test_who_sent_a_message_is_known_and_nobody_is_not_no_name(tmp_path: Path) -> None:
    senders = [None, "rig0", "", "rig1", "rig0", None]
    topic, parts = "kp2d/rig0/cam0/", [b"kp2d/rig0/cam0/", b"\x80"]
    expected = [Entry("received", topic, parts, n, n, sender) for n, sender in enumerate(senders)]
    writer = RecordingWriter(tmp_path / "a.mcap", FACTS)
    for entry in expected:
        writer.add(entry)
    writer.finish()
    assert list(Recording(tmp_path / "a.mcap").entries()) == expected


@pytest.mark.parametrize("cut", [8, 9, 30, 120])
def test_a_file_cut_anywhere_is_read_or_refused_in_one_sentence(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.mcap"
    written(path)
    path.write_bytes(path.read_bytes()[:cut])
    try:
        assert list(Recording(path).entries()) == []
    except ConfigError as error:
        assert str(error).startswith(f"{path} is no recording: ")  # noqa: PT017 - either is right


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6])
def test_one_wrong_byte_costs_its_chunk_and_one_note(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, share: float
) -> None:
    path = tmp_path / "a.mcap"
    written(path, 4000, size=200)
    before = list(Recording(path).entries())
    data = bytearray(path.read_bytes())
    data[round(share * len(data))] ^= 0xFF
    path.write_bytes(data)
    recording = Recording(path)
    found = list(recording.entries())
    list(recording.entries())
    assert len(before) / 2 < len(found) < len(before)
    assert [entry for entry in before if entry in found] == found
    assert found[0] == before[0] or found[-1] == before[-1]
    assert recording.complete
    assert [record.getMessage() for record in caplog.records] == [
        f"{path} is damaged; what is before and after the damage is used"
    ]


def test_other_files_are_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "text.mcap").write_text("hello")
    with pytest.raises(ConfigError, match="it is no MCAP file; make one with 'serve --record'"):
        Recording(tmp_path / "text.mcap")
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        Recording(tmp_path / "nothing.mcap")
    from mcap.writer import Writer

    with (tmp_path / "robot.mcap").open("wb") as file:
        robot = Writer(file)
        robot.start()
        robot.finish()
    with pytest.raises(ConfigError, match="it was not made by langpose-rt"):
        Recording(tmp_path / "robot.mcap")


def test_a_file_is_replaced_only_by_force(tmp_path: Path) -> None:
    path = tmp_path / "a.mcap"
    written(path)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=r"a\.mcap exists; choose another name or say --force"):
        RecordingWriter(path, FACTS)
    assert path.read_bytes() == before
    RecordingWriter(path, FACTS, force=True).finish()
    assert list(Recording(path).entries()) == []


FULL = """
import resource, signal, sys
from pathlib import Path
from langpose_rt.formats.recording import RecordingWriter
from tests.formats.entries import FACTS, entries
resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
writer = RecordingWriter(Path(sys.argv[1]) if len(sys.argv) > 1 else Path({path!r}), FACTS)
done = 0
try:
    for entry in entries(1_000, 400):
        writer.add(entry)
        done += 1
        if done % 10 == 0:
            writer.flush()
except OSError as error:
    writer.abandon()
    print(done, error.strerror)
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="no limit of file sizes here")
def test_a_full_disk_leaves_a_file_that_every_reader_reads_up_to_there(tmp_path: Path) -> None:
    path = tmp_path / "full.mcap"
    done = python(FULL.format(path=str(path)))
    assert done.code == 0, done.err
    count = int(done.out.split()[0])
    assert "File too large" in done.out
    found = list(Recording(path).entries())
    assert found == entries(1_000, 400)[: len(found)]
    assert count - 40 <= len(found) <= count, "what was flushed is there"
    with path.open("rb") as file:
        others = list(make_reader(file).iter_messages())
    assert len(others) == len(found)
    assert not Recording(path).complete


def test_without_the_library_the_sentence_says_what_to_install() -> None:
    script = (
        "import sys; sys.modules['mcap'] = None; sys.modules['mcap.writer'] = None\n"
        "from pathlib import Path\n"
        "from langpose_rt.formats.recording import RecordingWriter\n"
        "try: RecordingWriter(Path('/nowhere/a.mcap'), {})\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    said = python(script).out
    assert said.startswith("ConfigError recordings need mcap")
    assert 'pip install ".[record]"' in said
