from dataclasses import replace

import numpy as np
import pytest

from langpose_rt.errors import ConfigError, MessageError
from langpose_rt.formats.calibration import cameras_from_toml
from langpose_rt.fusion.detections import MonocularLifts
from langpose_rt.fusion.fused_frame import FusedFrame, VolumeEvent
from langpose_rt.fusion.volume import CaptureVolume, VolumeConfig
from langpose_rt.fusion.volume_tracker import TrackerConfig
from langpose_rt.geometry.camera import Camera
from langpose_rt.geometry.skeleton import SKELETONS
from tests.fusion.rigs import H36M, MS, TWO_PEOPLE, body, ring, seen_by

CAMERAS = ring(4)


def walker(t_ns: int) -> np.ndarray:
    return body(-1.0 + 1.3 * t_ns / 1e9, 0.1)


def feed(
    volume: CaptureVolume, camera: str, t_ns: int, *, now_ns: int | None = None,
    cameras: dict[str, Camera] | None = None,
) -> None:  # fmt: skip
    keypoints = seen_by((cameras or CAMERAS)[camera], walker(t_ns)[None])
    volume.feed(camera, t_ns, keypoints, now_ns=t_ns if now_ns is None else now_ns)


def error_m(frames: list[FusedFrame]) -> float:
    assert frames
    return float(
        np.mean([np.linalg.norm(f.joints17[0] - walker(f.t_ns), axis=-1).mean() for f in frames])
    )


