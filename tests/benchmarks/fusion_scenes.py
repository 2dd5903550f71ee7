"""Scenes for measuring fusion: motion capture in front of virtual cameras, with a noisy detector.

Truth is exact at any time; cameras may differ in rate, phase, delay, clock and in what they miss.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from langpose_rt.config import NS_PER_S
from langpose_rt.fusion.detections import MonocularLifts
from langpose_rt.geometry.camera import Camera, Intrinsics
from training.data.mocap import Mocap, MotionClip, read_mocap
from training.synthesis.detector_noise import NoiseConfig, detect
from training.synthesis.motion_windows import interpolate
from training.synthesis.random_processes import drift, steps_s

MOCAP = Path(__file__).parents[2] / ".." / "shared" / "data" / "mocap"
SIZE_PX = (1920, 1080)
NOISE = NoiseConfig()
"""The detector that the network is trained on."""

LIFT_SIGMA_M, LIFT_DEPTH = 0.03, 0.06
"""Deviation of a lifted joint on every axis (52 mm of distance), and of a person's distance."""

_UPPER, _LOWER = (9, 10, 11, 12, 13, 14, 15, 16), (1, 2, 3, 4, 5, 6)


@dataclass(frozen=True, kw_only=True)
class CameraTiming:
    """When a camera takes pictures and when they arrive.

    Attributes:
        rate_hz: Frames a second.
        phase_s: Time of the first frame.
        delay_s: From capture to arrival.
        clock_s: What its clock shows too much at the beginning.
        drift: How much faster its clock runs, as a share.
    """

    rate_hz: float = 60.0
    phase_s: float = 0.0
    delay_s: float = 0.0
    clock_s: float = 0.0
    drift: float = 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Person:
    """A moving person: a piece of a clip, placed in the volume, there for a while."""

    clip: MotionClip
    start_s: float
    place_m: np.ndarray
    angle: float
    since_s: float = 0.0
    until_s: float = np.inf
    speed: float = 1.0


@dataclass(frozen=True, kw_only=True, eq=False)
class SceneFrame:
    """One frame of one camera, and who is who in it."""

    camera: str
    t_ns: int
    stamp_ns: int
    arrival_ns: int
    keypoints: np.ndarray
    who: list[int]
    lifts: MonocularLifts | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """Cameras, people and all frames in the order of arrival."""

    cameras: dict[str, Camera]
    people: list[Person]
    frames: list[SceneFrame] = field(default_factory=list)

    def truth(self, t_s: float | np.ndarray) -> np.ndarray:
        """Joints of everybody [person, time, 17, 3], NaN where they are not there."""
        times = np.atleast_1d(np.asarray(t_s, np.float64))
        return np.stack([joints_of(person, times) for person in self.people])


@lru_cache(maxsize=1)
def mocap() -> Mocap:
    """The validation clips without avatars of one rig."""
    return read_mocap(MOCAP, "val", sources=("bandai1", "bandai2", "cmu"))


def joints_of(person: Person, t_s: np.ndarray) -> np.ndarray:
    """Joints [time, 17, 3] of a person; a clip that ends is played backwards."""
    clip = person.clip
    at_s = person.start_s + (t_s - max(person.since_s, 0.0)) * person.speed
    at_s = clip.duration_s - np.abs(np.mod(at_s, 2 * clip.duration_s) - clip.duration_s)
    place = np.clip(at_s, 0, clip.duration_s) * clip.fps
    joints = interpolate(mocap(), np.array([[clip.start]]), place[None])[0].astype(np.float64)
    cos, sin = np.cos(person.angle), np.sin(person.angle)
    turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    joints = joints @ turn.T + person.place_m
    joints[(t_s < person.since_s) | (t_s > person.until_s)] = np.nan
    return joints


