"""Curves: error against one condition at a time (lookahead, frame rate, noise, ...).

Every point uses the validation motion of langpose-bench-1, with one condition fixed and no random
masking; everything else varies as in the benchmark.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float

from langpose_rt.config import NUM_JOINTS
from langpose_rt.model.langpose import LangPose
from training.data.mocap import Mocap
from training.evaluation.benchmark_answers import scores_by_lookahead
from training.evaluation.benchmark_clips import CONDITIONS, BenchmarkClip, draw_benchmark
from training.evaluation.scores import CURVES, Point, Scores, macro_average
from training.synthesis.batches import DataConfig, Footage, anchor_clips
from training.synthesis.masks import LIMB_GROUPS, MaskConfig

LOOKAHEADS_MS = (0.0, 33.0, 67.0, 100.0, 130.0, 200.0)
RATES_HZ = (25.0, 30.0, 50.0, 60.0, 100.0, 120.0)
STRENGTHS = (0.0, 0.5, 1.0, 1.5, 2.0)
KNOWN_SHARES = (0.0, 1.0)
FIELDS_DEG = (35.0, 50.0, 65.0, 80.0, 100.0)
HIDDEN = ("nothing", "20 % of joints", "40 % of joints", "a limb for 1 s", "a limb always")

_SEED = 77
_OPEN = replace(CONDITIONS, masks=MaskConfig(whole=1.0))
"""Conditions of the benchmark without masking."""


def curves(
    model: LangPose, mocap: Mocap, only: Collection[str] = tuple(CURVES)
) -> Iterator[tuple[str, list[Point]]]:
    """Yield the curves of a model: name and points.

    Args:
        model: Model that `benchmark_answers.answers` accepts.
        mocap: Validation split.
        only: Names of CURVES.
    """
    clips = draw_benchmark(mocap, _OPEN)
    if "lookahead" in only and model.config.causal and model.config.window > 0:
        scores = scores_by_lookahead(model, clips, [ms / 1000 for ms in LOOKAHEADS_MS])
        points = zip(LOOKAHEADS_MS, scores, strict=True)
        yield CURVES["lookahead"], [(f"{ms:g}", _macro(clips, rows)) for ms, rows in points]
    if "hidden" in only:
        yield CURVES["hidden"], [(name, _score(model, hide(clips, name))) for name in HIDDEN]
    for name, values, conditions in (
        ("rate", RATES_HZ, _at_rate),
        ("noise", STRENGTHS, _with_noise),
        ("field", FIELDS_DEG, _with_field),
        ("gravity", KNOWN_SHARES, _with_gravity),
        ("lengths", KNOWN_SHARES, _with_lengths),
    ):
        if name in only:
            yield CURVES[name], list(_points(model, mocap, values, conditions))


def hide(clips: list[BenchmarkClip], what: str) -> list[BenchmarkClip]:
    """Return the clips with the joints of one entry of HIDDEN masked."""
    rng = np.random.default_rng(_SEED)
    return [replace(clip, footage=_hidden(rng, clip.footage, what)) for clip in clips]


def calibration(
    sigma_m: Float[np.ndarray, " joint"], error_m: Float[np.ndarray, "joint 3"]
) -> dict[str, float]:
    """Measure the calibration of a predicted standard deviation, over joints.

    Returns:
        Shares of joints whose error is below the 50, 80 and 95 % quantile that an isotropic normal
        distribution of that sigma has; calibrated ones are 0.5, 0.8 and 0.95. Also the ratio of
        the root mean square error per axis to the root mean square sigma.
    """
    from scipy.stats import chi

    distance = np.linalg.norm(error_m, axis=-1) / np.maximum(sigma_m, 1e-6)
    shares = {
        f"within_{100 * share:.0f}": float((distance < chi.ppf(share, 3)).mean())
        for share in (0.5, 0.8, 0.95)
    }
    ratio = np.sqrt(np.mean(error_m**2)) / np.sqrt(np.mean(sigma_m**2))
    return shares | {"rms_ratio": float(ratio)}


def sigma_report(model: LangPose, mocap: Mocap) -> dict[str, float]:
    """Return `calibration` of a model over all joints but the root of the benchmark at lag 0.

    Body units on both sides. Bidirectional models are left out: their sigma is not served.
    """
    if not model.config.causal:
        return {}
    sigmas, errors = [], []
    for clip in draw_benchmark(mocap):
        batch = anchor_clips(clip.footage)
        inputs = (torch.from_numpy(x) for x in (batch.rows, batch.extras, batch.time_ns))
        with torch.no_grad():
            pose, log_sigma = model(*inputs)
        sigmas.append(log_sigma[0, :, 1:].exp().numpy().ravel())
        errors.append((pose.numpy() - batch.pose)[0, :, 1:].reshape(-1, 3))
    return calibration(np.concatenate(sigmas), np.concatenate(errors))


def _points(
    model: LangPose,
    mocap: Mocap,
    values: tuple[float, ...],
    conditions: Callable[[float], DataConfig],
) -> Iterator[Point]:
    for value in values:
        yield f"{value:g}", _score(model, draw_benchmark(mocap, conditions(value)))


def _at_rate(hz: float) -> DataConfig:
    times = replace(_OPEN.times, slowest_hz=hz, fastest_hz=hz, jittered=0.0, dropping=0.0)
    return replace(_OPEN, times=times)


def _with_noise(strength: float) -> DataConfig:
    """Return conditions with a noise strength of 0 to `strength`; real detectors are near 1."""
    return replace(_OPEN, noise=replace(_OPEN.noise, strongest=strength))


def _with_field(deg: float) -> DataConfig:
    return replace(_OPEN, cameras=replace(_OPEN.cameras, narrowest_deg=deg, widest_deg=deg))


def _with_gravity(share: float) -> DataConfig:
    """Return conditions in which a share of the rigs knows the direction of gravity."""
    return replace(_OPEN, gravity_known=share)


def _with_lengths(share: float) -> DataConfig:
    """Return conditions in which a share of the rigs knows the person's bones, within 4 %."""
    return replace(_OPEN, lengths_known=share)


def _hidden(rng: np.random.Generator, footage: Footage, what: str) -> Footage:
    """Mask joints of one clip; the random numbers do not depend on which."""
    frames = footage.time_ns.shape[1]
    limb = list(LIMB_GROUPS[rng.integers(0, len(LIMB_GROUPS))])
    drawn = rng.random((1, frames, NUM_JOINTS))
    start_ns = rng.random() * footage.time_ns[0, -1]
    gone = np.zeros((1, frames, NUM_JOINTS), bool)
    if what.endswith("of joints"):
        gone = drawn < float(what.split(maxsplit=1)[0]) / 100
    elif what == "a limb always":
        gone[..., limb] = True
    elif what == "a limb for 1 s":
        second = (footage.time_ns >= start_ns) & (footage.time_ns < start_ns + 1e9)
        gone[..., limb] = second[..., None]
    kept = ~gone
    return replace(
        footage,
        rays=footage.rays * kept[..., None],
        screen=footage.screen * kept[..., None],
        scores=footage.scores * kept,
    )


def _score(model: LangPose, clips: list[BenchmarkClip]) -> Scores:
    (rows,) = scores_by_lookahead(model, clips, [0.0])
    return _macro(clips, rows)


def _macro(clips: list[BenchmarkClip], rows: list[Scores]) -> Scores:
    return macro_average(clips, rows)["macro"]