def test_cameras_of_different_rates_and_phases_are_brought_to_one_instant() -> None:
    volume = CaptureVolume(CAMERAS, H36M)
    periods = {"cam0": 16, "cam1": 16, "cam2": 33, "cam3": 20}
    times = sorted(
        (frame * period + 3 * n, name)
        for n, (name, period) in enumerate(periods.items())
        for frame in range(1500 // period)
    )
    frames = []
    for t_ms, name in times:
        feed(volume, name, t_ms * MS)
        frames += volume.tick(t_ms * MS)
    assert error_m([f for f in frames if f.t_ns > 300 * MS]) < 0.004
    assert {tuple(f.ids.tolist()) for f in frames if f.t_ns > 300 * MS} == {(0,)}


def test_a_late_camera_is_waited_for_and_one_too_late_is_extrapolated() -> None:
    for delay_ms in (15, 33):
        volume, frames = CaptureVolume(CAMERAS, H36M), []
        events = sorted(
            (16 * frame + (delay_ms if name == "cam0" else 0), 16 * frame, name)
            for name in CAMERAS
            for frame in range(90)
        )
        for now_ms, t_ms, name in events:
            feed(volume, name, t_ms * MS, now_ns=now_ms * MS)
            frames += volume.tick(now_ms * MS)
        late = [f for f in frames if f.t_ns > 300 * MS]
        assert error_m(late) < 0.004
        assert all(f.awake.all() for f in late)


def test_a_camera_that_dies_is_done_without_and_told() -> None:
    volume, frames = CaptureVolume(CAMERAS, H36M), []
    for frame in range(150):
        for name in CAMERAS:
            if name != "cam2" or frame < 30:
                feed(volume, name, 16 * frame * MS)
        frames += volume.tick((16 * frame + 5) * MS)
    frames += volume.flush(3000 * MS)
    assert len(frames) == 150
    assert error_m(frames[60:]) < 0.004
    assert {tuple(f.ids.tolist()) for f in frames} == {(0,)}
    assert [(e.kind, e.camera) for e in volume.take_events()] == [("camera_asleep", "cam2")]
    assert volume.take_events() == []


def test_a_camera_that_is_moved_is_told() -> None:
    volume = CaptureVolume(CAMERAS, H36M)
    T = CAMERAS["cam1"].T_world_camera
    assert T is not None
    turn = np.eye(4)
    turn[::2, ::2] = [[np.cos(0.05), np.sin(0.05)], [-np.sin(0.05), np.cos(0.05)]]
    moved = CAMERAS | {"cam1": replace(CAMERAS["cam1"], T_world_camera=T @ turn)}
    rng = np.random.default_rng(0)
    kinds = []
    for frame in range(600):
        for name, camera in (CAMERAS if frame < 300 else moved).items():
            keypoints = seen_by(camera, body()[None])
            keypoints[..., :2] += rng.normal(0, 2, keypoints[..., :2].shape)
            volume.feed(name, 16 * frame * MS, keypoints, now_ns=16 * frame * MS)
        volume.tick(16 * frame * MS)
        kinds += [(e.kind, e.camera, frame >= 300) for e in volume.take_events()]
    assert kinds == [("camera_moved", "cam1", True)]


def test_the_same_frames_give_the_same_people_however_ticks_fall() -> None:
    def run(every: int) -> list[FusedFrame]:
        volume, found = CaptureVolume(CAMERAS, H36M), []
        for frame in range(60):
            for name in CAMERAS:
                feed(volume, name, 16 * frame * MS)
            if frame % every == 0:
                found += volume.tick(16 * frame * MS)
        return found + volume.flush(2000 * MS)

    live, file = run(1), run(5)
    assert [f.t_ns for f in live] == [f.t_ns for f in file]
    for one, other in zip(live, file, strict=True):
        np.testing.assert_array_equal(one.joints, other.joints)


def test_both_people_of_the_real_trial_have_one_id_each_and_lie_where_pose2sim_has_them() -> None:
    data = np.load(TWO_PEOPLE)
    cameras = cameras_from_toml(TWO_PEOPLE.with_suffix(".toml"))
    config = VolumeConfig(tracker=TrackerConfig(measured=True))
    volume, frames = CaptureVolume(cameras, SKELETONS["body25b"], config), []
    for frame in range(100):
        t_ns = round(frame * 1e9 / 60)
        for name in cameras:
            keypoints = data[name][frame].astype(np.float64)
            there = (keypoints[..., 2] > 0).any(-1)
            volume.feed(name, t_ns, keypoints[there], now_ns=t_ns)
        frames += volume.tick(t_ns)
    assert len(frames) == 100
    for truth in data["trc"]:
        off, who = [], set()
        for frame, fused in enumerate(frames):
            assert fused.measured is not None
            away = np.linalg.norm(fused.measured[:, data["trc_keypoints"]] - truth[frame], axis=-1)
            nearest = int(np.nanmedian(away, axis=1).argmin())
            off.append(away[nearest])
            who.add(int(fused.ids[nearest]))
        assert len(who) == 1
        assert np.nanmedian(off) < 0.002


def events_of_trial(
    cameras: dict[str, Camera], seconds: float = 5.0, mirrored: str = ""
) -> list[VolumeEvent]:
    """Return the events of a volume that is shown the real trial with one camera mirrored."""
    data = np.load(TWO_PEOPLE)
    volume, events = CaptureVolume(cameras, SKELETONS["body25b"]), []
    for step in range(round(20 * seconds)):
        now_ns, frame = 50 * step * MS, 99 - abs(99 - 3 * step % 198)
        for name, camera in cameras.items():
            keypoints = data[name][frame].astype(np.float64)
            there = (keypoints[..., 2] > 0).any(-1)
            if name == mirrored:
                keypoints[..., 0] = camera.intrinsics.width_px - keypoints[..., 0]
            volume.feed(name, now_ns, keypoints[there], now_ns=now_ns)
        volume.tick(now_ns)
        events += volume.take_events()
    return events


def test_a_mirrored_calibration_and_one_of_other_cameras_are_told_and_a_right_one_is_not() -> None:
    right = cameras_from_toml(TWO_PEOPLE.with_suffix(".toml"))
    assert events_of_trial(right) == []
    names = list(right)
    places = [right[name].T_world_camera for name in [*names[1:], names[0]]]
    for wrong in (
        [np.diag([-1, 1, 1, 1]) @ right[name].T_world_camera @ np.diag([-1, 1, 1, 1])
         for name in names],
        places,
    ):  # fmt: skip
        cameras = {
            name: replace(right[name], T_world_camera=T)
            for name, T in zip(names, wrong, strict=True)
        }
        events = [event for event in events_of_trial(cameras) if event.kind == "no_agreement"]
        assert len(events) == 1
        assert "4 cameras see people and do not agree where" in events[0].detail


@pytest.mark.parametrize("name", ["cam_01", "cam_02", "cam_03", "cam_04"])
def test_a_camera_whose_picture_is_mirrored_is_told(name: str) -> None:
    cameras = cameras_from_toml(TWO_PEOPLE.with_suffix(".toml"))
    events = events_of_trial(cameras, mirrored=name)
    assert [(event.kind, event.camera) for event in events] == [("no_agreement", name)]


def test_a_camera_of_another_volume_is_refused() -> None:
    volume = CaptureVolume(CAMERAS, H36M)
    with pytest.raises(MessageError, match='"cam9" is not of this volume; expected one of cam0'):
        volume.feed("cam9", 0, np.zeros((0, 17, 3)), now_ns=0)
    with pytest.raises(MessageError, match="not of this volume"):
        volume.feed_lifts("cam9", 0, MonocularLifts.missing(0))


def test_keypoints_of_another_format_are_refused() -> None:
    volume = CaptureVolume(CAMERAS, H36M)
    with pytest.raises(MessageError, match=r"17 keypoints \(h36m17\)"):
        volume.feed("cam0", 0, np.zeros((1, 25, 3)), now_ns=0)


def test_an_old_frame_is_not_taken() -> None:
    volume = CaptureVolume(CAMERAS, H36M)
    assert volume.feed("cam0", 5, np.zeros((0, 17, 3)), now_ns=0)
    assert not volume.feed("cam0", 5, np.zeros((0, 17, 3)), now_ns=0)


def test_an_impossible_wait_is_refused() -> None:
    with pytest.raises(ConfigError, match="wait_ms is -1"):
        VolumeConfig(wait_ms=-1.0)


def turned_world(cameras: dict[str, Camera], T: np.ndarray) -> dict[str, Camera]:
    return {
        name: replace(camera, T_world_camera=T @ camera.T_world_camera)
        for name, camera in cameras.items()
    }


def test_another_calibration_moves_the_world_and_nobody_changes_the_id() -> None:
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]], [5.0, -2.0, 0.0]
    turned = turned_world(CAMERAS, T)
    turned.pop("cam3")
    volume, frames = CaptureVolume(CAMERAS, H36M), []
    for step in range(60):
        if step == 30:
            volume.recalibrate(turned)
        for name in turned if step >= 30 else CAMERAS:
            feed(volume, name, 16 * step * MS)
        frames += volume.tick(16 * step * MS)
    assert len(frames) == 60
    assert {tuple(frame.ids.tolist()) for frame in frames} == {(0,)}
    for frame in frames[30:]:
        expected = walker(frame.t_ns) @ T[:3, :3].T + T[:3, 3]
        assert np.linalg.norm(frame.joints17[0] - expected, axis=-1).mean() < 0.01
    assert frames[-1].awake.tolist() == [True] * 3


def test_a_camera_that_was_put_elsewhere_leaves_the_world_where_it_is() -> None:
    moved = CAMERAS | {"cam1": ring(4, 6.0)["cam1"]}
    volume, frames = CaptureVolume(CAMERAS, H36M), []
    for step in range(40):
        now = CAMERAS if step < 20 else moved
        if step == 20:
            volume.recalibrate(moved)
        for name in now:
            feed(volume, name, 16 * step * MS, cameras=now)
        frames += volume.tick(16 * step * MS)
    assert {tuple(frame.ids.tolist()) for frame in frames} == {(0,)}
    assert error_m(frames[10:]) < 0.01


def test_a_calibration_that_cannot_be_fused_changes_nothing() -> None:
    volume = CaptureVolume(CAMERAS, H36M)
    with pytest.raises(ConfigError, match="expected at least 2"):
        volume.recalibrate(ring(1))
    assert volume.cameras.names == tuple(CAMERAS)
