"""Identity switches and ghosts of fused people over seeded scenes of four people and cameras.

Everybody walks about and is lifted by every camera about as well as our model does. In every scene
a camera drops out for half a second, one person is out of everybody's sight for as long, one is
seen by a single camera for a second, and somebody leaves and somebody enters.

python -m tests.benchmarks.fusion_identity --count 20
"""

import argparse
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from langpose_rt.config import NS_PER_S
from langpose_rt.fusion.fused_frame import FusedFrame
from tests.benchmarks.fusion_accuracy import fused_frames
from tests.benchmarks.fusion_scenes import (
    Person,
    Scene,
    SceneFrame,
    draw_person,
    joints_of,
    mocap,
    ring_of_cameras,
    shoot,
)
from tests.benchmarks.origin import print_report

SECONDS = 10.0
NEAR_M = 0.4
"""A fused person farther than this from everybody, on average over the joints, is a ghost."""

NEAR_ONE_VIEW_M = 1.0
"""Likewise for somebody whom one camera alone sees, and whose distance is the lift's guess."""

NEAREST_M = 0.4
"""Hips of two people come no nearer together."""

DOOR_M = 1.0
"""Somebody who enters or leaves is farther from everybody than this."""

_TRIES = 500
_WALKS = ("walk", "run", "dash", "terrain", "back", "left", "right")


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What became of everybody in a scene.

    Attributes:
        switches: As CLEAR MOT counts them.
        ghost_s: Longest time that a fused person was near nobody.
        missed: Share of the time that somebody whom two cameras detect is not published.
    """

    switches: int
    ghost_s: float
    missed: float


def draw_scene(seed: int, cameras: int = 4, people: int = 4) -> Scene:
    """The scene of a seed."""
    rng = np.random.default_rng([seed, 77])
    rig = ring_of_cameras(rng, cameras, radius_m=5.0)
    moving = [
        clip
        for clip in mocap().clips
        if any(word in clip.action for word in _WALKS) and clip.duration_s > 3
    ]
    for _ in range(_TRIES):
        crowd = []
        for number in range(people):
            spot = rng.uniform(-1.3, 1.3, 2)
            person = draw_person(rng, spot, SECONDS, clips=moving)
            since_s = rng.uniform(2, 4) if number == 1 else 0.0
            until_s = rng.uniform(6, 8) if number == 2 else np.inf
            crowd.append(replace(person, since_s=since_s, until_s=until_s))
        if _is_possible(crowd):
            break
    else:
        raise AssertionError(f"no scene of seed {seed} keeps people apart")
    scene = shoot(rng, rig, crowd, SECONDS, least_seen=0.3, lifted=True)
    return replace(scene, frames=_with_losses(rng, scene))


def _is_possible(crowd: list[Person]) -> bool:
    """Whether nobody walks through somebody else, nor appears or vanishes right beside them."""
    times = np.arange(0, SECONDS, 0.1)
    hips = np.stack([joints_of(person, times)[:, 0, :2] for person in crowd])
    apart = np.linalg.norm(hips[:, None] - hips[None], axis=-1)
    apart[np.arange(len(crowd)), np.arange(len(crowd))] = np.inf
    if np.nanmin(apart) < NEAREST_M:
        return False
    for person, end_s in ((1, crowd[1].since_s), (2, crowd[2].until_s)):
        near = np.abs(times - end_s) < 0.5
        if np.nanmin(apart[person][:, near], initial=np.inf) < DOOR_M:
            return False
    return True


def _with_losses(rng: np.random.Generator, scene: Scene) -> list[SceneFrame]:
    names = list(scene.cameras)
    dead, dead_s = names[rng.integers(len(names))], rng.uniform(1, 8)
    lonely, lonely_s = int(rng.integers(len(scene.people))), rng.uniform(3, 7)
    seeing = names[rng.integers(len(names))]
    gone, gone_s = int(rng.integers(len(scene.people))), rng.uniform(2, 8)
    kept = []
    for frame in scene.frames:
        t_s = frame.t_ns / NS_PER_S
        if frame.camera == dead and dead_s <= t_s < dead_s + 0.5:
            continue
        hidden = set()
        if frame.camera != seeing and lonely_s <= t_s < lonely_s + 1.0:
            hidden.add(lonely)
        if gone_s <= t_s < gone_s + 0.5:
            hidden.add(gone)
        rows = [row for row, who in enumerate(frame.who) if who not in hidden]
        assert frame.lifts is not None
        lifts = frame.lifts.take(np.array(rows, np.intp))
        who = [frame.who[row] for row in rows]
        kept.append(replace(frame, keypoints=frame.keypoints[rows], who=who, lifts=lifts))
    return kept


def judge(scene: Scene, frames: list[FusedFrame]) -> Identity:
    """Compare who is who with the truth."""
    times = np.array([frame.t_ns for frame in frames])
    truth = scene.truth(times / NS_PER_S)
    seen = _seen_by_two(scene, times)
    last: dict[int, int] = {}
    switches, missed, there = 0, 0, 0
    stray: Counter[int] = Counter()
    longest = 0
    for index, frame in enumerate(frames):
        here = [p for p in range(len(truth)) if np.isfinite(truth[p, index]).all()]
        gap = np.full((len(here), len(frame.ids)), np.inf)
        for row, person in enumerate(here):
            away = np.linalg.norm(frame.joints17 - truth[person, index], axis=-1)
            known = np.isfinite(away)
            mean = np.where(known, away, 0.0).sum(1) / np.maximum(known.sum(1), 1)
            gap[row] = np.where(known.any(1), mean, np.inf)
        own = _nearest(gap)
        for row, person in enumerate(here):
            if row in own:
                number = int(frame.ids[own[row]])
                switches += last.get(person, number) != number
                last[person] = number
            there += seen[person, index]
            missed += seen[person, index] and row not in own
        for column, number in enumerate(frame.ids.tolist()):
            limit_m = NEAR_M if frame.cameras[column].sum() > 1 else NEAR_ONE_VIEW_M
            near = bool((gap[:, column] < limit_m).any()) or frame.held_ns[column] > 0
            stray[number] = 0 if near else stray[number] + 1
            longest = max(longest, stray[number])
    period_s = float(np.median(np.diff(times))) / NS_PER_S
    return Identity(switches=switches, ghost_s=longest * period_s, missed=missed / max(there, 1))


def _nearest(gap: np.ndarray) -> dict[int, int]:
    """Pairs of true and fused people, the nearest first, within NEAR_M."""
    pairs: dict[int, int] = {}
    left = gap.copy()
    while left.size and np.nanmin(left) < NEAR_M:
        row, column = np.unravel_index(np.nanargmin(left), left.shape)
        pairs[int(row)] = int(column)
        left[row], left[:, column] = np.inf, np.inf
    return pairs


def _seen_by_two(scene: Scene, times: np.ndarray) -> np.ndarray:
    """Whether two cameras or more detect each person at each time."""
    count = np.zeros((len(scene.people), len(times)), int)
    for frame in scene.frames:
        index = int(np.searchsorted(times, frame.t_ns - 1_000_000))
        if index < len(times) and abs(times[index] - frame.t_ns) < 2_000_000:
            count[frame.who, index] += 1
    return count >= 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--count", type=int, default=20, help="scenes")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    found = {}
    for seed in range(arguments.first, arguments.first + arguments.count):
        scene = draw_scene(seed)
        found[seed] = judge(scene, fused_frames(scene))
    report = {
        "scenes": len(found),
        "switches": sum(one.switches for one in found.values()),
        "seeds with switches": str([seed for seed, one in found.items() if one.switches]),
        "longest ghost s": max(one.ghost_s for one in found.values()),
        "seeds with ghosts over 0.2 s": str([s for s, one in found.items() if one.ghost_s > 0.2]),
        "missed share": float(np.mean([one.missed for one in found.values()])),
    }
    print_report("fusion_identity", report, as_json=arguments.json)


if __name__ == "__main__":
    main()
