from collections.abc import Sequence
from dataclasses import replace

import pytest

from langpose_rt.errors import ConfigError
from langpose_rt.formats.volume_calibration import VolumeCalibration, cameras_of_volumes
from langpose_rt.pipeline.config import PipelineConfig
from langpose_rt.pipeline.pipeline import Pipeline
from langpose_rt.protocol.messages import PoseMessage, decode_pose, decode_status, encode_keypoints
from tests.fakes import MS, FakeBackend, keypoint_message, keypoint_parts, person_px
from tests.fusion.rigs import ring
from tests.pipeline.volumes.trial import Sent, trial_errors, trial_messages, trial_volume

TRIAL = trial_volume()


def pipeline_of(*volumes: VolumeCalibration, **options: object) -> Pipeline:
    config = PipelineConfig(fuse=True, **options)  # type: ignore[arg-type]
    cameras = cameras_of_volumes(volumes)
    return Pipeline(FakeBackend(64), config, cameras, volumes=volumes, epoch=3)


def play(
    pipeline: Pipeline, messages: Sequence[Sent]
) -> tuple[list[PoseMessage], list[list[bytes]]]:
    """Feed messages; returns the fused poses, and everything else."""
    fused, others = [], []
    for sent in messages:
        assert pipeline.receive(sent.parts, sent.now_ns)
        others += pipeline.step(sent.now_ns)
        fused += pipeline.fuse(sent.now_ns)
    fused += pipeline.fuse(sent.now_ns, everything=True)
    return [decode_pose(parts) for parts in fused], others


def test_both_people_are_fused_under_one_id_beside_the_streams_of_the_cameras() -> None:
    fused, others = play(pipeline_of(TRIAL), trial_messages())
    assert len(fused) == 100
    assert {message.topic for message in fused} == {"pose3d/stage/fused/"}
    assert len(others) == 400
    for error_m, ids in trial_errors(fused, skip=20).values():
        assert len(ids) == 1
        assert error_m < 0.025


def test_rigs_of_different_rates_are_one_volume() -> None:
    rigs = {"cam_01": "left", "cam_02": "left", "cam_03": "right", "cam_04": "top"}
    messages = trial_messages(rigs=rigs, every={"cam_02": 2, "cam_04": 2})[:150]
    pipeline = pipeline_of(TRIAL)
    fused, _ = play(pipeline, messages)
    assert len(fused) == 50
    assert all(len(ids) == 1 for _, ids in trial_errors(fused, skip=20).values())
    streams = [camera.stream for camera in pipeline.snapshot(0).volumes[0].cameras]
    assert streams == ["left/cam_01", "left/cam_02", "right/cam_03", "top/cam_04"]


def test_the_streams_of_the_cameras_are_the_same_with_and_without_fusion() -> None:
    messages = trial_messages()[:40]
    _, beside = play(pipeline_of(TRIAL), messages)
    alone = Pipeline(FakeBackend(64), PipelineConfig(), cameras_of_volumes([TRIAL]), epoch=3)
    assert beside == play(alone, messages)[1]


def test_without_the_option_nothing_is_fused() -> None:
    pipeline = Pipeline(
        FakeBackend(64), PipelineConfig(), cameras_of_volumes([TRIAL]), volumes=[TRIAL]
    )
    assert play(pipeline, trial_messages()[:40])[0] == []
    assert pipeline.snapshot(0).volumes == ()


@pytest.mark.parametrize(("prefix", "rig"), [("", "rig0"), ("Stage_Left/", "stage-left")])
def test_a_camera_is_found_as_its_lens_is_however_its_name_is_spelled(
    prefix: str, rig: str
) -> None:
    spelled = {prefix + f"Cam{name[-1]}": camera for name, camera in TRIAL.cameras.items()}
    cameras = {name: replace(camera, name=name) for name, camera in spelled.items()}
    rigs = dict.fromkeys(TRIAL.cameras, rig)  # whose cameras are cam_01 to cam_04
    pipeline = pipeline_of(replace(TRIAL, cameras=cameras))
    fused, _ = play(pipeline, trial_messages(rigs=rigs)[:80])
    assert len(fused) == 20
    assert all(len(ids) == 1 for _, ids in trial_errors(fused, skip=10).values())


def test_a_stream_of_no_volume_goes_on_as_before_and_is_told_once() -> None:
    pipeline = pipeline_of(TRIAL)
    for seq in range(3):
        parts = keypoint_parts(person_px((0, 0, 4)), camera="webcam", seq=seq, t_ms=20 * seq)
        assert pipeline.receive(parts, 20 * seq * MS)
        assert len(pipeline.step(20 * seq * MS)) == 1
        assert pipeline.fuse(20 * seq * MS) == []
    assert pipeline.next_due_ns() is None
    told = [decode_status(p) for p in pipeline.tick(60 * MS) if p[0] == b"event/volume/"]
    assert [(event.reason, event.subject, event.count) for event in told] == [  # type: ignore[union-attr]
        ("not_in_volume", "kp2d/rig0/webcam/", 1)
    ]
    for name in TRIAL.cameras:
        assert name in told[0].detail  # type: ignore[union-attr]


