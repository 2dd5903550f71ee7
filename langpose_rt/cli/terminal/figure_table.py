"""Figures for people to read: each in a line with its unit and what it means."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple


class Figure(NamedTuple):
    """Label, meaning and unit of a figure.

    Attributes:
        label: Its name.
        meaning: What it says, for someone who has not met it; empty where the name says it.
        unit: Unit, or empty for a count or a share.
        digits: Digits after the point.
    """

    label: str
    meaning: str = ""
    unit: str = ""
    digits: int = 0


_STILL = "the same of the best pose that never moves"

ERRORS = {
    "mpjpe_mm": Figure("MPJPE", "mean distance of a joint from the truth, hips aligned", "mm", 1),
    "n_mpjpe_mm": Figure("N-MPJPE", "MPJPE after the best scale", "mm", 1),
    "p_mpjpe_mm": Figure("P-MPJPE", "MPJPE after the best rotation, scale and shift", "mm", 1),
    "constant_mpjpe_mm": Figure("MPJPE, never moving", _STILL, "mm", 1),
    "constant_p_mpjpe_mm": Figure("P-MPJPE, never moving", _STILL, "mm", 1),
    "velocity_error_mm_s": Figure("velocity error", "mean error of a joint's velocity", "mm/s", 1),
    "still_velocity_error_mm_s": Figure("velocity error, never moving", _STILL, "mm/s", 1),
    "jitter_mm": Figure("jitter", "from a joint to the middle of its last and next place", "mm", 1),
    "true_jitter_mm": Figure("jitter of the truth", "the same of the truth, to compare", "mm", 1),
    "pck_150mm": Figure("PCK at 150 mm", "share of joints nearer than 150 mm to the truth", "", 3),
    "auc": Figure("AUC", "mean of that share over limits from 0 to 150 mm", "", 3),
}  # fmt: skip
"""Errors of the poses of one camera, by their names in JSON."""

FUSED_ERRORS = {
    "mpjpe_mm": Figure("MPJPE, absolute", "mean distance of a joint from the truth", "mm", 1),
    "median_mm": Figure("median, absolute", "half of the joints are nearer to the truth", "mm", 1),
    "p_mpjpe_mm": Figure("P-MPJPE", "MPJPE after the best rotation, scale and shift", "mm", 1),
    "found": Figure("found", "share of the true poses with one of ours nearby", "", 3),
    "ids": Figure("ids", "as many as people where nobody changes theirs"),
}  # fmt: skip
"""Errors of the poses of several cameras, by their names in JSON."""


def figure_lines(
    values: Mapping[str, Any], figures: Mapping[str, Figure], *, indent: str = ""
) -> list[str]:
    """Return a line for each value: label, number, unit, meaning.

    Args:
        values: By name; a text is shown as it is.
        figures: How each is shown, by the same names; others are not shown.
        indent: Put before every line.
    """
    rows = [(figures[name], values[name]) for name in figures if name in values]
    wide = max((len(figure.label) for figure, _ in rows), default=0)
    shown = [(figure, _number(value, figure.digits), value) for figure, value in rows]
    room = max((len(text) for _, text, value in shown if not isinstance(value, str)), default=0)
    return [
        f"{indent}{figure.label:<{wide}}  "
        + (text if isinstance(value, str) else _measured(text.rjust(room), figure))
        for figure, text, value in shown
    ]


def counted_people(count: int) -> str:
    """Return "1 person" or "2 people"."""
    return "1 person" if count == 1 else f"{count:,} people"


def legend(meanings: Iterable[tuple[str, str]]) -> str:
    """Return what words of a table mean, in one line: "word: meaning; word: meaning"."""
    return "; ".join(f"{word}: {meaning}" for word, meaning in meanings)


def _measured(number: str, figure: Figure) -> str:
    return f"{number} {figure.unit:<4}  {figure.meaning}".rstrip()


def _number(value: Any, digits: int) -> str:
    if isinstance(value, str):
        return value
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:,.{digits}f}"
