"""People from motion capture who walk past each other in front of a camera, as a detector sees it.

A crossing is drawn from a seed: who, from where, how fast, the camera, the detector, and what it
makes of people who hide each other. The truth about who is who is kept beside every detection.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from langpose_rt.config import NS_PER_S
from langpose_rt.geometry.skeleton import BONES
from training.data.mocap import Mocap, MotionClip, read_mocap
from training.synthesis.cameras import IMAGE_SIZES_PX, project, to_camera
from training.synthesis.detector_noise import NoiseConfig, detect
from training.synthesis.motion_windows import interpolate

MOCAP = Path(__file__).parents[1] / ".." / "shared" / "data" / "mocap"
LONGEST_OCCLUSION_S = 0.5
DURATION_S = 3.0

_MOVING = ("walk", "run", "dash", "back", "left", "right", "terrain")
_SLOWEST_M_S, _STRAIGHTEST = 0.5, 0.9
_RATES_HZ = (25.0, 30.0, 50.0, 60.0)
_LIMB_RADIUS_M, _TRUNK_RADIUS_M = 0.07, 0.14
_TRUNK = (0, 1, 4, 7, 8, 11, 14)
_TRUNK_SIDES = ((1, 11), (1, 14), (4, 11), (4, 14))
_NOISE = NoiseConfig(strongest=2.0, clean=0.0)
_TRIES = 200


@dataclass(frozen=True, kw_only=True)
class Crossing:
    """What a detector reports of one crossing.

    Attributes:
        size_px: Width and height of the image.
        time_ns: Capture time of every frame.
        people: Of every frame: who each detection is, in the order they are reported.
        keypoints: Of every frame, [person, 17, 3]: x and y in pixels and score.
        occlusion_s: Longest time that somebody is not detected at all.
    """

    size_px: tuple[int, int]
    time_ns: list[int]
    people: list[list[int]]
    keypoints: list[np.ndarray]
    occlusion_s: float


def read_walkers(folder: Path = MOCAP) -> Mocap:
    """The validation clips in which somebody goes somewhere."""
    return read_mocap(folder, "val", sources=("bandai1", "bandai2", "cmu"))


def switches(crossing: Crossing, ids: Sequence[Sequence[int]]) -> int:
    """Identity switches as CLEAR MOT counts them (IDSW).

    One for every detection of a person whose id is not that of the same person's detection before,
    however long ago. Two people who exchange their ids are two switches.

    Source: Bernardin and Stiefelhagen 2008, mismatches; the correspondence is known here.
    """
    last: dict[int, int] = {}
    count = 0
    for people, found in zip(crossing.people, ids, strict=True):
        for person, number in zip(people, found, strict=True):
            count += last.get(person, number) != number
            last[person] = number
    return count


def draw_crossing(mocap: Mocap, seed: int) -> Crossing:
    """The crossing of a seed: drawn again until everybody is in view and occlusions are short."""
    for attempt in range(_TRIES):
        crossing = _draw(np.random.default_rng([seed, attempt]), mocap)
        if crossing is not None:
            return crossing
    raise AssertionError(f"no crossing of seed {seed} fits into the view")


@dataclass(frozen=True, kw_only=True)
class _Scene:
    """What is to be seen: camera axes in metres, exact pixels, and which of them lie in view."""

    size_px: tuple[int, int]
    focal_px: np.float32
    time_ns: np.ndarray
    seen_m: np.ndarray
    exact_px: np.ndarray
    inside: np.ndarray


def _draw(rng: np.random.Generator, mocap: Mocap) -> Crossing | None:
    scene = _scene(rng, mocap)
    if not _is_passed(scene.exact_px) or not _is_in_view(scene):
        return None
    keypoints, hidden = _detections(rng, scene)
    detected = (keypoints[..., 2] > 0).mean(2) >= rng.uniform(0.15, 0.5)
    detected &= ~_suppressed(scene, most_overlap=rng.uniform(0.3, 0.9))
    frame_s = float(scene.time_ns[1]) / NS_PER_S
    occlusion_s = max(_longest_run(~there) for there in detected) * frame_s
    if occlusion_s > LONGEST_OCCLUSION_S or not hidden.any():
        return None
    orders = [rng.permutation(np.flatnonzero(there)) for there in detected.T]
    return Crossing(
        size_px=scene.size_px,
        time_ns=scene.time_ns.tolist(),
        people=[order.tolist() for order in orders],
        keypoints=[keypoints[order, frame] for frame, order in enumerate(orders)],
        occlusion_s=occlusion_s,
    )


def _scene(rng: np.random.Generator, mocap: Mocap) -> _Scene:
    persons, rate_hz = int(rng.integers(2, 4)), float(rng.choice(_RATES_HZ))
    time_ns = np.arange(int(DURATION_S * rate_hz), dtype=np.int64) * round(NS_PER_S / rate_hz)
    size_px, distance_m = IMAGE_SIZES_PX[rng.integers(4)], rng.uniform(3.0, 8.0)
    walks_m = [_walk(rng, mocap, time_ns) for _ in range(persons)]
    rotation, place_m = _camera(rng, distance_m)
    focal_px = np.float32(max(size_px) / 2 / np.tan(np.radians(rng.uniform(50, 85) / 2)))
    each = np.ones((persons, 1, 1))
    seen_m = to_camera(
        _past_each_other(rng, walks_m, distance_m), each * rotation, each[:, 0] * place_m
    )
    centres_px = each[:, 0] * np.array(size_px) / 2
    exact_px = project(seen_m, np.full(persons, focal_px), centres_px)
    inside = ((exact_px >= 0) & (exact_px < np.array(size_px))).all(-1)
    return _Scene(
        size_px=size_px,
        focal_px=focal_px,
        time_ns=time_ns,
        seen_m=seen_m,
        exact_px=exact_px,
        inside=inside,
    )


def _is_in_view(scene: _Scene) -> bool:
    return bool(scene.seen_m[..., 2].min() > 0.8 and scene.inside.mean(2).min() >= 0.6)


def _detections(rng: np.random.Generator, scene: _Scene) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints [person, frame, 17, 3], and which joints are not seen for somebody in front."""
    shown_px, hidden = _hide(rng, scene)
    stature_px = 1.7 * scene.focal_px / scene.seen_m[:, :, 0, 2]
    times = np.repeat(scene.time_ns[None], len(shown_px), 0)
    found = detect(rng, shown_px, stature_px, scene.inside, times, config=_NOISE)
    scores = np.where(hidden, 0, found.scores).astype(np.float32)
    return np.concatenate([found.joints_px, scores[..., None]], -1), hidden