def draw_person(
    rng: np.random.Generator,
    centre_m: Sequence[float],
    seconds: float,
    *,
    words: Sequence[str] = (),
    clips: Sequence[MotionClip] | None = None,
) -> Person:
    """A random clip of at least some length whose middle is at a place on the floor."""
    whole = mocap()
    usable = [
        clip
        for clip in (whole.clips if clips is None else clips)
        if clip.duration_s >= min(seconds, 4.0)
        and (not words or any(word in clip.action for word in words))
    ]
    clip = usable[rng.integers(len(usable))]
    start_s = rng.uniform(0, max(clip.duration_s - seconds, 0.0))
    angle = rng.uniform(0, 2 * np.pi)
    still = Person(clip=clip, start_s=start_s, place_m=np.zeros(3), angle=angle)
    joints = joints_of(still, np.linspace(0, seconds, 40))
    middle = joints[:, 0].mean(0)
    place = np.array([centre_m[0] - middle[0], centre_m[1] - middle[1], -joints[..., 2].min()])
    return Person(clip=clip, start_s=start_s, place_m=place, angle=angle)


def ring_of_cameras(
    rng: np.random.Generator,
    count: int,
    *,
    radius_m: float = 4.5,
    angles_deg: Sequence[float] | None = None,
    fov_deg: float = 70.0,
) -> dict[str, Camera]:
    """Cameras around the origin that look at its middle, z up."""
    if angles_deg is None:
        angles_deg = (np.arange(count) * 360 / count + rng.uniform(0, 360)).tolist()
    cameras = {}
    for number, angle in enumerate(np.radians(angles_deg)):
        distance = radius_m * rng.uniform(0.9, 1.15)
        height = rng.uniform(1.2, 2.5)
        centre = np.array([distance * np.cos(angle), distance * np.sin(angle), height])
        aim = np.array([*rng.uniform(-0.2, 0.2, 2), rng.uniform(0.9, 1.1)])
        name = f"cam{number + 1}"
        lens = Intrinsics.from_fov(*SIZE_PX, fov_deg * rng.uniform(0.95, 1.05))
        cameras[name] = camera_looking(name, lens, centre, aim)
    return cameras


def camera_looking(name: str, lens: Intrinsics, centre: np.ndarray, aim: np.ndarray) -> Camera:
    """A level camera at a place that looks at a point."""
    forward = (aim - centre) / np.linalg.norm(aim - centre)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    R_camera_world = np.stack([right, np.cross(forward, right), forward])
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = R_camera_world.T, centre
    return Camera(name=name, intrinsics=lens, T_world_camera=T, gravity=R_camera_world @ [0, 0, -1])


