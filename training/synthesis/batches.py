"""Training batches: motion, body, camera, detector and masks, put together for the network.

A batch depends on (seed, number) alone, so that a resumed run sees the same ones. Torch-free, so
that worker processes start small; loader.py runs them.
"""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Float32, Int64

from langpose_rt.config import EXTRA_CHANNELS, LENGTH_CHANNELS
from langpose_rt.geometry.camera import ASSUMED_FOV_DEG
from langpose_rt.geometry.length_channels import length_channels
from langpose_rt.geometry.person_frame import AnchorState, anchor_step
from langpose_rt.geometry.skeleton import BONES, REFERENCE_STATURE_M, stature_m
from training.data.mocap import Mocap, mirrored_text
from training.synthesis.body_shapes import draw_bones_m, mean_bones_m, mirror, mix, rebone
from training.synthesis.cameras import CameraConfig, Shots, project, shoot
from training.synthesis.derived_joints import derive, draw_kinds
from training.synthesis.detector_noise import NoiseConfig, detect
from training.synthesis.joint_definitions import redefine
from training.synthesis.limb_recombination import recombine
from training.synthesis.limb_swing import swing
from training.synthesis.masks import MaskConfig, apply_masks, draw_masks
from training.synthesis.motion_windows import TimeConfig, draw_moments, draw_times, draw_windows
from training.synthesis.random_processes import steps_s

Rng = np.random.Generator

EXCHANGED_LIMBS = 0.55
"""Chance of each arm and leg of a recombined clip to come from another clip. Source: ours."""


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Composition of a batch. Source: ours; every range is wider than expected in use.

    Args:
        clips, frames: Size of a batch.
        screen: Rows are screen coordinates as the paper's, answers in camera axes; otherwise both
            are in the person's own axes.
        reboned: Share of clips with drawn bone lengths; the others keep their rig's.
        posed: Share of clips drawn by pose group and not by source and action.
        mixed: Share of clips with another clip's upper body.
        recombined: Share of clips with arms or legs of other clips.
        swung: Share of clips whose limbs are held differently than recorded.
        redefined: Share of clips whose detector defines joints in its own way.
        derived: Share of clips whose keypoint format is drawn: its trunk joints may come from
            hips and shoulders.
        gravity_known: Share of clips whose camera knows where down is.
        lengths_known: Share of clips whose person's bone lengths are known.
        length_sd: Relative error of known lengths, one draw per bone and clip.
        lens_wrong: Share of clips with a slightly wrong focal length and lens.
        lens_assumed: Share of clips whose field of view was merely assumed (60 degrees).
    """

    clips: int = 48
    frames: int = 64
    screen: bool = False
    reboned: float = 0.9
    posed: float = 0.3
    mixed: float = 0.2
    recombined: float = 0.35
    swung: float = 0.5
    redefined: float = 0.7
    derived: float = 0.8
    gravity_known: float = 0.5
    lengths_known: float = 0.3
    length_sd: float = 0.04
    lens_wrong: float = 0.4
    lens_assumed: float = 0.15
    times: TimeConfig = field(default_factory=TimeConfig)
    cameras: CameraConfig = field(default_factory=CameraConfig)
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    masks: MaskConfig = field(default_factory=MaskConfig)


@dataclass(frozen=True, kw_only=True)
class Footage:
    """Keypoints and camera facts that a rig would report of some clips, and the truth.

    Attributes:
        rays: Keypoints as x/z and y/z through the intrinsics the rig believes in; 0 if missing.
        scores: 0 marks a missing joint.
        time_ns: Capture times, the first one 0.
        gravity: Unit vector in camera axes; NaN where the rig does not know it.
        bones_m: Bone lengths as far as the rig knows them; NaN where it does not.
        pose_camera_m: True joints relative to the hip, camera axes.
        stature_m: Height of the body.
        source: Index into Mocap.sources.
        screen: Keypoints over half the image width, the middle of the image at (0, 0); 0 if
            missing.
    """

    rays: Float32[np.ndarray, "clip frame 17 2"]
    scores: Float32[np.ndarray, "clip frame 17"]
    time_ns: Int64[np.ndarray, "clip frame"]
    gravity: Float32[np.ndarray, "clip 3"]
    bones_m: Float32[np.ndarray, "clip 16"]
    pose_camera_m: Float32[np.ndarray, "clip frame 17 3"]
    stature_m: Float32[np.ndarray, " clip"]
    source: Int64[np.ndarray, " clip"]
    screen: Float32[np.ndarray, "clip frame 17 2"]


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Inputs of the network and the targets of its outputs.

    Attributes:
        rows, extras: Input, from langpose_rt.geometry.person_frame and length_channels.
        time_ns: Capture times, the first one 0.
        pose: Answer: root-relative, anchored axes, body units (metres x reference / stature).
        rotation: Camera to anchored axes; ``pose_camera = pose @ rotation``.
        seen: Joints the network was shown.
        stature_m: Height of the body, metres.
        source: Index into Mocap.sources.
        text: Index into Mocap.texts of what the clip shows; -1 where its motion was changed so much
            that the sentence no longer holds.
    """

    rows: Float32[np.ndarray, "clip frame 17 3"]
    extras: Float32[np.ndarray, "clip frame 24"]
    time_ns: Int64[np.ndarray, "clip frame"]
    pose: Float32[np.ndarray, "clip frame 17 3"]
    rotation: Float32[np.ndarray, "clip frame 3 3"]
    seen: Bool[np.ndarray, "clip frame 17"]
    stature_m: Float32[np.ndarray, " clip"]
    source: Int64[np.ndarray, " clip"]
    text: Int64[np.ndarray, " clip"]


