"""Reader of the mocap folder: one npz per split and source, described by index.json.

Gives joints in metres in a z-up world. Drawing windows from them is motion.py's work, changing
bodies is bodies.py's.
"""

import functools
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int64

from langpose_rt.errors import ConfigError
from training.data.pose_groups import ACTION_WORDS, groups_of_description, pose_groups

SOURCE_SHARES: Mapping[str, float] = {
    "cmu": 0.30,
    "cmu2": 0.30,
    "cmudm": 0.06,
    "hdm05": 0.14,
    "deepmimic": 0.11,
    "reactidle": 0.09,
    "bandai1": 0.25,
    "bandai2": 0.20,
    "sie": 0.08,
}
"""Relative share of the training clips per source. Source: ours; variety counts, not minutes."""

_OTHER_SHARE = 0.10

MOST_SUBJECT_SHARE = 0.08
"""A subject who would be more of the clips drawn is drawn less often."""

HELD_OUT_SUBJECTS = frozenset({"hdm05_dg", "cmu_86", "cmu_139", "cmu_140"})
"""Subjects of the second benchmark: of the split "train" on file, and never trained on.

The validation split hardly has seated, kneeling or lying people; these have.
"""

HELD_OUT = "held-out"
"""Name of the split of those subjects."""

_MOMENT_STEP_S = 0.1

