"""Scale the sigma of a checkpoint so that it holds for people it was not trained on.

    python -m training.tools.calibrate_sigma model.safetensors --mocap DIR --out FILE

The factor of every joint goes into the bias of the output that gives the logarithm of sigma, so
that no backend needs to know of it. Poses stay bit for bit. Errors have longer tails than a normal
distribution, so the card says within how many sigma 50, 80 and 95 % of them were.
"""

import argparse
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from langpose_rt.config import RayRefinement
from langpose_rt.errors import ConfigError, LangPoseError
from langpose_rt.geometry.skeleton import FLIP_INDICES, REFERENCE_STATURE_M
from langpose_rt.model import checkpoint
from langpose_rt.model.langpose import LangPose
from training.data.mocap import HELD_OUT, Mocap, read_mocap
from training.evaluation.benchmark2_clips import joined
from training.evaluation.error_parts import QUANTILES
from training.evaluation.refined_answers import refine_answer
from training.evaluation.scores import Answer
from training.synthesis.batches import DataConfig, Footage, anchor_clips, draw_motion, film
from training.synthesis.motion_windows import draw_moments, draw_times

SEED = 45_001
CONDITIONS = DataConfig(clips=32, frames=96, reboned=0.0, mixed=0.0, swung=0.0, lengths_known=0.0)
"""As in training, on the bodies and the motion as they were recorded."""

_FITTED_PERCENT = 80

Ratios = Float[np.ndarray, "frame 16"]


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--mocap", type=Path, required=True, help="folder with index.json")
    parser.add_argument("--out", type=Path, required=True, help="checkpoint to write")
    parser.add_argument("--batches", type=int, default=6)
    try:
        run(parser.parse_args(argv))
    except LangPoseError as error:
        print(f"training.tools.calibrate_sigma: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def run(arguments: argparse.Namespace) -> None:
    """Measure, write the checkpoint and print how many errors are within which quantile."""
    model, card = checkpoint.load(arguments.checkpoint)
    if model.config.token_count != 1 or not model.config.causal:
        raise ConfigError("only causal models with one token a frame are calibrated")
    mocap = joined([read_mocap(arguments.mocap, split) for split in ("val", HELD_OUT)])
    ratios = error_ratios(model.eval(), mocap, batches=arguments.batches)
    factor = sigma_factors(ratios)
    with torch.no_grad():
        model.lifter.to_log_sigma.bias.add_(torch.from_numpy(np.log(factor)).float())
    command = {"command": "python -m training.tools.calibrate_sigma", "from_step": card.get("step")}
    calibrated = ratios / factor[1:]
    lengths = {str(p): round(float(np.percentile(calibrated, p)), 3) for p in QUANTILES}
    commands = [*card.get("commands", []), command]
    checkpoint.save(arguments.out, model, card | {"commands": commands, "sigma_lengths": lengths})
    for percent, length in QUANTILES.items():
        before, after = (100 * (r < length).mean() for r in (ratios, calibrated))
        print(
            f"{percent} % of a normal error: {before:.1f} % before, {after:.1f} % after; "
            f"{percent} % of the errors are within {lengths[str(percent)]} sigma"
        )
    print("factors", " ".join(f"{one:.2f}" for one in factor))


def error_ratios(model: LangPose, mocap: Mocap, *, batches: int) -> Ratios:
    """Return errors of refined poses over their sigma, all joints but the root, at lag 0."""
    found = []
    for number in range(batches):
        rng = np.random.default_rng([SEED, number])
        chosen, moment_s = draw_moments(rng, mocap, CONDITIONS.clips, CONDITIONS.posed)
        time_ns = draw_times(rng, CONDITIONS.clips, CONDITIONS.frames, CONDITIONS.times)
        joints_m, _ = draw_motion(rng, mocap, chosen, time_ns, CONDITIONS, moment_s=moment_s)
        footage = film(rng, joints_m, time_ns, np.zeros(len(chosen), np.int64), CONDITIONS)
        batch = anchor_clips(footage)
        with torch.no_grad():
            inputs = (torch.from_numpy(x) for x in (batch.rows, batch.extras, batch.time_ns))
            features = model.encoder(*inputs)
            lag_s = torch.zeros(features.shape[:2])
            pose, log_sigma = model.lifter(features, features, lag_s)
        in_camera, sigma = pose.numpy() @ batch.rotation, log_sigma.exp().numpy()
        for clip in range(len(chosen)):
            own = Footage(
                **{
                    item.name: getattr(footage, item.name)[clip : clip + 1]
                    for item in fields(Footage)
                }
            )
            frames = np.arange(CONDITIONS.frames)
            answer = Answer(pose_camera=in_camera[clip], frames=frames, sigma=sigma[clip])
            refined = refine_answer(own, answer, RayRefinement())
            scale = footage.stature_m[clip] / REFERENCE_STATURE_M
            error_m = refined.pose_camera * scale - footage.pose_camera_m[clip]
            found.append(np.linalg.norm(error_m, axis=-1)[:, 1:] / (sigma[clip] * scale)[:, 1:])
    return np.concatenate(found)


def sigma_factors(ratios: Ratios) -> Float[np.ndarray, "17"]:
    """Return the factor on every joint's sigma that makes 80 % of its errors as large as stated.

    Both sides of a body share one; the root has none.
    """
    both = np.concatenate([ratios, ratios[:, FLIP_INDICES[1:] - 1]])
    factor = np.ones(17)
    factor[1:] = np.percentile(both, _FITTED_PERCENT, axis=0) / QUANTILES[_FITTED_PERCENT]
    return factor


if __name__ == "__main__":
    sys.exit(main())