def batch_from_seed(mocap: Mocap, config: DataConfig, seed: int, number: int) -> Batch:
    """Return the batch with this number; the same numbers give the same arrays."""
    rng = np.random.default_rng([seed, number])
    chosen, moment_s = draw_moments(rng, mocap, config.clips, config.posed)
    time_ns = draw_times(rng, config.clips, config.frames, config.times)
    joints_m, text = draw_motion(rng, mocap, chosen, time_ns, config, moment_s=moment_s)
    sources = {name: index for index, name in enumerate(mocap.sources)}
    source = np.array([sources[mocap.clips[index].source] for index in chosen], np.int64)
    footage = film(rng, joints_m, time_ns, source, config)
    return screen_clips(footage, text) if config.screen else anchor_clips(footage, text)


def draw_motion(
    rng: Rng,
    mocap: Mocap,
    chosen: Int64[np.ndarray, " clip"],
    time_ns: Int64[np.ndarray, "clip frame"],
    config: DataConfig,
    *,
    moment_s: Float[np.ndarray, " clip"] | None = None,
) -> tuple[Float32[np.ndarray, "clip frame 17 3"], Int64[np.ndarray, " clip"]]:
    """Draw windows of the chosen clips on other bodies, and what they show, as in Batch.text.

    Speed, mixed halves, exchanged and held limbs, bones and mirror are drawn.
    """
    clips = len(chosen)
    log_speed = np.log(config.times.speed_range)
    speed = np.exp(rng.uniform(-log_speed, log_speed, clips))
    joints_m = draw_windows(rng, mocap, chosen, time_ns, speed, moment_s=moment_s)
    blend = np.nonzero(rng.random(clips) < config.mixed)[0]
    if len(blend):
        lender, at_s = draw_moments(rng, mocap, len(blend), config.posed)
        upper_m = draw_windows(rng, mocap, lender, time_ns[blend], speed[blend], moment_s=at_s)
        joints_m[blend], _ = mix(joints_m[blend], upper_m)
    joints_m, exchanged = _exchange_limbs(rng, mocap, joints_m, time_ns, speed, config=config)
    held = rng.random(clips) < config.swung
    joints_m[held] = swing(rng, joints_m[held])
    bones_m = np.where(
        rng.random((clips, 1)) < config.reboned, draw_bones_m(rng, clips), mean_bones_m(joints_m)
    )
    joints_m = rebone(joints_m, bones_m.astype(np.float32))
    turned = rng.random(clips) < 0.5
    joints_m[turned] = mirror(joints_m[turned])
    text = _texts(mocap, chosen, turned)
    text[blend], text[held], text[exchanged] = -1, -1, -1
    return joints_m, text