def test_two_volumes_keep_their_people_apart() -> None:
    other = VolumeCalibration(
        name="other",
        cameras={f"b/{name}": replace(c, name=f"b/{name}") for name, c in TRIAL.cameras.items()},
    )
    rigs = dict.fromkeys(TRIAL.cameras, "b")
    both = trial_messages()[:160] + trial_messages(rigs=rigs)[:160]
    fused, _ = play(pipeline_of(TRIAL, other), sorted(both, key=lambda sent: sent.now_ns))
    by_topic = {topic: [m for m in fused if m.topic == topic] for topic in {m.topic for m in fused}}
    assert sorted(by_topic) == ["pose3d/other/fused/", "pose3d/stage/fused/"]
    for messages in by_topic.values():
        assert [m.seq for m in messages] == list(range(40))
        assert all(len(ids) == 1 for _, ids in trial_errors(messages, skip=10).values())


def test_a_lookahead_delays_the_fused_poses_as_it_does_the_others() -> None:
    fused, _ = play(pipeline_of(TRIAL, lookahead_ms=50.0), trial_messages()[:120])
    assert len(fused) == 27  # 30 frames, of which the last three wait for their lookahead
    assert fused[0].win.lookahead_ns == 50_000_000


def test_an_instant_waits_no_longer_than_it_may() -> None:
    pipeline = pipeline_of(TRIAL, fuse_wait_ms=10.0)
    messages = trial_messages()[:80]
    for sent in messages:
        pipeline.receive(sent.parts, sent.now_ns)
        pipeline.step(sent.now_ns)
        pipeline.fuse(sent.now_ns)
    first = next(sent for sent in trial_messages() if sent.now_ns > messages[-1].now_ns)
    pipeline.receive(first.parts, first.now_ns)
    pipeline.step(first.now_ns)
    assert pipeline.fuse(first.now_ns) == []
    due_ns = pipeline.next_due_ns()
    assert due_ns == first.now_ns + 10_000_000
    assert pipeline.fuse(due_ns - 1) == []
    (parts,) = pipeline.fuse(due_ns)
    message = decode_pose(parts)
    assert message.fused is not None
    assert message.fused.wait_ns == 10_000_000


def test_a_rig_cannot_take_the_topic_of_a_volume() -> None:
    pipeline = pipeline_of(TRIAL)
    message = keypoint_message(person_px((0, 0, 4)), rig="stage", camera="fused")
    assert not pipeline.receive(encode_keypoints(message), 0)
    assert pipeline.stats.rejected == {"bad_topic": 1}


def test_a_camera_that_dies_is_an_event_of_the_volume() -> None:
    pipeline = pipeline_of(TRIAL)
    messages = trial_messages(repeats=2)
    died_ns = messages[160].now_ns
    play(pipeline, [m for m in messages if m.camera != "cam_02" or m.now_ns < died_ns])
    events = [decode_status(p) for p in pipeline.tick(messages[-1].now_ns) if p[0][:6] == b"event/"]
    found = {(event.kind, event.reason, event.subject) for event in events}  # type: ignore[union-attr]
    assert ("volume", "camera_asleep", "pose3d/stage/fused/") in found


def test_a_volume_that_cannot_be_fused_is_named() -> None:
    volume = VolumeCalibration(name="half", cameras=ring(1))
    with pytest.raises(ConfigError, match='volume "half": the calibration has 1 cameras'):
        pipeline_of(volume)


def test_another_calibration_is_used_from_the_next_step_and_nobody_changes_the_id() -> None:
    pipeline = pipeline_of(TRIAL)
    messages = trial_messages()[:160]
    before, _ = play(pipeline, messages[:80])
    raised = {}
    for name, camera in TRIAL.cameras.items():
        assert camera.T_world_camera is not None
        T = camera.T_world_camera.copy()
        T[2, 3] += 10.0
        raised[name] = replace(camera, T_world_camera=T)
    pipeline.load_calibration(VolumeCalibration(name="stage", cameras=raised))
    after, _ = play(pipeline, messages[80:])
    assert set(after[0].ids.tolist()) == set(before[-1].ids.tolist())
    for message in (*before[5:], *after):
        assert message.root is not None
        assert (message.root[:, 2] > 5).all() == (message in after)
    events = [decode_status(p) for p in pipeline.tick(messages[-1].now_ns) if p[0][:6] == b"event/"]
    assert "calibrated" in {event.reason for event in events}  # type: ignore[union-attr]


def test_a_calibration_of_no_volume_or_of_the_cameras_of_another_is_refused() -> None:
    pipeline = pipeline_of(TRIAL, VolumeCalibration(name="other", cameras=ring(3)))
    with pytest.raises(
        ConfigError, match='no calibration "third" to replace; there is stage, other'
    ):
        pipeline.load_calibration(VolumeCalibration(name="third", cameras=ring(2)))
    with pytest.raises(ConfigError, match='camera "cam0" is in the volume "other" already'):
        pipeline.load_calibration(VolumeCalibration(name="stage", cameras=ring(2)))
    with pytest.raises(ConfigError, match="at least 2 to fuse"):
        pipeline.load_calibration(VolumeCalibration(name="other", cameras=ring(1)))
    assert pipeline.calibration_named("stage") is TRIAL