def project(camera: Camera, joints_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Exact pixels without distortion, and depths, of world points."""
    T = camera.T_world_camera
    assert T is not None
    seen = (joints_m - T[:3, 3]) @ T[:3, :3]
    lens = camera.intrinsics
    depth = np.maximum(seen[..., 2], 0.05)
    px = seen[..., :2] / depth[..., None] * [lens.fx_px, lens.fy_px] + [lens.cx_px, lens.cy_px]
    return px, seen[..., 2]


def hidden_half(rng: np.random.Generator, persons: int) -> np.ndarray:
    """For every person the joints of one half of the body [person, 17]."""
    hidden = np.zeros((persons, 17), bool)
    for row in hidden:
        row[list(_UPPER if rng.random() < 0.5 else _LOWER)] = True
    return hidden


def shoot(
    rng: np.random.Generator,
    cameras: dict[str, Camera],
    people: list[Person],
    seconds: float,
    *,
    noise: NoiseConfig = NOISE,
    timing: dict[str, CameraTiming] | None = None,
    half_hidden_from: str | None = None,
    least_seen: float = 0.3,
    lifted: bool = False,
    lift_errors: float = 1.0,
) -> Scene:
    """All frames of all cameras.

    Args:
        rng: Draws the detector's errors.
        cameras: By name.
        people: Who is there.
        seconds: How long.
        noise: The detector.
        timing: Of cameras that are not usual.
        half_hidden_from: A camera that never sees one half of every person.
        least_seen: A person of whom a camera sees less in its picture is not detected.
        lifted: Whether frames bring monocular lifts, wrong as ours are: LIFT_SIGMA_M a joint and
            LIFT_DEPTH of the distance, slowly changing.
        lift_errors: Factor on these errors; 0 for exact lifts.
    """
    frames: list[SceneFrame] = []
    hidden = hidden_half(rng, len(people))
    seeds = rng.integers(2**62, size=len(cameras))  # so that one camera's timing changes no other
    for (name, camera), seed in zip(cameras.items(), seeds, strict=True):
        rng = np.random.default_rng(int(seed))
        when = (timing or {}).get(name, CameraTiming())
        t_s = np.arange(when.phase_s, seconds, 1 / when.rate_hz)
        t_ns = np.rint(t_s * NS_PER_S).astype(np.int64)
        joints = np.stack([joints_of(person, t_s) for person in people])
        there = np.isfinite(joints[..., 0]).all(-1)
        px, depth = project(camera, np.nan_to_num(joints))
        inside = ((px >= 0) & (px < SIZE_PX)).all(-1) & (depth > 0.1)
        stature = 1.7 * camera.intrinsics.fx_px / np.maximum(depth[..., 0], 0.3)
        found = detect(
            rng, px.astype(np.float32), stature.astype(np.float32), inside,
            np.repeat(t_ns[None], len(people), 0), config=noise,
        )  # fmt: skip
        scores = found.scores.copy()
        if half_hidden_from == name:
            scores *= ~hidden[:, None]
        keypoints = np.concatenate([found.joints_px, scores[..., None]], -1).astype(np.float64)
        keypoints[scores <= 0] = 0
        lifts = _lifts(rng, camera, joints, t_ns, lift_errors) if lifted else None
        detected = there & (np.minimum(inside, scores > 0).mean(-1) >= least_seen)
        for index, moment in enumerate(t_ns.tolist()):
            who = rng.permutation(np.flatnonzero(detected[:, index])).tolist()
            stamp = moment + round((when.clock_s + when.drift * moment / NS_PER_S) * NS_PER_S)
            frames.append(
                SceneFrame(
                    camera=name,
                    t_ns=moment,
                    stamp_ns=stamp,
                    arrival_ns=moment + round(when.delay_s * NS_PER_S),
                    keypoints=keypoints[who, index],
                    who=who,
                    lifts=None if lifts is None else _of_frame(lifts, who, index),
                )
            )
    frames.sort(key=lambda frame: (frame.arrival_ns, frame.camera))
    return Scene(cameras=cameras, people=people, frames=frames)


def _lifts(
    rng: np.random.Generator,
    camera: Camera,
    joints: np.ndarray,
    t_ns: np.ndarray,
    errors: float,
) -> MonocularLifts:
    """Monocular lifts [person, frame] of what is there; NaN elsewhere."""
    people, frames = joints.shape[:2]
    dt_s = steps_s(np.repeat(t_ns[None], people, 0))
    wrong = (
        errors * LIFT_SIGMA_M * drift(rng, dt_s, np.full(people, 0.5), (17, 3)).astype(np.float64)
    )
    ratio = 1 + errors * LIFT_DEPTH * (
        0.8 * rng.standard_normal((people, 1, 1))
        + 0.6 * drift(rng, dt_s, np.full(people, 2.0), (1,))
    )
    assert camera.T_world_camera is not None
    centre = camera.T_world_camera[:3, 3]
    pose = joints - joints[:, :, :1] + wrong
    return MonocularLifts(
        pose=pose - pose[:, :, :1],
        sigma_m=np.full((people, frames, 17), LIFT_SIGMA_M),
        root=centre + (joints[:, :, 0] - centre) * ratio,
    )


def _of_frame(lifts: MonocularLifts, who: list[int], index: int) -> MonocularLifts:
    return MonocularLifts(
        pose=lifts.pose[who, index],
        sigma_m=lifts.sigma_m[who, index],
        root=lifts.root[who, index],
    )