def _exchange_limbs(
    rng: Rng,
    mocap: Mocap,
    joints_m: Float32[np.ndarray, "clip frame 17 3"],
    time_ns: Int64[np.ndarray, "clip frame"],
    speed: Float[np.ndarray, " clip"],
    *,
    config: DataConfig,
) -> tuple[Float32[np.ndarray, "clip frame 17 3"], Bool[np.ndarray, " clip"]]:
    """Give a share of the clips arms and legs of others; which clips were changed.

    Both limbs of a pair come from one lender in half of the cases: most poses of two legs hold
    each other up.
    """
    here = np.nonzero(rng.random(len(joints_m)) < config.recombined)[0]
    changed = np.zeros(len(joints_m), bool)
    if not len(here):
        return joints_m, changed
    lent = rng.random((len(here), 4)) < EXCHANGED_LIMBS
    paired = rng.random((len(here), 2)) < 0.5
    for first, pair in zip((0, 2), paired.T, strict=True):
        lent[pair, first + 1] = lent[pair, first]
    lenders_m = np.zeros((len(here), 4, *joints_m.shape[1:]), np.float32)
    clip, limb = np.nonzero(lent)
    chosen, at_s = draw_moments(rng, mocap, len(clip), config.posed)
    rows = here[clip]
    lenders_m[clip, limb] = draw_windows(
        rng, mocap, chosen, time_ns[rows], speed[rows], moment_s=at_s
    )
    for first, pair in zip((0, 2), paired.T, strict=True):
        lenders_m[pair, first + 1] = lenders_m[pair, first]
    new_m, sound = recombine(joints_m[here], lenders_m, lent)
    joints_m[here], changed[here] = new_m, sound
    return joints_m, changed


def _texts(
    mocap: Mocap, chosen: Int64[np.ndarray, " clip"], turned: Bool[np.ndarray, " clip"]
) -> Int64[np.ndarray, " clip"]:
    """Index of every clip's sentence, or of its mirror image's."""
    places = {text: index for index, text in enumerate(mocap.texts)}
    shown = (mocap.clips[index].text for index in chosen)
    return np.array(
        [
            places[mirrored_text(text) if turn else text]
            for text, turn in zip(shown, turned, strict=True)
        ],
        np.int64,
    )


def film(
    rng: Rng,
    joints_m: Float32[np.ndarray, "clip frame 17 3"],
    time_ns: Int64[np.ndarray, "clip frame"],
    source: Int64[np.ndarray, " clip"],
    config: DataConfig,
) -> Footage:
    """Camera, detector and masks for given motion."""
    shots = shoot(rng, joints_m, config.cameras)
    height_m = stature_m(mean_bones_m(joints_m)).astype(np.float32)
    looked_at_px = project(
        redefine(rng, shots.joints_camera_m, config.redefined), shots.focal_px, shots.centre_px
    )
    stature_px = shots.focal_px[:, None] * height_m[:, None]
    stature_px = stature_px / np.maximum(shots.joints_camera_m[:, :, 0, 2], 0.1)
    found = detect(rng, looked_at_px, stature_px, shots.in_view, time_ns, config=config.noise)
    joints_px, scores = found.joints_px, found.scores
    if config.derived > 0:
        kinds = draw_kinds(rng, len(joints_m), config.derived)
        joints_px, scores = derive(joints_px, scores, kinds)
    rays = _rays(rng, joints_px, shots, config)
    screen = screen_from_pixels(joints_px, shots.size_px[:, None, None])
    seen = draw_masks(rng, time_ns, config.masks) & (scores > 0)
    if config.derived > 0:
        _, left = derive(joints_px, np.where(seen, scores, np.float32(0)), kinds)
        seen &= left > 0
    screen, _ = apply_masks(screen, scores, seen)
    rays, scores = apply_masks(rays, scores, seen)
    known = rng.random((len(joints_m), 1)) < config.gravity_known
    bones_m = np.full((len(joints_m), len(BONES)), np.nan, np.float32)
    if config.lengths_known > 0:
        measured = np.nonzero(rng.random(len(joints_m)) < config.lengths_known)[0]
        error = np.exp(config.length_sd * rng.standard_normal((len(measured), len(BONES))))
        bones_m[measured] = mean_bones_m(joints_m)[measured] * error
    return Footage(
        rays=rays,
        scores=scores,
        time_ns=time_ns,
        gravity=np.where(known, shots.gravity, np.nan).astype(np.float32),
        bones_m=bones_m,
        pose_camera_m=shots.joints_camera_m - shots.joints_camera_m[:, :, :1],
        stature_m=height_m,
        source=source,
        screen=screen,
    )


