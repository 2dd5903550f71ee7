from collections.abc import Callable

import numpy as np
import pytest

from langpose_rt.errors import ConfigError
from langpose_rt.formats.volume_calibration import VolumeCalibration
from langpose_rt.geometry.camera import Camera
from langpose_rt.geometry.skeleton import SKELETONS
from langpose_rt.pipeline.camera_lookup import CameraLookup
from langpose_rt.pipeline.capture_clock import Stamp
from langpose_rt.pipeline.config import PipelineConfig
from langpose_rt.pipeline.frame_queue import Frame
from langpose_rt.pipeline.volumes.lifted_frame import LiftedFrame
from langpose_rt.pipeline.volumes.live_volume import SILENT_NS, FusedInstant, LiveVolume
from langpose_rt.protocol.messages import KeypointMessage
from tests.fusion.rigs import MS, SIZE, body, camera_at, ring, seen_by

CAMERAS = ring(3)
START_NS = 10**18


def volume_of(
    cameras: dict[str, Camera] = CAMERAS, *, offsets_ns: dict[str, int] | None = None,
    report: Callable[[str, str], None] = lambda *_: None, wait_ms: float = 20.0,
) -> LiveVolume:  # fmt: skip
    calibration = VolumeCalibration(name="v", cameras=cameras, offsets_ns=offsets_ns or {})
    return LiveVolume(calibration, PipelineConfig(fuse=True, fuse_wait_ms=wait_ms), report)


def frame_of(
    camera: str, t_ns: int, joints: np.ndarray, *, rig: str = "rig0", skeleton: str = "h36m17",
    received_ns: int | None = None, scale: float = 1.0, t_srv_ns: int | None = None,
) -> LiftedFrame:  # fmt: skip
    """What a camera sees of people, in an image `scale` times as large as the calibrated one."""
    keypoints = seen_by(CAMERAS[camera], joints).astype(np.float32)
    keypoints[..., :2] *= scale
    if skeleton != "h36m17":
        sent = SKELETONS[skeleton]
        names = [str(name) for name in sent.joints]
        own = np.zeros((len(keypoints), len(names), 3), np.float32)
        for place, terms in enumerate(sent.to_h36m):
            if len(terms) == 1 and terms[0][1] == 1:
                own[:, terms[0][0]] = keypoints[:, place]
        keypoints = own
    message = KeypointMessage(
        rig=rig, camera=camera, epoch=1, seq=0, t_ns=t_ns, skeleton=skeleton,
        wh=(round(SIZE[0] * scale), round(SIZE[1] * scale)), keypoints=keypoints,
        ids=np.arange(len(keypoints)),
    )  # fmt: skip
    lookup = CameraLookup(CAMERAS)
    stamp = Stamp(t_ns, t_ns if t_srv_ns is None else t_srv_ns, 0, stepped=False)
    frame = Frame(
        message, lookup.camera_model_of(message), t_ns if received_ns is None else received_ns,
        stamp, 0,
    )  # fmt: skip
    return LiftedFrame(frame, [], np.zeros((0, 17, 4), np.float32), np.zeros((0, 3), np.float32))


def play(
    volume: LiveVolume, steps: int = 40, *, cameras: tuple[str, ...] = tuple(CAMERAS),
    late_ms: dict[str, int] | None = None, **changes: object,
) -> list[FusedInstant]:  # fmt: skip
    """Somebody walks; every camera sends every 16 ms, stamped late by `late_ms`."""
    found = []
    for step in range(steps):
        now_ns = START_NS + 16 * step * MS
        for name in cameras:
            late_ns = (late_ms or {}).get(name, 0) * MS
            people = body(-0.5 + 1.3 * 0.016 * step)[None]
            frame = frame_of(
                name, now_ns + late_ns, people, received_ns=now_ns + late_ns, **changes
            )  # type: ignore[arg-type]
            assert volume.take(name, frame, now_ns)
        found += volume.fuse(now_ns)
    return found


def error_m(found: list[FusedInstant]) -> float:
    off = [
        np.linalg.norm(
            i.frame.joints17[0]
            - body(-0.5 + 1.3 * (i.frame.t_ns - START_NS) / 1e9), axis=-1
        ).mean()
        for i in found[20:]
    ]  # fmt: skip
    return float(np.mean(off))


def test_somebody_is_fused_under_one_id() -> None:
    found = play(volume_of())
    assert len(found) > 30
    assert {tuple(i.frame.ids.tolist()) for i in found[5:]} == {(0,)}
    assert error_m(found) < 0.004
    assert [i.seq for i in found] == list(range(len(found)))


def test_another_size_of_the_image_is_the_same_camera() -> None:
    assert error_m(play(volume_of(), scale=0.5)) < 0.004


