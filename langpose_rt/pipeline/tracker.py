"""Tracker: assigns ids from frame to frame to people whose rig does not track them.

Works on 2D joints in image sizes. Slots, windows and the ids of rigs are in `camera_stream.py`.
"""

from collections import deque
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment

from langpose_rt.config import NS_PER_S, NUM_JOINTS

GATE_BODIES = 0.6
"""Detections further apart than this many body sizes are two people, in the next frame."""

GATE_BODIES_PER_S = 1.2
"""Growth of the gate for every second out of sight."""

SMALLEST_BODY = 0.03
"""Smallest body size, in image sizes."""

_CAP_BODIES = 2.0
_VELOCITY_SMOOTHING_S = 0.12
_VELOCITY_MEMORY_S = 0.4
_SIZE_SMOOTHING_S = 0.5
_JOINTS_FOR_A_SIZE = 6
_MOST_TRACKS = 128
_NO_MATCH = 1e6

FLEETING_FRAMES = 10
"""Ids do not last if in so many frames in a row more than half were in none of as many before."""

TRACK = np.dtype(
    [
        ("id", np.int64),
        ("time_ns", np.int64),
        ("joints", np.float64, (NUM_JOINTS, 2)),
        ("known", np.bool_, (NUM_JOINTS,)),
        ("velocity", np.float64, (2,)),
        ("size", np.float64),
    ]
)
"""A track: one person as last seen.

    joints      last position of every joint; those out of sight are carried along
    known       joints that were ever seen
    velocity    of the whole body, per second
    size        usual spread of the joints, smoothed
"""


class IdTrust:
    """Watches whether the ids of a rig last from frame to frame.

    Attributes:
        lasting: False once they have not, for good.
    """

    def __init__(self) -> None:
        self.lasting = True
        self._before: deque[frozenset[int]] = deque(maxlen=FLEETING_FRAMES)
        self._fleeting = 0

    def follow(self, ids: Sequence[int]) -> None:
        """Note the ids of one frame; -1 is none."""
        if not self.lasting:
            return
        now = frozenset(ids) - {-1}
        if not now or (self._before and now == self._before[-1]):
            self._fleeting = 0 if now else self._fleeting
            return
        if self._before:
            new = now.difference(*self._before)
            self._fleeting = self._fleeting + 1 if 2 * len(new) > len(now) else 0
            self.lasting = self._fleeting < FLEETING_FRAMES
        self._before.append(now)


class Tracker:
    """Assigns every untracked person the id of the same person in earlier frames.

    People are matched to where their last motion would have taken them, by the mean distance of
    their joints in body sizes, all at once so that the sum is least.

    Args:
        new_id: Returns an unused id.
        memory_s: Longest time out of sight after which a person keeps the id.

    Source: ours; the assignment is SciPy's.
    """

    def __init__(self, new_id: Callable[[], int], memory_s: float) -> None:
        self._new_id, self._memory_ns = new_id, round(memory_s * NS_PER_S)
        self._tracks = np.empty(0, TRACK)

    def ids_of(
        self,
        joints: Float[np.ndarray, "person 17 3"],
        time_ns: int,
        before_ns: int | None = None,
    ) -> list[int]:
        """Return the id of every person of one frame.

        Args:
            joints: x, y in image sizes, and score; score 0 is missing. Every person has a joint.
            time_ns: Capture time; rises from call to call.
            before_ns: That of the frame before, whose people are matched however long ago.
        """
        tracks, since_ns = self._tracks, time_ns - self._memory_ns
        if len(tracks):
            since_ns = since_ns if before_ns is None else min(since_ns, before_ns)
            tracks = tracks[tracks["time_ns"] >= since_ns]
        seen = np.zeros(len(joints), TRACK)
        seen["time_ns"], seen["joints"], seen["known"] = (
            time_ns,
            joints[..., :2],
            joints[..., 2] > 0,
        )
        seen["size"] = _spread(seen["joints"], seen["known"])
        old, person = _matches(tracks, seen)
        seen["id"][person] = tracks["id"][old]
        known = np.zeros(len(seen), bool)
        known[person] = True
        seen["id"][~known] = [self._new_id() for _ in range(len(seen) - len(person))]
        if len(person):
            seen[person] = _updated(tracks[old], seen[person])
        lost = np.delete(tracks, old)
        if len(lost) + len(seen) > _MOST_TRACKS:
            latest = np.argsort(lost["time_ns"], kind="stable")
            lost = lost[latest[len(lost) + len(seen) - _MOST_TRACKS :]]
        self._tracks = np.concatenate([lost, seen]) if len(lost) else seen
        ids: list[int] = seen["id"].tolist()
        return ids

    def owns(self, number: int) -> bool:
        """Return True if a track has this id."""
        return bool((self._tracks["id"] == number).any())

    def rename(self, number: int, other: int) -> None:
        """Change the id of a track."""
        self._tracks["id"][self._tracks["id"] == number] = other


