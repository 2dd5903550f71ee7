"""Report a volume whose cameras see people but do not agree where they are.

The calibration is then of other cameras, mirrored, or in another unit, or the clocks are apart. By
chance some rays meet then too, and people are placed there; but other cameras that look there see
nobody, or somebody else. In a calibrated volume most cameras see people where others place them.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, UInt32

from langpose_rt.config import NS_PER_S
from langpose_rt.formats.plausibility.finding import Finding
from langpose_rt.fusion.camera_array import CameraArray
from langpose_rt.fusion.fused_frame import VolumeEvent
from langpose_rt.fusion.triangulation import Triangulated

PATIENCE_NS = 3 * NS_PER_S
"""Cameras that have disagreed for so long are reported."""

FITS = 2.5
"""A view fits if its middle joint is within so many usual deviations."""

_LEAST_SHARED = 0.4
"""Share of poses that rest on two cameras: 0.68 and more in pairs of the bundled cameras, 0.29 and
less with exchanged names or another unit."""

_LEAST_USED = 0.6
_SMOOTHING_S = 1.0
_DISAGREE, _AGREE = 0.4, 0.6
_LONGEST_STEP_NS = NS_PER_S // 2


@dataclass(frozen=True, slots=True)
class Support:
    """Count of cameras that see people where others place them.

    Attributes:
        watching: Cameras that see anybody.
        expected: Views of people in cameras that look there and see anybody.
        fitting: Those that are there and fit.
    """

    watching: int
    expected: int
    fitting: int


def support(
    match: Int[np.ndarray, "person camera"],
    usual_m: Float[np.ndarray, "person camera"],
    fused: Triangulated,
    trunk: Float[np.ndarray, "person joint 3"],
    watching: Bool[np.ndarray, " camera"],
    *,
    cameras: CameraArray,
) -> Support:
    """Count the views of an instant.

    Args:
        match: Detection of every person in every camera; -1 for none.
        usual_m: Usual distance of a ray, of each person and camera.
        fused: The people.
        trunk: Their trunk joints.
        watching: Cameras that see anybody.
        cameras: The capture volume.
    """
    seen = match >= 0
    rays, _ = cameras.project(trunk)
    looks = cameras.sees(rays).all(-1).T & watching
    there = np.isfinite(fused.miss_m)
    count = np.maximum(there.sum(2), 1)
    within = (np.where(there, fused.miss_m, np.inf) < FITS * usual_m[..., None]).sum(2)
    fits = seen & (within > 0.5 * count) & (fused.used.sum(2) > _LEAST_USED * count)
    fits &= (fits.sum(1) >= 2)[:, None]
    return Support(
        watching=int(watching.sum()),
        expected=int((looks | seen).sum()),
        fitting=int(fits.sum()),
    )


class Agreement:
    """Follow whether cameras that see people at the same time place them together."""

    def __init__(self) -> None:
        self._share = 1.0
        self._seen_ns = 0
        self._last_ns: int | None = None
        self._reported = False

    @property
    def holds(self) -> bool:
        """False while most views of people do not fit."""
        return self._share > _DISAGREE

    def observe(self, t_ns: int, now: Support) -> list[VolumeEvent]:
        """Take one instant.

        Args:
            t_ns: The instant.
            now: The views of people at it; with less than two cameras it does not count.

        Returns:
            One event when they are found to disagree.
        """
        step_ns = 0 if self._last_ns is None else min(t_ns - self._last_ns, _LONGEST_STEP_NS)
        self._last_ns = t_ns
        if now.watching < 2:
            return []
        self._seen_ns += step_ns
        step_s = step_ns / NS_PER_S
        share = now.fitting / max(now.expected, 1)
        self._share += (share - self._share) * step_s / (step_s + _SMOOTHING_S)
        if self._share > _AGREE:
            self._reported, self._seen_ns = False, 0
        if self._reported or self._share > _DISAGREE or self._seen_ns < PATIENCE_NS:
            return []
        self._reported = True
        detail = (
            f"{now.watching} cameras see people and do not agree where, {100 * self._share:.0f} % "
            "of their views fit; the calibration is probably of other cameras or mirrored, or "
            'their clocks are apart; calibrate again with "langpose-rt calibrate"'
        )
        return [VolumeEvent(kind="no_agreement", t_ns=t_ns, camera="", detail=detail)]


def agreement_finding(
    views: UInt32[np.ndarray, "frame person joint"], ids: Int[np.ndarray, "frame person"]
) -> Finding | None:
    """Check that fused poses rest on more than one camera where several see people.

    Args:
        views: Bit mask of the cameras that a joint rests on.
        ids: Ids of the people, -1 for nobody.
    """
    seen = (ids >= 0) & _several(np.bitwise_or.reduce(views, axis=(1, 2)))[:, None]
    share = (seen & _several(views).any(-1)).sum() / max(seen.sum(), 1)
    if not seen.any() or share >= _LEAST_SHARED:
        return None
    detail = (
        f"{share:.0%} of the poses rest on more than one camera; if the cameras see the same "
        "people, their calibration is of other cameras, mirrored or in another unit, their names "
        "are exchanged, or their clocks are apart"
    )
    return Finding("no_agreement", detail, impossible=False)


def _several(mask: UInt32[np.ndarray, "*batch"]) -> Bool[np.ndarray, "*batch"]:
    """Return True where more than one bit is set."""
    return (mask & (mask - np.uint32(1))) > 0