def test_the_offset_of_a_clock_is_taken_off() -> None:
    late = {"cam1": 40}
    with_offset = play(volume_of(offsets_ns={"cam1": 40 * MS}), late_ms=late)
    without = play(volume_of(), late_ms=late)
    assert error_m(with_offset) < 0.004
    assert error_m(without) > 2 * error_m(with_offset)


def test_a_rig_that_claims_the_future_is_timed_by_its_arrival() -> None:
    volume = volume_of()
    for step in range(10):
        now_ns = START_NS + 16 * step * MS
        for name in CAMERAS:
            future_ns = now_ns + (10**12 if step == 3 and name == "cam1" else 0)
            frame = frame_of(name, now_ns, body()[None], t_srv_ns=future_ns)
            assert volume.take(name, frame, now_ns)
        assert volume.fuse(now_ns)


def test_a_second_stream_of_the_same_camera_is_told_and_left_out() -> None:
    reports: list[tuple[str, str]] = []
    volume = volume_of(report=lambda *event: reports.append(event))
    assert volume.take("cam0", frame_of("cam0", START_NS, body()[None]), START_NS)
    other = frame_of("cam0", START_NS + MS, body()[None], rig="rig1")
    assert not volume.take("cam0", other, START_NS + MS)
    assert reports[0][0] == "two_streams"
    assert "rig1/cam0 and rig0/cam0" in reports[0][1]


def test_another_stream_takes_over_from_one_that_is_silent() -> None:
    volume = volume_of()
    assert volume.take("cam0", frame_of("cam0", START_NS, body()[None]), START_NS)
    later_ns = START_NS + SILENT_NS + MS
    other = frame_of("cam0", later_ns, body()[None], rig="rig1")
    assert volume.take("cam0", other, later_ns)
    assert volume.snapshot(later_ns).cameras[0].stream == "rig1/cam0"


def test_a_camera_of_another_format_adds_the_joints_of_the_same_names() -> None:
    reports: list[tuple[str, str]] = []
    volume = volume_of(report=lambda *event: reports.append(event))
    for step in range(10):
        now_ns = START_NS + 16 * step * MS
        for name, skeleton in zip(CAMERAS, ("coco17", "coco17", "halpe26"), strict=True):
            frame = frame_of(name, now_ns, body()[None], skeleton=skeleton)
            assert volume.take(name, frame, now_ns)
        found = volume.fuse(now_ns)
    wrist = [str(n) for n in SKELETONS["coco17"].joints].index("left_wrist")
    assert found[0].frame.views[0, wrist] == 7
    assert [reason for reason, _ in reports] == ["formats_differ"]
    assert "sends halpe26 and the volume fuses coco17; 17 keypoints" in reports[0][1]


def test_cameras_that_never_agree_are_told() -> None:
    reports: list[tuple[str, str]] = []
    foreign = {
        name: camera_at(name, (20.0 * n, 40.0 - 9.0 * n * n, 6.0 - 2 * n))
        for n, name in enumerate(CAMERAS)
    }
    play(volume_of(foreign, report=lambda *event: reports.append(event)), steps=400)
    assert [reason for reason, _ in reports if reason != "camera_moved"] == ["no_agreement"]


def test_a_camera_that_floods_sets_no_more_instants_than_one_of_130_hz() -> None:
    volume, found = volume_of(), []
    for step in range(300):
        now_ns = START_NS + step * MS
        volume.take("cam0", frame_of("cam0", now_ns, body()[None]), now_ns)
        if step % 16 == 0:
            volume.take("cam1", frame_of("cam1", now_ns, body()[None]), now_ns)
        found += volume.fuse(now_ns)
    assert len(found) <= 40


def test_cameras_that_cannot_be_fused_are_refused() -> None:
    with pytest.raises(ConfigError, match="expected at least 2 to fuse"):
        volume_of(ring(1))
    with pytest.raises(ConfigError, match="has 33 cameras; expected at most 32"):
        volume_of(ring(33))


def test_the_state_of_the_volume_is_there_before_and_after_the_first_frame() -> None:
    volume = volume_of()
    before = volume.snapshot(START_NS)
    assert [camera.stream for camera in before.cameras] == ["", "", ""]
    assert before.format == ""
    play(volume, steps=80)
    after = volume.snapshot(START_NS + 80 * 16 * MS)
    assert after.people == 1
    assert after.gravity is not None
    np.testing.assert_allclose(after.gravity, (0, 0, -1), atol=1e-6)
    T = np.reshape(after.cameras[1].T_world_camera, (4, 4))
    np.testing.assert_allclose(T, CAMERAS["cam1"].T_world_camera)
    assert after.format == "h36m17"
    assert all(
        camera.residual_mm is not None and camera.residual_mm < 5 for camera in after.cameras
    )
    assert after.cameras[0].people == 1
