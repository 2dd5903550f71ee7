"""Clips of the keypoints in a recording: one a camera, on the server's clock."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from langpose_rt.errors import ConfigError
from langpose_rt.formats.recording import Entry, Recording, RecordingWriter
from langpose_rt.geometry.skeleton import REFERENCE_BONES_M
from langpose_rt.protocol.messages import encode_keypoints
from langpose_rt.recording.clips import clips_from_recording
from tests.fakes import MS, keypoint_message, keypoint_parts, person_px


def recording(path: Path, messages: list[tuple[list[bytes], int]]) -> Recording:
    writer = RecordingWriter(path, {"version": "1"})
    for parts, now_ns in messages:
        topic = parts[0].decode("ascii", "replace")
        writer.add(Entry("received", topic, parts, now_ns, now_ns))
    writer.finish()
    return Recording(path)


def test_two_rigs_with_clocks_of_their_own_are_two_clips_on_one_clock(tmp_path: Path) -> None:
    sent = []
    for frame in range(6):
        now_ns = 50_000 * MS + 20 * MS * frame
        one, two = person_px((0.1 * frame, 0, 4)), person_px((0, 0, 5))
        sent.append((keypoint_parts(one, two, ids=[4, 5], seq=frame, t_ms=20.0 * frame), now_ns))
        other = keypoint_parts(two, rig="rig1", seq=frame, t_ms=7e6 + 20.0 * frame)
        sent.append((other, now_ns + 3 * MS))
    clips = clips_from_recording(recording(tmp_path / "a.mcap", sent))
    assert list(clips) == ["rig0/cam0", "rig1/cam0"]
    left, right = clips.values()
    assert left.keypoints.shape == (6, 2, 17, 3)
    assert left.ids.tolist() == [[0, 1]] * 6
    assert (right.t_ns - left.t_ns).tolist() == [3 * MS] * 6, "late by the network's least delay"
    np.testing.assert_allclose(
        left.keypoints[5, 0, :, :2], person_px((0.5, 0, 4))[:, :2], atol=1e-3
    )


def test_bone_lengths_stay_with_their_person_whose_row_changes(tmp_path: Path) -> None:
    """The second person comes first in the second frame, and a bystander has no id."""
    left, right, sent = person_px((-1, 0, 4)), person_px((1, 0, 4)), []
    measured_m, unknown = REFERENCE_BONES_M * 1.1, np.full(16, np.nan)
    frames = [([left, right], [4, 5]), ([right, left, left], [5, 4, -1]), ([right], [5])]
    for seq, (people, ids) in enumerate(frames):
        message = keypoint_message(*people, ids=ids, seq=seq, t_ms=20.0 * seq)
        rows = [measured_m if number == 5 and seq < 2 else unknown for number in ids]
        with_lengths = replace(message, bones_m=np.array(rows, np.float32))
        sent.append((encode_keypoints(with_lengths), 1_000 * MS + 20 * MS * seq))
    (clip,) = clips_from_recording(recording(tmp_path / "a.mcap", sent)).values()
    assert clip.bones_m is not None
    (column,) = np.flatnonzero(np.isfinite(clip.bones_m).all(-1))
    np.testing.assert_allclose(clip.bones_m[column], measured_m, rtol=1e-6)
    np.testing.assert_allclose(clip.keypoints[:, column, :, :2], [right[:, :2]] * 3, atol=1e-3)
    assert clip.ids.tolist() == [[0, 1, -1], [0, 1, -1], [-1, 1, -1]]
    np.testing.assert_allclose(clip.keypoints[1, 2], left, atol=1e-3)


def test_a_rig_that_starts_again_and_frames_out_of_order_leave_time_rising(tmp_path: Path) -> None:
    person, sent = person_px((0, 0, 4)), []
    for frame, (epoch, seq) in enumerate([(7, 0), (7, 2), (7, 1), (8, 0), (8, 1), (8, 1)]):
        parts = keypoint_parts(person, ids=[4], epoch=epoch, seq=seq, t_ms=20.0 * seq)
        sent.append((parts, 1_000 * MS + 20 * MS * frame))
    (clip,) = clips_from_recording(recording(tmp_path / "a.mcap", sent)).values()
    assert len(clip.t_ns) == 4
    assert (np.diff(clip.t_ns) > 0).all()
    assert clip.ids.ravel().tolist() == [0, 0, 1, 1], "a rig that starts again counts again"


def test_what_the_server_could_not_read_is_left_out(tmp_path: Path) -> None:
    good = keypoint_parts(person_px((0, 0, 4)), seq=0)
    sent = [([good[0], b"\x00"], MS), (good, 2 * MS)]
    (clip,) = clips_from_recording(recording(tmp_path / "a.mcap", sent)).values()
    assert len(clip.t_ns) == 1


def test_a_recording_without_keypoints_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no keypoints; make it with 'serve --record'"):
        clips_from_recording(recording(tmp_path / "a.mcap", []))


def test_a_camera_that_changes_its_picture_is_one_sentence(tmp_path: Path) -> None:
    person = person_px((0, 0, 4))
    small = keypoint_message(person, seq=1, t_ms=20)
    sent = [
        (keypoint_parts(person, seq=0, t_ms=0), MS),
        (encode_keypoints(replace(small, wh=(640, 480))), 21 * MS),
    ]
    with pytest.raises(ConfigError, match=r"camera rig0/cam0 changes from h36m17 at .* to h36m17"):
        clips_from_recording(recording(tmp_path / "a.mcap", sent))
