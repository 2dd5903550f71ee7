"""Command ``python -m training.benchmark``: score checkpoints on the frozen benchmark.

Scores at lag 0 and 130 ms of lookahead, beside the best constant pose. To compare with the
single-frame baseline, pass its checkpoint too. The clips are defined in benchmark_clips.py.
"""

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langpose_rt.config import RayRefinement
from langpose_rt.errors import LangPoseError
from training.data.mocap import read_mocap
from training.evaluation.benchmark_answers import scores_by_lookahead
from training.evaluation.benchmark_clips import (
    PUBLISHED,
    VERSION,
    BenchmarkClip,
    benchmark_hash,
    draw_benchmark,
    fingerprint_of,
)
from training.evaluation.fingerprints import is_same
from training.evaluation.scores import (
    Scores,
    constant_pose_scores,
    macro_average,
)

if TYPE_CHECKING:
    from langpose_rt.model.langpose import LangPose

LOOKAHEAD_S = 0.13
CONSTANT = "best constant pose"

EXAMPLE = """example:
  python -m training.benchmark runs/live/model.safetensors runs/single/model.safetensors \\
      --mocap data/mocap
"""

COLUMNS = {
    "MPJPE": "mpjpe_mm",
    "P-MPJPE": "p_mpjpe_mm",
    "no height": "mpjpe_reference_stature_mm",
    "visible": "mpjpe_visible_mm",
    "missing": "mpjpe_missing_mm",
    "first .5s": "mpjpe_first_mm",
    "vel mm/s": "velocity_error_mm_s",
    "jitter": "jitter_mm",
    "(true)": "jitter_truth_mm",
}


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = _parser()
    try:
        run(parser.parse_args(argv))
    except LangPoseError as error:
        print(f"training.benchmark: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def run(arguments: argparse.Namespace) -> None:
    """Draw the benchmark, score every checkpoint and print the scores."""
    import torch

    from training.trainer.frame_numbers import load_as_trained

    torch.set_num_threads(arguments.threads)
    models = {str(path): load_as_trained(path) for path in arguments.checkpoints}
    clips = draw_benchmark(read_mocap(arguments.mocap, "val"))
    report: dict[str, Any] = {
        "version": VERSION,
        "hash": benchmark_hash(clips),
        "clips": len(clips),
        "frames": sum(clip.footage.time_ns.shape[1] for clip in clips),
        "results": {},
    }
    report["comparable"] = is_same(fingerprint_of(clips), PUBLISHED)
    for name, model in models.items():
        report["results"][name] = score_model(model, clips)
    report["results"][CONSTANT] = {"lag 0": constant_pose_scores(clips)}
    if arguments.json:
        print(json.dumps(report, indent=1))
    else:
        print("\n".join(table(report, sources=not arguments.macro_only)))


def score_model(model: "LangPose", clips: list[BenchmarkClip]) -> dict[str, dict[str, Scores]]:
    """Score a model per lag and source, live ones with the 2D kept as well.

    A single-frame model has no lookahead to offer.
    """
    lags = {"lag 0": 0.0}
    if model.config.causal and model.config.window > 0:
        lags[f"lag {1000 * LOOKAHEAD_S:.0f} ms"] = LOOKAHEAD_S
    live = model.config.causal and model.config.input == "anchored"
    scores = scores_by_lookahead(
        model, clips, list(lags.values()), refinement=RayRefinement() if live else None
    )
    names = [*lags, *(f"{name}, 2D kept" for name in lags if live)]
    return {name: macro_average(clips, rows) for name, rows in zip(names, scores, strict=True)}


def table(report: dict[str, Any], *, sources: bool) -> Iterable[str]:
    """Format the report as lines of text."""
    yield f"{report['version']}  {report['clips']} clips, {report['frames']} frames"
    yield f"hash {report['hash']}" + ("" if report["comparable"] else "  (not the published one)")
    yield "mm; per clip, then per source, then over sources; true stature given but for 'no height'"
    yield " " * 30 + "".join(f"{column:>10}" for column in COLUMNS)
    for name, lags in report["results"].items():
        for lag, rows in lags.items():
            yield f"{name}, {lag}"
            for source, scores in rows.items():
                if sources or source == "macro":
                    cells = (_cell(scores.get(key)) for key in COLUMNS.values())
                    yield f"  {source:<28}" + "".join(cells)


def _cell(value: float | None) -> str:
    return f"{'':>10}" if value is None else f"{value:>10.1f}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.benchmark",
        description=f"Score checkpoints on {VERSION}.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("checkpoints", type=Path, nargs="*", help="model.safetensors files")
    parser.add_argument("--mocap", type=Path, required=True, help="folder with index.json")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--macro-only", action="store_true", help="leave single sources out")
    parser.add_argument("--threads", type=int, default=1)
    return parser


if __name__ == "__main__":
    sys.exit(main())
