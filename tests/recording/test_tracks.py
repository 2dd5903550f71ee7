"""People of a recording: absolute positions at capture times, through a restart of the rig."""

from pathlib import Path

import numpy as np
import pytest

from langpose_rt.errors import ConfigError
from langpose_rt.formats.recording import Recording, RecordingWriter
from langpose_rt.pipeline.config import PipelineConfig
from langpose_rt.recording.tracks import tracks_from_recording
from tests.fakes import MS, POSE, keypoint_parts, person_px
from tests.recording.recordings import Recorded


def recorded_walk(path: Path) -> Recording:
    """Persons 4 and 5 of rig0 at 50 Hz, one of rig1; rig0 restarts with another clock."""
    recorded = Recorded(path, PipelineConfig(smoothing="off"))
    for frame in range(10):
        x, now_ns = 0.1 * frame, 1_000 * MS + 20 * MS * frame
        restarted = frame >= 5
        people = (person_px((x, 0, 4)), person_px((x, 0, 5)))
        t_ms, seq = (20.0 * frame - 90_000 * restarted, frame - 5 * restarted)
        parts = keypoint_parts(*people, ids=[4, 5], seq=seq, t_ms=t_ms, epoch=7 + restarted)
        recorded.receive(parts, now_ns)
        recorded.receive(keypoint_parts(people[0], rig="rig1", seq=frame, t_ms=frame), now_ns)
        recorded.do(recorded.pipeline.step, now_ns)
    recorded.close()
    return Recording(path)


def test_everybody_has_a_track_with_places_and_times(tmp_path: Path) -> None:
    tracks = tracks_from_recording(recorded_walk(tmp_path / "a.mcap"))
    assert [(t.stream, t.person, len(t.t_ns)) for t in tracks] == [
        ("rig0/cam0", 4, 10), ("rig0/cam0", 5, 10), ("rig1/cam0", 0, 10),
    ]  # fmt: skip
    four = tracks[0]
    np.testing.assert_array_equal(np.diff(four.t_ns), 20 * MS)
    np.testing.assert_allclose(four.joints[:, 0, 0], 0.1 * np.arange(10), atol=0.02)
    np.testing.assert_allclose(
        four.joints - four.joints[:, :1], np.tile(POSE, (10, 1, 1)), atol=1e-5
    )
    assert four.frame == "camera"


def test_a_recording_without_poses_is_one_sentence(tmp_path: Path) -> None:
    RecordingWriter(tmp_path / "a.mcap", {"version": "1"}).finish()
    with pytest.raises(ConfigError, match="holds no poses"):
        tracks_from_recording(Recording(tmp_path / "a.mcap"))