def _walk(rng: np.random.Generator, mocap: Mocap, time_ns: np.ndarray) -> np.ndarray:
    """Somebody who walks straight on, [frame, 17, 3]: towards +x, at the origin half-way."""
    while True:
        clip = mocap.clips[rng.integers(len(mocap.clips))]
        if not any(word in clip.action for word in _MOVING):
            continue
        speed = rng.uniform(0.8, 1.3)
        joints_m = _window(rng, mocap, clip, time_ns / NS_PER_S * speed)
        if joints_m is None:
            continue
        path_m = joints_m[:, 0, :2]
        way_m = path_m[-1] - path_m[0]
        gone_m = np.linalg.norm(way_m)
        length_m = np.linalg.norm(np.diff(path_m, axis=0), axis=1).sum()
        if gone_m >= _SLOWEST_M_S * DURATION_S and gone_m >= _STRAIGHTEST * length_m:
            return _turned(
                joints_m - _floor_place(joints_m), -float(np.arctan2(way_m[1], way_m[0]))
            )


def _window(
    rng: np.random.Generator, mocap: Mocap, clip: MotionClip, run_s: np.ndarray
) -> np.ndarray | None:
    room_s = clip.duration_s - run_s[-1]
    if room_s < 0:
        return None
    place = (rng.uniform(0, room_s) + run_s) * clip.fps
    return interpolate(mocap, np.array([[clip.start]]), place[None])[0]


def _floor_place(joints_m: np.ndarray) -> np.ndarray:
    """Where on the floor the person is half-way."""
    middle_m = joints_m[len(joints_m) // 2, 0]
    return np.array([middle_m[0], middle_m[1], joints_m[..., 2].min()], np.float32)


def _turned(joints_m: np.ndarray, angle: float) -> np.ndarray:
    """About the vertical."""
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    x, y, z = np.moveaxis(joints_m, -1, 0)
    return np.stack([cos * x - sin * y, sin * x + cos * y, z], -1)


def _past_each_other(
    rng: np.random.Generator, walks_m: Sequence[np.ndarray], distance_m: float
) -> np.ndarray:
    """Everybody on a line of sight at about half time, one behind the other, on different ways.

    The camera looks along +y; ways go to the left and to the right by turns, up to 50 degrees
    towards the camera or away from it, and the third person crosses earlier or later.
    """
    depth_m, placed_m = 0.0, []
    first = rng.integers(2)
    for number, walk_m in enumerate(walks_m):
        way = np.radians(rng.uniform(-50, 50)) + np.pi * ((number + first) % 2)
        moved_m = _turned(walk_m, way)
        aside_m = rng.uniform(-0.2, 0.2) if number < 2 else rng.choice([-1, 1]) * 0.6
        place_m = np.array([aside_m, depth_m, 0], np.float32)
        placed_m.append(moved_m + place_m)
        depth_m += rng.uniform(0.4, 1.2) * (distance_m / 5)
    return np.stack(placed_m)[rng.permutation(len(placed_m))]


def _camera(rng: np.random.Generator, distance_m: float) -> tuple[np.ndarray, np.ndarray]:
    """Rotation (world to camera) and place of a camera that looks along +y at the crossing."""
    place_m = np.array([0.0, -distance_m, rng.uniform(0.8, 2.5)])
    aim_m = np.array([rng.uniform(-0.3, 0.3), 0.4, 0.9])
    forward = (aim_m - place_m) / np.linalg.norm(aim_m - place_m)
    right = np.cross(forward, np.array([0.0, 0.0, 1.0]))
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(forward, right), forward]), place_m


