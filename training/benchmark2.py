"""``python -m training.benchmark2``: where the errors of checkpoints lie, on langpose-bench-2.

By condition, pose group and joint group, in depth and in the picture, with and without keeping the
given 2D. What is asked stands in evaluation/benchmark2_clips.py.
"""

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from langpose_rt.config import RayRefinement
from langpose_rt.errors import LangPoseError
from langpose_rt.evaluation.metrics import mpjpe_mm, p_mpjpe_mm, velocity_error_mm_s
from langpose_rt.geometry.skeleton import REFERENCE_STATURE_M
from training.data.mocap import HELD_OUT, read_mocap
from training.evaluation.benchmark2_clips import (
    PUBLISHED,
    VERSION,
    Benchmark2Clip,
    benchmark2_hash,
    draw_benchmark2,
    fingerprint_of,
    joined,
)
from training.evaluation.error_parts import error_parts, group_errors, mean_parts
from training.evaluation.fingerprints import is_same
from training.evaluation.refined_answers import refine_answer
from training.evaluation.scores import Answer
from training.synthesis.batches import anchor_clips

if TYPE_CHECKING:
    from langpose_rt.model.langpose import LangPose

EXAMPLE = "example: python -m training.benchmark2 runs/live/model.safetensors --mocap data/mocap"
MEASURES = ("MPJPE", "P-MPJPE", "vel mm/s")


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m training.benchmark2",
        description=f"Score checkpoints on {VERSION}.",
        epilog=EXAMPLE,
    )
    parser.add_argument("checkpoints", type=Path, nargs="+", help="model.safetensors files")
    parser.add_argument("--mocap", type=Path, required=True, help="folder with index.json")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--threads", type=int, default=1)
    try:
        run(parser.parse_args(argv))
    except LangPoseError as error:
        print(f"training.benchmark2: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def run(arguments: argparse.Namespace) -> None:
    """Draw the benchmark, score every checkpoint and print."""
    import torch

    from langpose_rt.model import checkpoint

    torch.set_num_threads(arguments.threads)
    clips = draw_benchmark2(joined([read_mocap(arguments.mocap, s) for s in ("val", HELD_OUT)]))
    report: dict[str, Any] = {
        "version": VERSION,
        "hash": benchmark2_hash(clips),
        "comparable": is_same(fingerprint_of(clips), PUBLISHED),
        "clips": len(clips),
        "results": {},
    }
    for path in arguments.checkpoints:
        model, _ = checkpoint.load(path)
        answers = [_answer(model.eval(), clip) for clip in clips]
        refined = [
            refine_answer(clip.footage, answer, RayRefinement())
            for clip, answer in zip(clips, answers, strict=True)
        ]
        report["results"][f"{path}, network"] = score_answers(clips, answers)
        report["results"][f"{path}, 2D kept"] = score_answers(clips, refined)
    print(json.dumps(report, indent=1) if arguments.json else "\n".join(table(report)))


def score_answers(
    clips: list[Benchmark2Clip], answers: list[Answer]
) -> dict[str, dict[str, dict[str, float]]]:
    """Score answers at lag 0.

    Returns:
        By table ("condition", "pose group", "part"): row to measure to mean over the clips that
        have it. Parts are those of `error_parts`, under "clean" and "noisy" conditions.
    """
    rows: dict[str, dict[str, list[dict[str, float]]]] = {"condition": {}, "pose group": {}}
    parts: dict[str, list[dict[str, float]]] = {}
    for clip, answer in zip(clips, answers, strict=True):
        scale = float(clip.footage.stature_m[0]) / REFERENCE_STATURE_M
        found_m, truth_m = answer.pose_camera * scale, clip.footage.pose_camera_m[0]
        sigma_m = None if answer.sigma is None else answer.sigma * scale
        whole = {
            "MPJPE": mpjpe_mm(found_m, truth_m),
            "P-MPJPE": p_mpjpe_mm(found_m, truth_m),
            "vel mm/s": velocity_error_mm_s(found_m, truth_m, clip.footage.time_ns[0]),
        }
        limbs = "limbs of others" if clip.recombined else "as recorded"
        for name in ("all", clip.condition, limbs):
            rows["condition"].setdefault(name, []).append(whole)
        for group, errors in group_errors(found_m, truth_m, clip.members).items():
            row = dict(zip(MEASURES, errors, strict=False))
            rows["pose group"].setdefault(group, []).append(row)
        own = error_parts(found_m, truth_m, sigma_m)
        parts.setdefault(clip.condition.split(",")[0], []).append(own)
    result = {
        name: {row: mean_parts(values) for row, values in table.items()}
        for name, table in rows.items()
    }
    result["part"] = {condition: mean_parts(values) for condition, values in parts.items()}
    return result


def table(report: dict[str, Any]) -> Iterable[str]:
    """Lines for a person."""
    yield f"{report['version']}  {report['clips']} clips"
    yield f"hash {report['hash']}" + ("" if report["comparable"] else "  (not the published one)")
    for name, result in report["results"].items():
        yield name
        for title in ("condition", "pose group"):
            yield f"  {title:<24}" + "".join(f"{measure:>10}" for measure in MEASURES)
            for row, scores in sorted(result[title].items()):
                cells = (f"{scores[m]:>10.1f}" if m in scores else "" for m in MEASURES)
                yield f"    {row:<22}" + "".join(cells)
        yield f"  {'part (P-MPJPE axes)':<24}" + "".join(f"{one:>10}" for one in result["part"])
        for part in next(iter(result["part"].values())):
            cells = (f"{parts[part]:>10.2f}" for parts in result["part"].values())
            yield f"    {part:<22}" + "".join(cells)


def _answer(model: "LangPose", clip: Benchmark2Clip) -> Answer:
    """Answers for every frame at lag 0."""
    import torch

    batch = anchor_clips(clip.footage)
    with torch.no_grad():
        inputs = (torch.from_numpy(x) for x in (batch.rows, batch.extras, batch.time_ns))
        features = model.encoder(*inputs)[0]
        pose, log_sigma = model.lifter(features, features, torch.zeros(len(features)))
    return Answer(
        pose_camera=pose.numpy() @ batch.rotation[0],
        frames=np.arange(len(features)),
        sigma=log_sigma.exp().numpy(),
    )


if __name__ == "__main__":
    sys.exit(main())