_MIRRORED = {
    "left": "right",
    "right": "left",
    "clockwise": "counterclockwise",
    "counterclockwise": "clockwise",
}
_SIDED = re.compile(rf"\b({'|'.join(_MIRRORED)})\b", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class MotionClip:
    """Metadata of one clip, and its place in Mocap.joints_m."""

    name: str
    source: str
    licence: str
    text: str
    action: str
    subject: str
    fps: float
    start: int
    frames: int

    @property
    def duration_s(self) -> float:
        """Time between the first and the last frame."""
        return (self.frames - 1) / self.fps


@dataclass(frozen=True, kw_only=True)
class Mocap:
    """All clips of a split in one array.

    World frame: right-handed, z up, metres; joints in Human3.6M order.
    """

    joints_m: Float32[np.ndarray, "frame 17 3"]
    clips: tuple[MotionClip, ...]

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources, sorted."""
        return tuple(sorted({clip.source for clip in self.clips}))

    @property
    def licences(self) -> dict[str, str]:
        """Licence sentence of every source."""
        return {clip.source: clip.licence for clip in sorted(self.clips, key=lambda c: c.source)}

    @functools.cached_property
    def texts(self) -> tuple[str, ...]:
        """Sentences of the clips and of their mirror images, each once, sorted."""
        own = {clip.text for clip in self.clips}
        return tuple(sorted(own | {mirrored_text(text) for text in own}))

    @functools.cached_property
    def clip_probabilities(self) -> Float64[np.ndarray, " clip"]:
        """Chance of every clip: by source, in a source by the root of an action's frames.

        Inside an action clips count by their length. So one actor's thousand walks cannot drown
        the rest. A subject's clips together are at most about MOST_SUBJECT_SHARE.
        """
        action_frames: dict[tuple[str, str], int] = defaultdict(int)
        for clip in self.clips:
            action_frames[clip.source, clip.action] += clip.frames
        source_roots: dict[str, float] = defaultdict(float)
        for (source, _), frames in action_frames.items():
            source_roots[source] += frames**0.5
        chances = np.array(
            [
                SOURCE_SHARES.get(clip.source, _OTHER_SHARE)
                * (action_frames[clip.source, clip.action] ** -0.5 * clip.frames)
                / source_roots[clip.source]
                for clip in self.clips
            ]
        )
        chances /= chances.sum()
        people: dict[str, float] = defaultdict(float)
        for clip, chance in zip(self.clips, chances, strict=True):
            people[clip.subject] += chance
        chances *= [
            1.0 if "unknown" in clip.subject else min(1, MOST_SUBJECT_SHARE / people[clip.subject])
            for clip in self.clips
        ]
        return np.asarray(chances / chances.sum())

    @functools.cached_property
    def moments(self) -> tuple["GroupMoments", ...]:
        """Moments of every pose group that occurs, a tenth of a second apart."""
        clip, moment_s = self._moments()
        fps = np.array([one.fps for one in self.clips])[clip]
        start = np.array([one.start for one in self.clips])[clip]
        member = pose_groups(self.joints_m[start + np.round(moment_s * fps).astype(int)])
        named = [groups_of_description(one.text) for one in self.clips]
        for group in ACTION_WORDS:
            member[group] = np.array([group in groups for groups in named])[clip]
        return tuple(
            _group_moments(self, group, clip[inside], moment_s[inside])
            for group, inside in member.items()
            if inside.any()
        )

    def _moments(self) -> tuple[Int64[np.ndarray, " moment"], Float64[np.ndarray, " moment"]]:
        """Clip and time of moments a tenth of a second apart, in all clips."""
        times = [np.arange(0, clip.duration_s, _MOMENT_STEP_S) for clip in self.clips]
        clip = np.repeat(np.arange(len(times)), [len(one) for one in times])
        return clip.astype(np.int64), np.concatenate(times)


@dataclass(frozen=True, kw_only=True)
class GroupMoments:
    """Moments of one pose group, and how often each is drawn."""

    group: str
    clip: Int64[np.ndarray, " moment"]
    moment_s: Float64[np.ndarray, " moment"]
    chance: Float64[np.ndarray, " moment"]


def _group_moments(
    mocap: Mocap,
    group: str,
    clip: Int64[np.ndarray, " moment"],
    moment_s: Float64[np.ndarray, " moment"],
) -> GroupMoments:
    """Give every moment a chance that falls with the root of how much its action and subject show.

    The same rule as for clips: one recording of a long sit does not drown the other sits.
    """
    keys = [(mocap.clips[index].action, mocap.clips[index].subject) for index in clip]
    count = Counter(keys)
    chance = np.array([count[key] ** -0.5 for key in keys])
    return GroupMoments(group=group, clip=clip, moment_s=moment_s, chance=chance / chance.sum())


def mirrored_text(text: str) -> str:
    """Return the sentence of the mirror image of a motion."""
    return _SIDED.sub(lambda found: _MIRRORED[found.group().lower()], text)


def is_commercial(licence: str) -> bool:
    """Return whether a licence allows commercial use (no Creative Commons NC term)."""
    return "-NC" not in licence.upper()


def read_mocap(
    folder: Path,
    split: str,
    *,
    commercial_only: bool = False,
    sources: Iterable[str] | None = None,
) -> Mocap:
    """Read every wanted clip of one split into memory.

    Args:
        folder: Holds index.json and the npz files it names.
        split: "train", "val", or HELD_OUT for the subjects kept from "train".
        commercial_only: Leave out what may not be used commercially.
        sources: Names to keep; None keeps all.

    Raises:
        ConfigError: If the folder, a file or a key is missing, or nothing is left.
    """
    index = _read_index(folder)
    kept = None if sources is None else set(sources)
    subjects = _recovered_subjects(folder)
    chosen = [
        entry
        for entry in index["clips"]
        if _split_of(entry, subjects) == split
        and (not commercial_only or is_commercial(entry["licence"]))
        and (kept is None or entry["source"] in kept)
    ]
    if not chosen:
        raise ConfigError(f'no clip of split "{split}" is left in {folder}; check --sources')
    names = sorted({entry["file"] for entry in chosen})
    files = {name: _read_joints_m(folder / name, index["pose_scale"]) for name in names}
    parts = [
        files[entry["file"]][entry["start"] : entry["start"] + entry["frames"]] for entry in chosen
    ]
    starts = np.cumsum([0] + [len(part) for part in parts])
    clips = (
        _clip_from_entry(entry, int(at), subjects)
        for entry, at in zip(chosen, starts, strict=False)
    )
    return Mocap(joints_m=np.concatenate(parts), clips=tuple(clips))


def _read_index(folder: Path) -> dict[str, Any]:
    path = folder / "index.json"
    try:
        index = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"cannot read {path}: {error}; expected the mocap folder with index.json and its npz"
        ) from error
    if not isinstance(index, dict) or "clips" not in index or "pose_scale" not in index:
        raise ConfigError(f'{path} has no "clips" and "pose_scale"; is it a mocap index?')
    return index


def _recovered_subjects(folder: Path) -> dict[str, str]:
    """Subjects of clips whose entry does not know them, from trial_map.json where there is one."""
    path = folder / "trial_map.json"
    if not path.exists():
        return {}
    try:
        trials = json.loads(path.read_text())["clips"]
        return {name: f"cmu_{trial['trial'].split('_')[0]}" for name, trial in trials.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ConfigError(
            f'cannot read {path}: {error}; expected "clips" with a "trial" each, or no such file'
        ) from error


def _read_joints_m(path: Path, pose_scale: float) -> Float32[np.ndarray, "frame 17 3"]:
    try:
        with np.load(path) as file:
            pose, root_m = file["pose"], file["root"]
    except (OSError, KeyError, ValueError) as error:
        raise ConfigError(
            f"cannot read {path}: {error}; expected pose int16 (N,17,3) and root float32 (N,3)"
        ) from error
    return np.asarray(pose.astype(np.float32) * np.float32(pose_scale) + root_m[:, None])


def _clip_from_entry(
    entry: Mapping[str, Any], start: int, subjects: Mapping[str, str]
) -> MotionClip:
    return MotionClip(
        name=entry["id"],
        source=entry["source"],
        licence=entry["licence"],
        text=entry["text"],
        action=entry["action"],
        subject=_subject_of(entry, subjects),
        fps=float(entry["fps"]),
        start=start,
        frames=int(entry["frames"]),
    )


def _subject_of(entry: Mapping[str, Any], subjects: Mapping[str, str]) -> str:
    return subjects.get(entry["id"], str(entry.get("subject", "")))


def _split_of(entry: Mapping[str, Any], subjects: Mapping[str, str]) -> str:
    """Return the split of a clip, held-out subjects apart."""
    if entry["split"] == "train" and _subject_of(entry, subjects) in HELD_OUT_SUBJECTS:
        return HELD_OUT
    return str(entry["split"])
