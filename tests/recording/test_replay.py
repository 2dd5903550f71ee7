"""A recording gives the same poses again: shed frames, gaps, lookahead, silence, bad messages."""

import re
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from langpose_rt.errors import ConfigError
from langpose_rt.formats.recording import Entry, Recording, RecordingWriter
from langpose_rt.pipeline.config import PipelineConfig
from langpose_rt.protocol.messages import decode_pose, encode_pose
from langpose_rt.recording.replay import Comparison, Replay
from langpose_rt.recording.setup import setup_from_facts
from tests.fakes import MS, FakeBackend, keypoint_parts, person_px
from tests.recording.recordings import Recorded

CONFIG = PipelineConfig(lookahead_ms=40.0, track_timeout_s=0.2, idle_s=1.0, max_wait_ms=50.0)


def replayed(path: Path) -> tuple[Comparison, list[list[bytes]]]:
    recording, poses = Recording(path), []
    setup = setup_from_facts(recording.facts)
    replay = Replay(
        recording, setup, FakeBackend(), {}, on_pose=lambda parts, _: poses.append(parts)
    )
    return replay.run(), poses


def busy_minute(path: Path) -> list[list[bytes]]:
    """Two rigs, one of which restarts and falls silent; a jam, bad messages, JSON; the poses."""
    recorded, said = Recorded(path, CONFIG), []
    pipeline = recorded.pipeline
    for frame in range(60):
        now_ns, seq = frame * 20 * MS, frame - 30 * (frame >= 30)
        person = person_px((0.01 * frame, 0, 4))
        if frame < 40:
            recorded.receive(
                keypoint_parts(person, seq=seq, t_ms=20.0 * frame, epoch=7 + frame // 30), now_ns
            )
        if frame % 7:
            other = keypoint_parts(
                person, person, rig="b", seq=frame, t_ms=19.0 * frame, ids=[-1, 4]
            )
            recorded.receive(other, now_ns + MS)
        if frame % 9 == 0:
            recorded.receive([b"kp2d/rig0/cam0/", b"broken"], now_ns + MS)
            json = b'{"people": [{"pose_keypoints_2d": []}], "wh": [640, 480]}'
            recorded.receive([b"kp2d/json/c/", json], now_ns + MS)
        if not 20 <= frame < 27:  # a jam: frames wait and the oldest are shed
            said += recorded.do(pipeline.step, now_ns + 2 * MS)
            said += recorded.do(pipeline.tick, now_ns + 2 * MS)
    said += recorded.do(pipeline.flush, 61 * 20 * MS)
    recorded.close()
    assert recorded.ears.said == []
    counters = pipeline.snapshot(0).counters
    assert all(counters[name] for name in ("shed", "gap", "rejected", "restarts"))
    return [parts for parts in said if parts[0].startswith(b"pose3d/")]


Busy = tuple[Path, list[list[bytes]]]


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Busy:
    """The recording, and the poses that were published; not to be changed."""
    path = tmp_path_factory.mktemp("busy") / "a.mcap"
    return path, busy_minute(path)


def test_everything_comes_again_bit_for_bit(busy: Busy) -> None:
    path, said = busy
    comparison, poses = replayed(path)
    assert comparison.equal
    assert (comparison.frames, comparison.largest_mm) == (len(said), 0.0)
    assert [decode_pose(parts).src for parts in poses] == [decode_pose(parts).src for parts in said]
    assert len(said) > 70


def test_a_stream_that_begins_while_a_step_computes_has_the_same_numbers(tmp_path: Path) -> None:
    recorded, person = Recorded(tmp_path / "a.mcap"), person_px((0, 0, 4))
    recorded.receive(keypoint_parts(person, seq=0), 0)
    late = keypoint_parts(person, rig="late", seq=0)
    recorded.backend.meanwhile = lambda: recorded.receive(late, 1 * MS)
    recorded.do(recorded.pipeline.step, 1)
    recorded.do(recorded.pipeline.step, 2 * MS)
    recorded.do(recorded.pipeline.flush, 3 * MS)
    recorded.close()
    comparison, _ = replayed(tmp_path / "a.mcap")
    assert (comparison.equal, comparison.frames) == (True, 2)


def test_what_was_refused_for_its_sender_is_refused_again(tmp_path: Path) -> None:
    path, person, other = tmp_path / "a.mcap", person_px((0, 0, 4)), person_px((1, 0, 3))
    recorded = Recorded(path)
    for seq in range(6):
        now_ns = seq * 20 * MS
        good, bad = (keypoint_parts(p, seq=seq, t_ms=20.0 * seq) for p in (person, other))
        # the spoofed and the revoked one come first: were they taken, the good one would be late
        for parts, sender in ((bad, "rig1"), (bad, ""), (good, "rig0")):
            recorded.receive(parts, now_ns, sender)
        recorded.do(recorded.pipeline.step, now_ns + MS)
    recorded.do(recorded.pipeline.flush, 200 * MS)
    recorded.close()
    assert recorded.pipeline.snapshot(0).rejected == {"spoofed_rig": 6, "revoked_key": 6}
    comparison, poses = replayed(path)
    assert (comparison.equal, comparison.frames, len(poses)) == (True, 6, 6)
    forgot = changed(path, tmp_path / "b.mcap", lambda entry: replace(entry, sender=None))
    assert not replayed(forgot)[0].equal, "it is the senders that make the difference"


def changed(path: Path, out: Path, edit: object) -> Path:
    """A copy of a recording whose entries went through a function; None drops one."""
    recording = Recording(path)
    writer = RecordingWriter(out, recording.facts)
    for entry in recording.entries():
        kept = edit(entry)  # type: ignore[operator]
        if kept is not None:
            writer.add(kept)
    writer.finish()
    return out


def test_a_pose_that_is_not_the_recorded_one_is_found_and_measured(
    busy: Busy, tmp_path: Path
) -> None:
    poses = iter(range(1000))

    def edit(entry: Entry) -> Entry:
        if entry.topic.startswith("pose3d/rig0") and next(poses) == 5:
            payload = bytearray(entry.parts[2])
            payload[4 * 4 : 5 * 4] = b"\x00\x00\x80\x3f"  # x of joint 1 becomes 1 m
            entry.parts[2] = bytes(payload)
        return entry

    comparison, _ = replayed(changed(busy[0], tmp_path / "b.mcap", edit))
    assert (comparison.different, comparison.missing, comparison.extra) == (1, 0, 0)
    assert 800 < comparison.largest_mm < 1300


def test_a_keypoint_message_that_was_altered_changes_the_poses(busy: Busy, tmp_path: Path) -> None:
    seen = iter(range(1000))

    def edit(entry: Entry) -> Entry:
        if (
            entry.direction == "received"
            and entry.topic.startswith("kp2d/rig0")
            and next(seen) == 3
        ):
            new = keypoint_parts(person_px((0.5, 0, 4)), seq=3, t_ms=60.0, epoch=7)
            entry.parts[:] = new
        return entry

    comparison, _ = replayed(changed(busy[0], tmp_path / "b.mcap", edit))
    assert comparison.different > 0
    assert comparison.largest_mm > 1


def test_poses_that_are_missing_on_either_side_are_counted(busy: Busy, tmp_path: Path) -> None:
    poses = iter(range(1000))

    def edit(entry: Entry) -> Entry | None:
        return None if entry.topic.startswith("pose3d/b") and next(poses) < 2 else entry

    comparison, _ = replayed(changed(busy[0], tmp_path / "b.mcap", edit))
    assert (comparison.missing, comparison.extra, comparison.different) == (0, 2, 0)
    assert not comparison.equal


def test_a_recording_that_breaks_off_is_replayed_as_far_as_it_goes(
    busy: Busy, tmp_path: Path
) -> None:
    path, said = busy
    recording, out = Recording(path), tmp_path / "cut.mcap"
    writer = RecordingWriter(out, recording.facts)
    for _, entry in zip(range(90), recording.entries(), strict=False):
        writer.add(entry)
    writer.flush()
    writer.abandon()
    comparison, _ = replayed(out)
    assert comparison.equal
    assert 10 < comparison.frames < len(said)


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_damaged_recording_is_replayed_up_to_the_damage(
    busy: Busy, tmp_path: Path, share: float
) -> None:
    data = bytearray(busy[0].read_bytes())
    chunks = [found.start() for found in re.finditer(b"zstd", data)]
    data[chunks[int(share * len(chunks) / 2)] + 60] ^= 0xFF  # the second half are indices
    path = tmp_path / "damaged.mcap"
    path.write_bytes(data)
    comparison, _ = replayed(path)
    assert comparison.equal
    assert comparison.frames < len(busy[1])


def test_a_replay_ends_where_the_server_changed_its_model(busy: Busy, tmp_path: Path) -> None:
    poses = iter(range(1000))

    def edit(entry: Entry) -> Entry:
        if entry.topic.startswith("pose3d/") and next(poses) >= 20:
            message = decode_pose(entry.parts)
            other = msgspec.structs.replace(message.model, sha256="another")
            entry.parts[:] = encode_pose(replace(message, model=other))
        return entry

    comparison, _ = replayed(changed(busy[0], tmp_path / "b.mcap", edit))
    assert comparison.model_changed
    assert (comparison.equal, comparison.frames) == (True, 20)


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ([b"step", b"9999"], "the recording lacks message"),
        ([b"dance", b"0"], 'says "dance", which this version does not know'),
        ([b"step"], "journal is damaged"),
    ],
)
def test_a_journal_that_cannot_be_is_one_sentence(
    busy: Busy, tmp_path: Path, parts: list[bytes], sentence: str
) -> None:

    def edit(entry: Entry) -> Entry:
        if entry.direction == "journal":
            entry.parts[:] = parts
        return entry

    with pytest.raises(ConfigError, match=sentence):
        replayed(changed(busy[0], tmp_path / "b.mcap", edit))


def test_poses_alone_cannot_be_replayed_and_the_sentence_says_why(tmp_path: Path) -> None:
    RecordingWriter(tmp_path / "a.mcap", {"version": "1"}).finish()
    with pytest.raises(
        ConfigError, match="poses without the keypoints they came from; record with"
    ):
        replayed(tmp_path / "a.mcap")
