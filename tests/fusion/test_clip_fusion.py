"""Clips of several cameras become people in world axes, as the volume says live."""

from dataclasses import replace

import numpy as np
import pytest

from langpose_rt.errors import ConfigError
from langpose_rt.formats.clip import Clip
from langpose_rt.formats.lifted_npz import PoseSequence
from langpose_rt.fusion.clip_fusion import fuse_clips
from langpose_rt.fusion.volume import CaptureVolume
from langpose_rt.geometry.camera import Camera
from langpose_rt.geometry.skeleton import SKELETONS
from tests.fusion.rigs import H36M, MS, ring
from tests.fusion.walks import clips_of_walk, walk

FRAMES = 30


def short(clips: dict[str, Clip], frames: int = FRAMES) -> dict[str, Clip]:
    return {
        name: replace(
            clip,
            keypoints=clip.keypoints[:frames],
            t_ns=clip.t_ns[:frames],
            ids=clip.ids[:frames],
        )
        for name, clip in clips.items()
    }


@pytest.fixture(scope="module")
def rig() -> dict[str, Camera]:
    return ring(4)


@pytest.fixture(scope="module")
def clips(rig: dict[str, Camera]) -> dict[str, Clip]:
    return short(clips_of_walk(rig))


def errors_mm(fused: PoseSequence) -> np.ndarray:
    truth = walk(np.arange(FRAMES) / 30)
    return 1000 * np.linalg.norm(fused.pose[:, 0] + fused.root[:, :1] - truth, axis=-1)


def test_one_walker_is_one_column_where_they_walked(
    rig: dict[str, Camera], clips: dict[str, Clip]
) -> None:
    fused, events = fuse_clips(clips, rig)
    assert fused.ids.shape == (FRAMES, 1)
    assert (fused.ids == 0).all()
    assert errors_mm(fused)[5:].mean() < 10
    assert fused.cameras == tuple(rig)
    assert fused.joint_names[: len(H36M.joints)] == tuple(map(str, H36M.joints))
    assert (fused.views[5:] == 0b1111).mean() > 0.9
    assert events == []


def test_gravity_is_what_the_calibration_says(
    rig: dict[str, Camera], clips: dict[str, Clip]
) -> None:
    unknown = {name: replace(camera, gravity=None) for name, camera in rig.items()}
    assert fuse_clips(clips, unknown)[0].level_src == "none"
    T = rig["cam2"].T_world_camera
    assert T is not None
    known = replace(rig["cam2"], gravity=T[:3, :3].T @ (0.0, 0.0, -1.0))
    fused, _ = fuse_clips(clips, unknown | {"cam2": known})
    assert fused.gravity == pytest.approx((0.0, 0.0, -1.0))
    assert fused.level_src == "calibration"


def test_files_say_what_the_volume_says_live(
    rig: dict[str, Camera], clips: dict[str, Clip]
) -> None:
    fused, _ = fuse_clips(clips, rig)
    volume, live = CaptureVolume(rig, H36M), []
    for index, t_ns in enumerate(clips["cam0"].t_ns.tolist()):
        for name, clip in clips.items():
            volume.feed(name, t_ns, clip.keypoints[index].astype(np.float64), now_ns=t_ns)
        live += volume.tick(t_ns)
    live += volume.flush(t_ns)
    np.testing.assert_array_equal(fused.joints[:, 0], np.float32([one.joints[0] for one in live]))


def test_clocks_that_differ_are_set_by_the_measured_offsets(rig: dict[str, Camera]) -> None:
    late_s = {"cam1": 0.08, "cam2": -0.05}
    clips = short(clips_of_walk(rig, late_s=late_s))
    plain, _ = fuse_clips(clips, rig)
    fused, _ = fuse_clips(clips, rig, offsets_s=late_s)
    assert errors_mm(fused)[5:].mean() < 10
    assert np.nanmean(plain.residual_px) > 2 * np.nanmean(fused.residual_px)


def test_a_camera_of_half_the_image_size_has_half_the_focal_length(
    rig: dict[str, Camera], clips: dict[str, Clip]
) -> None:
    small = clips["cam1"].keypoints * np.float32([0.5, 0.5, 1])
    halved = replace(clips["cam1"], keypoints=small, size=(640, 360))
    fused, _ = fuse_clips(clips | {"cam1": halved}, rig)
    assert errors_mm(fused)[5:].mean() < 10


def test_one_camera_and_its_lift_place_somebody_in_the_world(rig: dict[str, Camera]) -> None:
    clips = short(clips_of_walk(rig, noise_px=0.0, still=True))
    pair = {name: clips[name] for name in ("cam0", "cam1")}
    nobody = replace(pair["cam1"], keypoints=np.zeros_like(pair["cam1"].keypoints))
    truth, T = walk(np.zeros(FRAMES)), rig["cam0"].T_world_camera
    assert T is not None
    in_camera = (truth - T[:3, 3]) @ T[:3, :3]
    lifted = PoseSequence.empty(pair["cam0"].t_ns, 1)
    lifted.root[:, 0], lifted.pose[:, 0] = in_camera[:, 0], in_camera - in_camera[:, :1]
    lifted.sigma_m[:] = 0.03
    lifted.ids[:] = 0
    fused, _ = fuse_clips(pair | {"cam1": nobody}, rig, lifts={"cam0": lifted})
    there = fused.ids[:, 0] >= 0
    assert there.sum() > FRAMES / 2
    found = fused.pose[:, 0] + fused.root[:, :1]
    assert np.linalg.norm(found - truth, axis=-1)[there].mean() < 0.06


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda c: {"cam0": c["cam0"]}, "found 1 camera; expected at least 2 clips"),
        (lambda c: c | {"left": c["cam0"]}, 'no camera "left"; the calibration has cam0, cam1'),
        (
            lambda c: c | {"cam1": replace(c["cam1"], skeleton=SKELETONS["coco17"])},
            "camera cam0 has h36m17 and camera cam1 coco17 keypoints; expected one format",
        ),
        (
            lambda c: c | {"cam1": replace(c["cam1"], t_ns=c["cam1"].t_ns + 60_000 * MS)},
            "camera cam1 begins after camera cam0 has ended; expected clips of the same time",
        ),
    ],
)
def test_clips_that_cannot_be_fused_are_one_sentence(
    rig: dict[str, Camera],
    clips: dict[str, Clip],
    change,
    sentence: str,  # type: ignore[no-untyped-def]
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        fuse_clips(change(clips), rig)