def _spread(joints: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the body size: twice the RMS distance of the joints from their centre."""
    weight = known[..., None] / np.maximum(known.sum(-1), 1)[:, None, None]
    centre = (weight * joints).sum(-2, keepdims=True)
    variance = (weight * (joints - centre) ** 2).sum((-1, -2))
    return np.asarray(np.maximum(2 * np.sqrt(variance), SMALLEST_BODY))


def _matches(tracks: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Match tracks and people; return two arrays of indices."""
    if not len(tracks) or not len(seen):
        return np.empty(0, np.intp), np.empty(0, np.intp)
    age_s = (seen["time_ns"][0] - tracks["time_ns"]) / NS_PER_S
    travelled_s = _VELOCITY_MEMORY_S * (1 - np.exp(-age_s / _VELOCITY_MEMORY_S))
    predicted = tracks["joints"] + (tracks["velocity"] * travelled_s[:, None])[:, None]
    cost = _distance(predicted, tracks, seen)
    cost[cost > (GATE_BODIES + GATE_BODIES_PER_S * age_s)[:, None]] = _NO_MATCH
    if cost.size == 1:
        old = person = np.zeros(1, np.intp)
    else:
        old, person = linear_sum_assignment(cost)
    near = cost[old, person] < _NO_MATCH
    return old[near], person[near]


def _distance(predicted: np.ndarray, tracks: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Return the cost [track, person]: mean distance of common joints in body sizes."""
    sizes, size = tracks["size"][:, None], seen["size"][None]
    away = predicted[:, None] - seen["joints"][None]
    bodies = np.sqrt((away * away).sum(-1)) / np.maximum(sizes, size)[..., None]
    both = tracks["known"][:, None] & seen["known"][None]
    shared = both.sum(-1)
    mean = (np.minimum(bodies, _CAP_BODIES) * both).sum(-1) / np.maximum(shared, 1)
    return np.asarray(np.where(shared > 0, mean, _NO_MATCH))


def _updated(tracks: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Return the tracks updated by the people matched to them, one row each."""
    now = seen.copy()
    dt_s = np.maximum((seen["time_ns"] - tracks["time_ns"]) / NS_PER_S, 1e-6)[:, None]
    both = (seen["known"] & tracks["known"])[..., None]
    steps = (seen["joints"] - tracks["joints"]) * both
    moved = steps.sum(1) / np.maximum(both.sum(1), 1)
    share = dt_s / (dt_s + _VELOCITY_SMOOTHING_S)
    now["id"] = tracks["id"]
    now["velocity"] = tracks["velocity"] + share * (moved / dt_s - tracks["velocity"])
    carried = tracks["joints"] + moved[:, None]
    now["joints"] = np.where(seen["known"][..., None], seen["joints"], carried)
    now["known"] |= tracks["known"]
    share = dt_s[:, 0] / (dt_s[:, 0] + _SIZE_SMOOTHING_S)
    share = np.where(seen["known"].sum(-1) < _JOINTS_FOR_A_SIZE, 0, share)
    now["size"] = tracks["size"] + share * (seen["size"] - tracks["size"])
    return now