def _hide(rng: np.random.Generator, scene: _Scene) -> tuple[np.ndarray, np.ndarray]:
    """What the detector makes of joints behind somebody else: missing, guessed, or the other's.

    Returns:
        Where it sees every joint, and which it does not see.
    """
    exact_px, depth_m = scene.exact_px, scene.seen_m[:, :, 0, 2]
    shown_px, hidden = exact_px.copy(), np.zeros(exact_px.shape[:3], bool)
    for behind in range(len(exact_px)):
        missing = rng.random(17) < rng.uniform(0.3, 1.0)
        stolen = rng.random(17) < rng.uniform(0, 0.4)
        for front in range(len(exact_px)):
            covered = _covered(exact_px[behind], exact_px[front], scene.focal_px / depth_m[front])
            covered &= (depth_m[front] < depth_m[behind])[:, None]
            hidden[behind] |= covered & missing
            taken = covered & ~missing & stolen
            shown_px[behind][taken] = exact_px[front][taken]
    return shown_px, hidden


def _covered(joints_px: np.ndarray, front_px: np.ndarray, px_per_m: np.ndarray) -> np.ndarray:
    """Which joints [frame, 17] lie behind a body made of bones with thickness."""
    covered = np.zeros(joints_px.shape[:2], bool)
    for start, end in (*BONES, *_TRUNK_SIDES):
        radius_m = _TRUNK_RADIUS_M if start in _TRUNK and end in _TRUNK else _LIMB_RADIUS_M
        origin_px = front_px[:, start, None]
        bone_px = front_px[:, end, None] - origin_px
        along = ((joints_px - origin_px) * bone_px).sum(-1) / ((bone_px**2).sum(-1) + 1e-6)
        nearest_px = origin_px + np.clip(along, 0, 1)[..., None] * bone_px
        away_px = np.linalg.norm(joints_px - nearest_px, axis=-1)
        covered |= away_px < (radius_m * px_per_m)[:, None]
    return covered


def _suppressed(scene: _Scene, most_overlap: float) -> np.ndarray:
    """Who [person, frame] a detector takes for the person in front, their boxes being one."""
    low, high, depth_m = scene.exact_px.min(2), scene.exact_px.max(2), scene.seen_m[:, :, 0, 2]
    area = (high - low).prod(-1)
    suppressed = np.zeros(area.shape, bool)
    for behind in range(len(area)):
        for front in range(len(area)):
            sides = np.minimum(high[behind], high[front]) - np.maximum(low[behind], low[front])
            shared = np.maximum(sides, 0).prod(-1)
            overlap = shared / (area[behind] + area[front] - shared)
            suppressed[behind] |= (depth_m[front] < depth_m[behind]) & (overlap > most_overlap)
    return suppressed


def _is_passed(exact_px: np.ndarray) -> bool:
    """Whether at least two people change sides in the image."""
    across_px = exact_px[:, :, 0, 0]
    return bool((np.argsort(across_px[:, 0]) != np.argsort(across_px[:, -1])).any())


def _longest_run(flags: np.ndarray) -> int:
    """Length of the longest run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(int), [0]])))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def alone(crossing: Crossing, *, lost_s: float) -> Crossing:
    """Only the first person of a crossing, whom the detector loses half-way for a while."""
    half_ns, lost_ns = crossing.time_ns[-1] // 2, round(lost_s * NS_PER_S)
    kept = [
        [0] if 0 in people and abs(2 * (ns - half_ns)) > lost_ns else []
        for ns, people in zip(crossing.time_ns, crossing.people, strict=True)
    ]
    keypoints = [
        found[[people.index(0)] if there else []]
        for there, people, found in zip(kept, crossing.people, crossing.keypoints, strict=True)
    ]
    return replace(crossing, people=kept, keypoints=keypoints)
