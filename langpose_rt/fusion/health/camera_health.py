"""Notice cameras that have moved or never fitted, and cameras that fall asleep or wake up.

Some ten times a second each camera has a distance: the median one of its rays from the joints of
the people. A camera whose distance stays well above what it used to be, and is the worst of all,
has probably been moved: its calibration no longer holds. One that is far off from the beginning,
while others agree, has a wrong calibration or a mirrored picture.
"""

from collections import deque
from statistics import median

import numpy as np
from jaxtyping import Bool, Float

from langpose_rt.config import NS_PER_S
from langpose_rt.fusion.camera_array import CameraArray
from langpose_rt.fusion.fused_frame import VolumeEvent

RISES = 2.5
"""A camera has moved if its distance is this many times the usual one."""

LEAST_RISE_M = 0.02
"""And if it has risen by at least so much."""

SPAN_NS = 3 * NS_PER_S // 2
"""For so long."""

STRANGE_M = 0.15
"""A camera whose usual distance is larger, and those of two others less than half, never fitted."""

_LEARN_NS = 3 * NS_PER_S
_LEAST_SAMPLES = 8
_FORGET = 1e-3
_SETTLED = 1.5
_ASLEEP_NS = NS_PER_S


class CameraHealth:
    """Distances of the cameras of one volume over time."""

    def __init__(self, cameras: CameraArray) -> None:
        count = len(cameras)
        self._names = cameras.names
        self._recent: list[deque[tuple[int, float]]] = [deque() for _ in range(count)]
        self._usual_m = np.full(count, np.nan)
        self._learning: list[list[float]] = [[] for _ in range(count)]
        self._began_ns: int | None = None
        self._moved = np.zeros(count, bool)
        self._strange = np.zeros(count, bool)
        self._awake_ns: list[int | None] = [None] * count
        self._asleep = np.zeros(count, bool)
        self._now_m = np.full(count, np.nan)

    def recent_m(self) -> Float[np.ndarray, " camera"]:
        """Return the median distance of every camera lately; NaN without enough samples."""
        return self._now_m.copy()

    def usual_m(self) -> Float[np.ndarray, " camera"]:
        """Return the usual distance of every camera; NaN while it is being learnt."""
        return self._usual_m.copy()

    def observe(
        self,
        t_ns: int,
        miss_m: Float[np.ndarray, " camera"],
        awake: np.ndarray,
        *,
        agreement: bool = True,
    ) -> list[VolumeEvent]:
        """Take the distances of one instant.

        Args:
            t_ns: The instant.
            miss_m: Median distance of every camera's rays; NaN without anybody to compare.
            awake: Cameras that had a picture.
            agreement: Whether the cameras agree as a whole; if not, no single one is strange.
        """
        self._began_ns = t_ns if self._began_ns is None else self._began_ns
        events = self._sleepers(t_ns, awake)
        usual_m = self._usual_m.copy()
        now_m = np.full(len(self._names), np.nan)
        for camera, miss in enumerate(miss_m.tolist()):
            recent = self._recent[camera]
            if miss == miss:  # noqa: PLR0124 - NaN
                recent.append((t_ns, miss))
                self._learn(camera, t_ns, miss)
            while recent and recent[0][0] < t_ns - SPAN_NS:
                recent.popleft()
            if len(recent) >= _LEAST_SAMPLES:
                now_m[camera] = median(value for _, value in recent)
        self._now_m = now_m
        learnt = np.isnan(usual_m) & np.isfinite(self._usual_m)
        if agreement:
            events += self._strangers(t_ns, learnt)
        return events + self._movers(t_ns, now_m)

    def _learn(self, camera: int, t_ns: int, miss: float) -> None:
        usual = self._usual_m[camera]
        if np.isnan(usual):
            learning = self._learning[camera]
            learning.append(miss)
            assert self._began_ns is not None
            if t_ns - self._began_ns >= _LEARN_NS and len(learning) >= 2 * _LEAST_SAMPLES:
                self._usual_m[camera] = np.median(learning)
                learning.clear()
        elif not self._moved[camera] and miss < RISES * usual:
            self._usual_m[camera] += _FORGET * (miss - usual)

    def _strangers(self, t_ns: int, learnt: Bool[np.ndarray, " camera"]) -> list[VolumeEvent]:
        """Tell cameras that never fitted, of those whose usual distance has just been learnt.

        It is forgotten then, and learnt again until they fit.
        """
        events = []
        near = int((self._now_m < 0.5 * STRANGE_M).sum())
        for camera in np.flatnonzero(learnt).tolist():
            name, off_m = self._names[camera], float(self._usual_m[camera])
            if max(off_m, float(self._now_m[camera])) > STRANGE_M and near >= 2:
                self._usual_m[camera] = np.nan
                if not self._strange[camera]:
                    events.append(self._stranger(camera, t_ns, off_m))
                self._strange[camera] = True
            elif self._strange[camera]:
                self._strange[camera] = False
                events.append(_settled(name, t_ns, off_m))
        return events

    def _stranger(self, camera: int, t_ns: int, off_m: float) -> VolumeEvent:
        name = self._names[camera]
        return VolumeEvent(
            kind="no_agreement",
            t_ns=t_ns,
            camera=name,
            detail=f"camera {name} is {1000 * off_m:.0f} mm off the others since it began; its "
            "calibration is probably of another camera, its picture mirrored, or its clock "
            'apart; calibrate again with "langpose-rt calibrate"',
        )

    def _movers(self, t_ns: int, now_m: Float[np.ndarray, " camera"]) -> list[VolumeEvent]:
        rise = now_m / self._usual_m
        risen = (rise > RISES) & (now_m > self._usual_m + LEAST_RISE_M)
        worst = np.nanmax(np.where(np.isfinite(now_m), now_m, -1.0), initial=-1.0)
        events = []
        for camera in np.flatnonzero(risen & ~self._moved & (now_m >= 0.8 * worst)):
            self._moved[camera] = True
            events.append(self._event(int(camera), t_ns, float(now_m[camera])))
        for camera in np.flatnonzero(self._moved & (rise < _SETTLED)):
            self._moved[camera] = False
            events.append(_settled(self._names[camera], t_ns, float(now_m[camera])))
        return events

    def _event(self, camera: int, t_ns: int, now_m: float) -> VolumeEvent:
        name, usual = self._names[camera], 1000 * float(self._usual_m[camera])
        return VolumeEvent(
            kind="camera_moved",
            t_ns=t_ns,
            camera=name,
            detail=f"camera {name} is {1000 * now_m:.0f} mm off the others, usually {usual:.0f} "
            'mm; if it has been moved, calibrate again with "langpose-rt calibrate"',
        )

    def _sleepers(self, t_ns: int, awake: np.ndarray) -> list[VolumeEvent]:
        events = []
        for camera, name in enumerate(self._names):
            last_ns = self._awake_ns[camera]
            if awake[camera]:
                self._awake_ns[camera] = t_ns
                if self._asleep[camera]:
                    self._asleep[camera] = False
                    events.append(
                        VolumeEvent(
                            kind="camera_awake",
                            t_ns=t_ns,
                            camera=name,
                            detail=f"camera {name} sends again",
                        )
                    )
            elif last_ns is not None and not self._asleep[camera] and t_ns - last_ns > _ASLEEP_NS:
                self._asleep[camera] = True
                silent_s = (t_ns - last_ns) / NS_PER_S
                events.append(
                    VolumeEvent(
                        kind="camera_asleep",
                        t_ns=t_ns,
                        camera=name,
                        detail=f"camera {name} has sent nothing for {silent_s:.1f} s; "
                        "the others go on without it",
                    )
                )
        return events


def _settled(name: str, t_ns: int, now_m: float) -> VolumeEvent:
    detail = f"camera {name} agrees with the others again, within {1000 * now_m:.0f} mm"
    return VolumeEvent(kind="camera_settled", t_ns=t_ns, camera=name, detail=detail)
