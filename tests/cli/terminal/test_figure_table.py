"""Figures are shown with units and what they mean."""

import dataclasses

from langpose_rt.cli.terminal.figure_table import (
    ERRORS,
    FUSED_ERRORS,
    Figure,
    figure_lines,
    legend,
)
from langpose_rt.evaluation.clip_scores import Scores
from langpose_rt.evaluation.fused_scores import FusedScores


def test_a_line_has_label_number_unit_and_meaning() -> None:
    figures = {
        "model": Figure("model"),
        "error_mm": Figure("error", "from the truth", "mm", 1),
        "sent": Figure("frames sent"),
        "gone": Figure("gone", "nowhere"),
    }
    values = {"sent": 12345, "model": "live", "error_mm": 1.25, "other": 3}
    assert figure_lines(values, figures, indent="> ") == [
        "> model        live",
        "> error           1.2 mm    from the truth",
        "> frames sent  12,345",
    ]


def test_what_was_not_measured_is_a_dash() -> None:
    figures = {"e": Figure("e", "an error", "mm", 1)}
    for value in (None, float("nan")):
        assert figure_lines({"e": value}, figures) == ["e  - mm    an error"]
    assert figure_lines({}, figures) == []


def test_every_score_is_explained() -> None:
    scores = {field.name for field in dataclasses.fields(Scores)}
    assert set(ERRORS) == scores - {"frames"}
    fused = {field.name for field in dataclasses.fields(FusedScores)}
    assert set(FUSED_ERRORS) == fused - {"people", "poses"}
    assert all(figure.meaning for figure in (*ERRORS.values(), *FUSED_ERRORS.values()))


def test_a_legend_is_one_line() -> None:
    assert legend([("p50", "half"), ("shed", "left out")]) == "p50: half; shed: left out"
