"""Notice a volume whose cameras see people but never agree where they are.

The calibration is then of other cameras, mirrored, or in another unit, or the clocks are apart.
"""

from langpose_rt.config import NS_PER_S

PATIENCE_NS = 3 * NS_PER_S
"""Cameras that have disagreed for so long are reported."""

_SMOOTHING_S = 1.0
_DISAGREE, _AGREE = 0.1, 0.5
_LONGEST_STEP_NS = NS_PER_S // 10


class Agreement:
    """Follows whether cameras that see people at the same time place them together."""

    def __init__(self) -> None:
        self._share = 1.0
        self._seen_ns = 0
        self._last_ns: int | None = None
        self._reported = False

    def observe(self, t_ns: int, watching: int, *, agreed: bool) -> bool:
        """Take one instant.

        Args:
            t_ns: The instant.
            watching: How many cameras have people in their picture.
            agreed: Whether anybody was placed by two cameras together.

        Returns:
            True once when they are found to disagree.
        """
        step_ns = 0 if self._last_ns is None else min(t_ns - self._last_ns, _LONGEST_STEP_NS)
        self._last_ns = t_ns
        if watching < 2:
            return False
        self._seen_ns += step_ns
        step_s = step_ns / NS_PER_S
        self._share += (float(agreed) - self._share) * step_s / (step_s + _SMOOTHING_S)
        if self._share > _AGREE:
            self._reported, self._seen_ns = False, 0
        if self._reported or self._share > _DISAGREE or self._seen_ns < PATIENCE_NS:
            return False
        self._reported = True
        return True
