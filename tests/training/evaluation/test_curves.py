"""Curves: what is hidden, what is asked, and how honest sigma is counted."""

from dataclasses import replace

import numpy as np
import pytest

from langpose_rt.config import ModelConfig
from langpose_rt.model.langpose import seeded
from training.data.mocap import Mocap
from training.evaluation.benchmark_clips import draw_benchmark
from training.evaluation.curves import HIDDEN, LOOKAHEADS_MS, calibration, curves, hide

TINY = ModelConfig(depth=1, width=16, heads=2, representation=16, embedding=4, window=8)


@pytest.fixture(scope="module")
def few(mocap: Mocap) -> Mocap:
    return Mocap(joints_m=mocap.joints_m, clips=mocap.clips[3:])


def test_what_is_hidden_is_what_is_said(mocap: Mocap) -> None:
    clips = draw_benchmark(mocap)
    before = sum((clip.footage.scores > 0).sum() for clip in clips)
    shares = {}
    for what in HIDDEN:
        hidden = hide(clips, what)
        kept = sum((clip.footage.scores > 0).sum() for clip in hidden)
        shares[what] = 1 - kept / before
        for clip in hidden:
            gone = clip.footage.scores == 0
            assert (clip.footage.rays[gone] == 0).all()
            assert (clip.footage.screen[gone] == 0).all()
    assert shares["nothing"] == 0
    assert shares["20 % of joints"] == pytest.approx(0.2, abs=0.02)
    assert shares["40 % of joints"] == pytest.approx(0.4, abs=0.02)
    assert 0 < shares["a limb for 1 s"] < shares["a limb always"]


def test_every_curve_is_drawn(few: Mocap) -> None:
    found = dict(curves(seeded(TINY, 0), few))
    assert list(found) == [
        "lookahead ms", "hidden", "frame rate Hz", "strongest noise", "field of view deg",
        "gravity known", "bone lengths known",
    ]  # fmt: skip
    assert [place for place, _ in found["lookahead ms"]] == [f"{ms:g}" for ms in LOOKAHEADS_MS]
    for points in found.values():
        assert all(np.isfinite(scores["mpjpe_mm"]) for _, scores in points)


def test_bone_lengths_are_known_to_a_model_that_takes_them(few: Mocap) -> None:
    plain, taking = (
        dict(curves(seeded(replace(TINY, length_input=taken), 0), few, ["lengths"]))
        for taken in (False, True)
    )
    (_, unknown), (_, known) = plain["bone lengths known"]
    assert unknown == known
    (_, unknown), (_, known) = taking["bone lengths known"]
    assert unknown["mpjpe_mm"] != known["mpjpe_mm"]


def test_only_the_curves_that_are_asked_for_are_drawn(few: Mocap) -> None:
    found = dict(curves(seeded(TINY, 0), few, ["hidden"]))
    assert list(found) == ["hidden"]
    assert [place for place, _ in found["hidden"]] == list(HIDDEN)


def test_an_honest_sigma_is_called_honest_and_a_small_one_is_not() -> None:
    rng = np.random.default_rng(0)
    sigma = rng.uniform(0.01, 0.1, 40_000)
    error = rng.standard_normal((40_000, 3)) * sigma[:, None]
    honest = calibration(sigma, error)
    assert honest["within_50"] == pytest.approx(0.5, abs=0.01)
    assert honest["within_95"] == pytest.approx(0.95, abs=0.01)
    assert honest["rms_ratio"] == pytest.approx(1, abs=0.02)
    proud = calibration(sigma / 2, error)
    assert proud["rms_ratio"] == pytest.approx(2, abs=0.04)
    assert proud["within_80"] < 0.4
