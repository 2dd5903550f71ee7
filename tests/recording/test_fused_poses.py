"""Fused poses of a recording: all that the volume said, as `fuse_clips` writes it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from langpose_rt.errors import ConfigError
from langpose_rt.formats.fused_npz import FusedSequence, poses_from_npz
from langpose_rt.formats.recording import Entry, Recording, RecordingWriter
from langpose_rt.fusion.clip_fusion import _sequence
from langpose_rt.fusion.volume import CaptureVolume
from langpose_rt.geometry.skeleton import JOINTS, SKELETONS
from langpose_rt.pipeline.volumes.fused_messages import fused_message
from langpose_rt.pipeline.volumes.live_volume import FusedInstant
from langpose_rt.protocol.messages import ModelStamp, PoseMessage, encode_pose
from langpose_rt.recording.fused_poses import fused_from_recording
from tests.commands import run_here
from tests.fusion.rigs import MS, body, ring, seen_by
from tests.recording.test_tracks import recorded_walk

CAMERAS = ring(3)
COCO = SKELETONS["coco17"]
HEAD = JOINTS.index("Head")
DOWN = (0.0, 0.0, -1.0)


def coco_body(x_m: float) -> np.ndarray:
    """The keypoints of somebody who stands there [17, 3], metres, world axes."""
    joints = body(x_m)
    keypoints = np.tile(joints[HEAD], (17, 1))  # eyes and ears too
    for joint, terms in zip(joints, COCO.to_h36m, strict=True):
        if len(terms) == 1:
            keypoints[terms[0][0]] = joint
    return keypoints


def fused_volume() -> tuple[FusedSequence, list[PoseMessage]]:
    """Two people of whom the second is out of sight for a while, and nobody at first."""
    volume, frames = CaptureVolume(CAMERAS, COCO), []
    for step in range(30):
        people = [] if step < 3 else [coco_body(0.01 * step), coco_body(1.5)]
        people = people[:1] if 15 < step < 22 else people
        for name, camera in CAMERAS.items():
            seen = [seen_by(camera, person) for person in people]
            keypoints = np.stack(seen) if seen else np.zeros((0, 17, 3))
            volume.feed(name, 16 * step * MS, keypoints, now_ns=16 * step * MS)
        frames += volume.tick(16 * step * MS)
    messages = [
        fused_message(
            FusedInstant("stage", tuple(CAMERAS), seq, frame, 3 * MS, gravity=DOWN),
            epoch=5,
            model=ModelStamp("m"),
            lookahead_ns=0,
            busy_ns=MS,
        )
        for seq, frame in enumerate(frames)
    ]
    return _sequence(frames, volume), messages


def recorded(path: Path, messages: list[PoseMessage]) -> Recording:
    writer = RecordingWriter(path, {"version": "1"})
    for message in messages:
        parts = encode_pose(message)
        writer.add(Entry("published", message.topic, parts, message.t_srv, message.t_srv))
    writer.finish()
    return Recording(path)


def test_a_recording_gives_what_fusing_the_clips_gives(tmp_path: Path) -> None:
    expected, messages = fused_volume()
    found = fused_from_recording(recorded(tmp_path / "a.mcap", messages), "stage/fused")
    assert found is not None
    assert expected.held_ns.max() > 0
    assert len(found.joint_names) > 17
    assert (found.joint_names, found.cameras) == (expected.joint_names, expected.cameras)
    assert (found.gravity, found.level_src) == (DOWN, "calibration")
    for name in ("t_ns", "ids", "views", "held_ns", "seen_by"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    for name in ("pose", "root", "joints", "sigma_m", "lengths_m"):
        np.testing.assert_allclose(
            getattr(found, name), getattr(expected, name), rtol=1e-4, atol=1e-5, err_msg=name
        )
    own17 = [found.joint_names.index(name) for name in ("left_wrist", "right_knee", "Spine")]
    for name in ("covariance_m2", "residual_px"):
        mine, theirs = getattr(found, name)[:, :, own17], getattr(expected, name)[:, :, own17]
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, err_msg=name)
    ear = found.joint_names.index("left_ear")
    known = found.ids >= 0
    spread = np.trace(expected.covariance_m2[:, :, ear], axis1=-2, axis2=-1)[known] / 3
    np.testing.assert_allclose(found.covariance_m2[:, :, ear, 0, 0][known], spread, rtol=1e-4)


def test_cameras_that_join_are_added_and_another_format_is_refused(tmp_path: Path) -> None:
    expected, messages = fused_volume()
    last = messages[-1]
    assert last.fused is not None
    names = ("new", "cam2", "cam0")
    assert last.views is not None
    assert last.keypoint_views is not None
    later = replace(
        last,
        t_srv=last.t_srv + 16 * MS,
        fused=type(last.fused)(names, 7, "coco17"),
        views=np.full_like(last.views, 5),
        keypoint_views=np.full_like(last.keypoint_views, 5),
    )
    found = fused_from_recording(recorded(tmp_path / "a.mcap", [*messages, later]), "stage/fused")
    assert found is not None
    assert found.cameras == ("cam0", "cam1", "cam2", "new")
    assert found.seen_by[-1].tolist() == [[True, False, False, True]] * 2
    assert (found.views[-1] == 9).all()
    np.testing.assert_array_equal(found.views[:-1], expected.views)
    other = replace(later, fused=type(last.fused)(names, 7, "h36m17"))
    with pytest.raises(ConfigError, match="change from coco17 to h36m17"):
        fused_from_recording(recorded(tmp_path / "b.mcap", [*messages, other]), "stage/fused")


def test_the_stream_of_one_camera_has_no_fused_poses(tmp_path: Path) -> None:
    recording = recorded_walk(tmp_path / "a.mcap")
    assert fused_from_recording(recording, "rig0/cam0") is None


def test_convert_writes_all_of_a_volume(tmp_path: Path) -> None:
    expected, messages = fused_volume()
    recorded(tmp_path / "a.mcap", messages)
    done = run_here("convert", tmp_path / "a.mcap", "-o", tmp_path / "a.npz", "--up", "z")
    assert (done.code, done.err) == (0, "")
    found = poses_from_npz(tmp_path / "a.npz")
    assert isinstance(found, FusedSequence)
    assert (found.gravity, found.level_src) == ((0.0, 0.0, -1.0), "given")
    np.testing.assert_array_equal(found.views, expected.views)