def anchor_clips(footage: Footage, text: Int64[np.ndarray, " clip"] | None = None) -> Batch:
    """Return person-centred inputs of all clips, by the anchor code that runs live.

    Args:
        footage: What a rig would report.
        text: As in Batch; left out, nothing is said of the clips.
    """
    state = AnchorState.empty(len(footage.rays))
    dt_s = steps_s(footage.time_ns)
    steps = [
        anchor_step(
            state,
            footage.rays[:, frame],
            footage.scores[:, frame],
            dt_s[:, frame],
            footage.gravity,
        )
        for frame in range(footage.rays.shape[1])
    ]
    rotation = np.stack([step.rotation for step in steps], 1).astype(np.float32)
    scale = (REFERENCE_STATURE_M / footage.stature_m)[:, None, None, None].astype(np.float32)
    person = np.stack([step.extras for step in steps], 1).astype(np.float32)
    lengths = np.broadcast_to(
        length_channels(footage.bones_m)[:, None], (*person.shape[:2], LENGTH_CHANNELS)
    )
    return Batch(
        rows=np.stack([step.rows for step in steps], 1).astype(np.float32),
        extras=np.concatenate([person, lengths], -1),
        time_ns=footage.time_ns,
        pose=np.asarray(footage.pose_camera_m * scale @ rotation.swapaxes(-1, -2)),
        rotation=rotation,
        seen=footage.scores > 0,
        stature_m=footage.stature_m,
        source=footage.source,
        text=np.full(len(footage.source), -1, np.int64) if text is None else text,
    )


def screen_clips(footage: Footage, text: Int64[np.ndarray, " clip"] | None = None) -> Batch:
    """Return the paper's input: screen coordinates and score; targets in camera axes.

    Args:
        footage: What a rig would report.
        text: As in Batch; left out, nothing is said of the clips.
    """
    clips, frames = footage.time_ns.shape
    scale = (REFERENCE_STATURE_M / footage.stature_m)[:, None, None, None].astype(np.float32)
    axes = np.broadcast_to(np.eye(3, dtype=np.float32), (clips, frames, 3, 3))
    return Batch(
        rows=np.concatenate([footage.screen, footage.scores[..., None]], -1),
        extras=np.zeros((clips, frames, EXTRA_CHANNELS + LENGTH_CHANNELS), np.float32),
        time_ns=footage.time_ns,
        pose=np.asarray(footage.pose_camera_m * scale),
        rotation=np.ascontiguousarray(axes),
        seen=footage.scores > 0,
        stature_m=footage.stature_m,
        source=footage.source,
        text=np.full(clips, -1, np.int64) if text is None else text,
    )


def screen_from_pixels(
    joints_px: Float32[np.ndarray, "*batch 2"], size_px: Float[np.ndarray, "*size 2"]
) -> Float32[np.ndarray, "*batch 2"]:
    """Pixels over half the image width, the middle of the image at (0, 0).

    Source: VideoPose3D and MotionBERT: x' = 2 x / w - 1, y' = 2 y / w - h / w.
    """
    return np.asarray((2 * joints_px - size_px) / size_px[..., :1], np.float32)


def _rays(
    rng: Rng,
    joints_px: Float32[np.ndarray, "clip frame 17 2"],
    shots: Shots,
    config: DataConfig,
) -> Float32[np.ndarray, "clip frame 17 2"]:
    """Rays through the intrinsics the rig believes in, which may be wrong or assumed."""
    clips = len(joints_px)
    wrong = rng.random(clips) < config.lens_wrong
    assumed = rng.random(clips) < config.lens_assumed
    focal_px = shots.focal_px * np.where(wrong, np.exp(0.05 * rng.standard_normal(clips)), 1)
    usual_px = shots.size_px.max(1) / 2 / np.tan(np.radians(ASSUMED_FOV_DEG / 2))
    focal_px = np.where(assumed, usual_px, focal_px).astype(np.float32)
    centre_px = np.where(assumed[:, None], shots.size_px / 2, shots.centre_px).astype(np.float32)
    rays = (joints_px - centre_px[:, None, None]) / focal_px[:, None, None, None]
    bend = np.where(wrong | assumed, 0.04 * rng.standard_normal(clips), 0).astype(np.float32)
    radius2 = np.minimum(np.square(rays).sum(-1, keepdims=True), 1.5)
    return np.asarray(rays * (1 + bend[:, None, None, None] * radius2))
