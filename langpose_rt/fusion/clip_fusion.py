"""Fuse clips of several cameras: what the volume says of them live, for files."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from langpose_rt.errors import ConfigError
from langpose_rt.formats.clip import Clip
from langpose_rt.formats.fused_npz import FusedSequence
from langpose_rt.formats.lifted_npz import PoseSequence, columns_of_ids
from langpose_rt.fusion.detections import MonocularLifts
from langpose_rt.fusion.fused_frame import FusedFrame, VolumeEvent
from langpose_rt.fusion.volume import CaptureVolume, VolumeConfig
from langpose_rt.geometry.camera import Camera, gravity_in_world


def fuse_clips(
    clips: Mapping[str, Clip],
    cameras: Mapping[str, Camera],
    *,
    lifts: Mapping[str, PoseSequence] | None = None,
    offsets_s: Mapping[str, float] | None = None,
    config: VolumeConfig | None = None,
    on_instant: Callable[[int], None] | None = None,
) -> tuple[FusedSequence, list[VolumeEvent]]:
    """Fuse the people of clips that several cameras took at the same time.

    Args:
        clips: By camera name, of one keypoint format; frames of equal time are simultaneous.
        cameras: Calibrated cameras; those without a clip are left out.
        lifts: Monocular poses in camera axes, in the columns of the clips.
        offsets_s: What each camera's clock shows too much; 0 where not given.
        config: Options of the volume.
        on_instant: Called with the number of instants done.

    Returns:
        One column a person, reused after the last frame of the person; and what happened.

    Raises:
        ConfigError: If there are too few clips, a camera is not calibrated, the formats differ, or
            the clips are of different times.
    """
    _check(clips, cameras)
    chosen = {name: _as_filmed(cameras[name], clip) for name, clip in clips.items()}
    skeleton = next(iter(clips.values())).skeleton
    volume = CaptureVolume(chosen, skeleton, config)
    frames: list[FusedFrame] = []
    events: list[VolumeEvent] = []
    world = {name: _in_world(chosen[name], lift) for name, lift in (lifts or {}).items()}
    there = {name: clip.present for name, clip in clips.items()}
    now_ns = 0
    for now_ns, due in _by_time(clips, offsets_s or {}):
        for name, frame in due:
            present = there[name][frame]
            own = _lifts_of(world[name], frame, present) if name in world else None
            people = clips[name].keypoints[frame, present].astype(np.float64)
            volume.feed(name, now_ns, people, now_ns=now_ns, lifts=own)
        frames += volume.tick(now_ns)
        events += volume.take_events()
        if on_instant is not None:
            on_instant(len(frames))
    frames += volume.flush(now_ns)
    fused = _sequence(frames, volume)
    if (gravity := gravity_in_world(chosen.values())) is not None:
        fused = replace(fused, gravity=gravity, level_src="calibration")
    return fused, events + volume.take_events()


def _check(clips: Mapping[str, Clip], cameras: Mapping[str, Camera]) -> None:
    if len(clips) < 2:
        raise ConfigError(
            f"found {len(clips)} camera; expected at least 2 clips of the same time to fuse"
        )
    for name, clip in clips.items():
        if name not in cameras:
            known = ", ".join(cameras)
            raise ConfigError(f'there is no camera "{name}"; the calibration has {known}')
        first_name, first = next(iter(clips.items()))
        if clip.skeleton.name != first.skeleton.name:
            raise ConfigError(
                f"camera {first_name} has {first.skeleton.name} and camera {name} "
                f"{clip.skeleton.name} keypoints; expected one format for all cameras"
            )
    starts = {name: int(clip.t_ns[0]) for name, clip in clips.items()}
    ends = {name: int(clip.t_ns[-1]) for name, clip in clips.items()}
    late, early = max(starts, key=lambda n: starts[n]), min(ends, key=lambda n: ends[n])
    if starts[late] > ends[early]:
        raise ConfigError(
            f"camera {late} begins after camera {early} has ended; expected clips of the same "
            "time on one clock"
        )


def _as_filmed(camera: Camera, clip: Clip) -> Camera:
    """Return the camera with the lens for the image size of its clip."""
    return replace(camera, intrinsics=camera.intrinsics.resized(*clip.size))


def _by_time(
    clips: Mapping[str, Clip], offsets_s: Mapping[str, float]
) -> Iterator[tuple[int, list[tuple[str, int]]]]:
    """Yield every time that a camera has a frame of, with all cameras' frames of that time."""
    t_ns = {name: clip.t_ns - round(offsets_s.get(name, 0.0) * 1e9) for name, clip in clips.items()}
    names = np.repeat(np.arange(len(clips)), [len(times) for times in t_ns.values()])
    frame = np.concatenate([np.arange(len(times)) for times in t_ns.values()])
    times = np.concatenate(list(t_ns.values()))
    order = np.lexsort((names, times))
    cuts = np.flatnonzero(np.diff(times[order])) + 1
    known = list(clips)
    for group in np.split(order, cuts):
        yield int(times[group[0]]), [(known[names[i]], int(frame[i])) for i in group]


def _in_world(camera: Camera, lifted: PoseSequence) -> PoseSequence:
    T = camera.T_world_camera
    assert T is not None
    R = T[:3, :3].astype(np.float32)
    return replace(
        lifted, pose=lifted.pose @ R.T, root=(lifted.root @ R.T + T[:3, 3]).astype(np.float32)
    )


def _lifts_of(lifted: PoseSequence, frame: int, present: np.ndarray) -> MonocularLifts:
    return MonocularLifts(
        pose=lifted.pose[frame, present].astype(np.float64),
        sigma_m=lifted.sigma_m[frame, present].astype(np.float64),
        root=lifted.root[frame, present].astype(np.float64),
    )


def _sequence(frames: Sequence[FusedFrame], volume: CaptureVolume) -> FusedSequence:
    columns = columns_of_ids([frame.ids for frame in frames])
    count = 1 + max((int(own.max(initial=0)) for own in columns), default=0)
    fused = FusedSequence.of_nobody(
        np.array([frame.t_ns for frame in frames], np.int64),
        count,
        joint_names=volume.layout.names,
        cameras=volume.cameras.names,
    )
    for index, (frame, own) in enumerate(zip(frames, columns, strict=True)):
        joints = frame.joints17
        hip = joints[:, 0]
        # without a hip the root is the middle of what is known, so that root + pose is the place
        known = np.isfinite(joints).all(-1)[..., None]
        middle = np.where(known, joints, 0).sum(1) / np.maximum(known.sum(1), 1)
        root = np.where(np.isfinite(hip), hip, middle)
        sigma_m = frame.sigma17_m
        fused.root[index, own] = root
        fused.pose[index, own] = joints - root[:, None]
        fused.sigma_m[index, own] = np.where(np.isfinite(sigma_m), sigma_m, np.nan)
        fused.ids[index, own] = frame.ids
        fused.joints[index, own] = frame.joints
        fused.covariance_m2[index, own] = frame.covariance_m2
        fused.views[index, own] = frame.views
        fused.residual_px[index, own] = frame.residual_px
        fused.lengths_m[index, own] = frame.lengths_m
        fused.held_ns[index, own] = frame.held_ns
        fused.seen_by[index, own] = frame.cameras
    return fused
