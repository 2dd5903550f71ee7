"""Command ``python -m training.evaluate``: score a checkpoint by published protocols and curves.

With a published data set: its protocol, for a checkpoint trained with its convention.
With ``--mocap``: error against one condition at a time, and calibration of sigma (`curves.py`).
The frozen benchmark is `benchmark.py`; zero-shot actions are `recognise.py`.
"""

import argparse
import itertools
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from langpose_rt.errors import ConfigError, LangPoseError
from training.evaluation.scores import CURVES, Point
from training.trainer.data_sources import add_screen_arguments

if TYPE_CHECKING:
    from langpose_rt.model.langpose import LangPose
    from training.evaluation.protocols import Lift, Table

EXAMPLE = """python -m training.evaluate runs/lite/model.safetensors --h36m-3d data_3d_h36m.npz \\
      --h36m-2d data_2d_h36m_cpn_ft_h36m_dbb.npz --flip
  python -m training.evaluate runs/live/model.safetensors --mocap data/mocap --plot curves.png"""

SHOWN = ("mpjpe_mm", "p_mpjpe_mm", "velocity_error_mm_s", "jitter_mm")


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    try:
        run(_parser().parse_args(argv))
    except LangPoseError as error:
        print(f"training.evaluate: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def run(arguments: argparse.Namespace) -> None:
    """Score a checkpoint, print the scores, and plot the curves."""
    import torch

    from langpose_rt.model.checkpoint import load
    from training.trainer.frame_numbers import load_as_trained

    torch.set_num_threads(arguments.threads)
    if arguments.mocap is None:
        model, card = load(arguments.checkpoint)
        if arguments.plot is not None:
            raise ConfigError("--plot draws the curves of --mocap; protocols are tables")
        if arguments.clips:
            raise ConfigError("--clips stand beside the curves of --mocap; give --mocap too")
        _print_protocol(arguments, model, card)
    else:
        _print_curves(arguments, load_as_trained(arguments.checkpoint))


def lift_of_model(model: "LangPose") -> "Lift":
    """Wrap a bidirectional model as a function for the protocols."""
    import torch

    @torch.no_grad()
    def lift(rows: np.ndarray) -> np.ndarray:
        clips, frames = rows.shape[:2]
        extras = torch.zeros(clips, frames, model.config.extra_channels)
        time_ns = torch.arange(frames).expand(clips, frames) * 20_000_000
        pose, _ = model(torch.from_numpy(np.ascontiguousarray(rows)), extras, time_ns)
        return np.asarray(pose.numpy())

    return lift


def table_of_protocol(convention: str, table: "Table") -> Iterable[str]:
    """Format the scores as lines of text."""
    names = list(next(iter(table.values())))
    yield f"{convention}  (MPJPE, P1 and P2 in mm, PCK and AUC in %)"
    yield f"{'':<24}" + "".join(f"{name:>10}" for name in names)
    for row, scores in table.items():
        yield f"{row:<24}" + "".join(f"{scores[name]:>10.1f}" for name in names)


def table_of_curve(name: str, points: "Iterable[Point]") -> Iterable[str]:
    """Format the scores as lines of text."""
    yield f"{name:<24}" + "".join(f"{column:>22}" for column in SHOWN)
    for place, scores in points:
        yield f"  {place:<22}" + "".join(f"{scores[column]:>22.1f}" for column in SHOWN)


def picture(path: Path, found: "Mapping[str, list[Point]]") -> None:
    """Plot every curve: MPJPE and P-MPJPE over the varied condition.

    Raises:
        ConfigError: If the file cannot be written.
    """
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(found), figsize=(4 * len(found), 3.2), squeeze=False)
    for panel, (name, points) in zip(axes[0], found.items(), strict=True):
        places = [place for place, _ in points]
        for column, label in (("mpjpe_mm", "MPJPE"), ("p_mpjpe_mm", "P-MPJPE")):
            panel.plot(places, [scores[column] for _, scores in points], "o-", label=label)
        panel.set(xlabel=name, ylabel="mm", ylim=(0, None))
        panel.tick_params("x", rotation=30)
        panel.legend()
    figure.tight_layout()
    try:
        figure.savefig(path, dpi=120)
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot write {path}: {error}; choose another --plot") from error
    finally:
        plt.close(figure)


def add_curve_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags that choose curves, and that name real detections with 3D."""
    parser.add_argument(
        "--curves", nargs="+", choices=tuple(CURVES), default=tuple(CURVES), metavar="NAME",
        help=f"these curves only: {', '.join(CURVES)}",
    )  # fmt: skip
    parser.add_argument(
        "--clips", type=Path, nargs="+", default=[], metavar="FILE",
        help="npz clips with pose3d, beside the curves: the network alone, at lag 0",
    )  # fmt: skip


def _print_protocol(arguments: argparse.Namespace, model: "LangPose", card: dict[str, Any]) -> None:
    from training.data.screen_videos import read_screen_videos
    from training.evaluation.protocols import flipped, protocol_scores

    convention, videos = read_screen_videos(arguments, "test")
    if card.get("convention") != convention:
        raise ConfigError(
            f"{arguments.checkpoint} learned {card.get('convention') or 'motion capture'}, not "
            f"{convention}; their units differ, so train on that data set's training split first"
        )
    lift = lift_of_model(model)
    lift = flipped(lift) if arguments.flip else lift
    table = protocol_scores(convention, videos, lift, model.config.window)
    if arguments.json:
        print(json.dumps({"convention": convention, "flip": arguments.flip, "scores": table}))
    else:
        print("\n".join(table_of_protocol(convention, table)))


def _print_curves(arguments: argparse.Namespace, model: "LangPose") -> None:
    from training.data.mocap import read_mocap
    from training.evaluation.curves import curves, sigma_report
    from training.evaluation.real_clips import real_curves

    mocap = read_mocap(arguments.mocap, "val")
    found: dict[str, list[Point]] = {}
    asked = (curves(model, mocap, arguments.curves), real_curves(model, arguments.clips))
    for name, points in itertools.chain.from_iterable(asked):
        found[name] = points
        if not arguments.json:
            print("\n".join(table_of_curve(name, points)), flush=True)
    honest = sigma_report(model, mocap)
    if arguments.json:
        print(json.dumps({"curves": found, "sigma": honest}))
    else:
        print("sigma  " + "  ".join(f"{name} {value:.3f}" for name, value in honest.items()))
    if arguments.plot is not None:
        picture(arguments.plot, found)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.evaluate",
        description="Score a checkpoint by a published protocol, or draw its curves.",
        epilog=f"examples:\n  {EXAMPLE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("checkpoint", type=Path, help="model.safetensors")
    parser.add_argument("--mocap", type=Path, help="folder with index.json: curves of our own")
    add_curve_arguments(parser)
    add_screen_arguments(parser)
    parser.add_argument("--flip", action="store_true", help="average with the mirror image")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the curves into a picture")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--threads", type=int, default=1)
    return parser


if __name__ == "__main__":
    sys.exit(main())
