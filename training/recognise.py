"""Command ``python -m training.recognise``: evaluate zero-shot action recognition.

Every validation clip is rendered with a random camera and a noisy detector, its mean motion
embedding is compared with the sentences of all actions of the validation split, and the rank of
the right sentence is scored. Scores are means over the clips of an action, then over actions.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float32, Int64

from langpose_rt.errors import LangPoseError
from training.data.mocap import Mocap, read_mocap
from training.synthesis.batches import Batch, DataConfig, anchor_clips, film
from training.synthesis.masks import MaskConfig
from training.synthesis.motion_windows import interpolate
from training.tools.embed_actions import embed

if TYPE_CHECKING:
    from langpose_rt.model.langpose import LangPose

EXAMPLE = """python -m training.recognise runs/one/model.safetensors \\
      --text runs/one/text.safetensors --mocap data/mocap"""

SEED = 31
RATE_HZ = 30.0
MOST_FRAMES = 128
"""Frames used of a clip: at most the middle four seconds."""

_BEST = 5
_DRAWS = 2000
_CONDITIONS = replace(DataConfig(), lengths_known=0.0, masks=MaskConfig(whole=1.0))


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    try:
        run(_parser().parse_args(argv))
    except LangPoseError as error:
        print(f"training.recognise: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def run(arguments: argparse.Namespace) -> None:
    """Score a checkpoint and print the scores."""
    from langpose_rt.model.checkpoint import load
    from training.trainer.text_encoder import load_text

    model, _ = load(arguments.checkpoint)
    text = load_text(arguments.text, arguments.text_encoder)
    mocap = read_mocap(arguments.mocap, "val", sources=arguments.sources or None)
    gallery = tuple(sorted({clip.action for clip in mocap.clips}))
    embeddings = embed(text, tuple(sentence_of_action(action) for action in gallery))
    motion = np.stack([_motion(model, mocap, index) for index in range(len(mocap.clips))])
    truth = np.array([gallery.index(clip.action) for clip in mocap.clips])
    report = recognition(motion @ embeddings.T, truth, gallery)
    print(json.dumps(report, indent=1) if arguments.json else "\n".join(_table(report)))


def sentence_of_action(action: str) -> str:
    """Turn an action label into a sentence."""
    return action.replace("-", " ").replace("_", " ").replace("  ", " ")


def recognition(
    similarity: Float32[np.ndarray, "clip action"],
    truth: Int64[np.ndarray, " clip"],
    gallery: Sequence[str],
) -> dict[str, Any]:
    """Compute macro-averaged top 1 and recall at 5, with 95 % bootstrap intervals over clips."""
    rank = (similarity > similarity[np.arange(len(truth)), truth][:, None]).sum(1)
    rng = np.random.default_rng(SEED)
    report: dict[str, Any] = {
        "clips": len(truth), "actions": len(gallery), "chance_top1": 1 / len(gallery),
    }  # fmt: skip
    for name, best in (("top1", 1), (f"recall_at_{_BEST}", _BEST)):
        rows = [(rank[truth == action] < best).astype(float) for action in np.unique(truth)]
        draws = [np.mean([rng.choice(row, len(row)).mean() for row in rows]) for _ in range(_DRAWS)]
        report[name] = float(np.mean([row.mean() for row in rows]))
        report[f"{name}_95"] = [float(edge) for edge in np.quantile(draws, (0.025, 0.975))]
    report["top1_by_action"] = {
        gallery[action]: float((rank[truth == action] < 1).mean()) for action in np.unique(truth)
    }
    return report


def _motion(model: "LangPose", mocap: Mocap, index: int) -> Float32[np.ndarray, " embedding"]:
    """Return the mean motion embedding of the middle of a clip, of unit length."""
    import torch

    batch = _footage(mocap, index)
    with torch.no_grad():
        inputs = (torch.from_numpy(x) for x in (batch.rows, batch.extras, batch.time_ns))
        embedding = model.encoder.embedding(model.encoder(*inputs)).mean((0, 1))
    return np.asarray(torch.nn.functional.normalize(embedding, dim=0).numpy(), np.float32)


def _footage(mocap: Mocap, index: int) -> Batch:
    clip = mocap.clips[index]
    frames = min(MOST_FRAMES, max(2, int(clip.duration_s * RATE_HZ)))
    run_s = np.arange(frames) / RATE_HZ
    start_s = max(clip.duration_s - run_s[-1], 0) / 2
    place = np.minimum(start_s + run_s, clip.duration_s) * clip.fps
    joints_m = interpolate(mocap, np.array([[clip.start]]), place[None])
    time_ns = np.round(run_s * 1e9).astype(np.int64)[None]
    rng = np.random.default_rng([SEED, index])
    return anchor_clips(film(rng, joints_m, time_ns, np.zeros(1, np.int64), _CONDITIONS))


def _table(report: dict[str, Any]) -> list[str]:
    lines = [f"{report['clips']} clips of {report['actions']} actions, macro average"]
    for name in ("top1", f"recall_at_{_BEST}"):
        low, high = report[f"{name}_95"]
        lines.append(f"{name:>12} {report[name]:.3f}  (95 %: {low:.3f} to {high:.3f})")
    return [*lines, f"{'chance':>12} {report['chance_top1']:.3f}"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.recognise",
        description="Zero-shot recognition of actions from motion embeddings.",
        epilog=f"example:\n  {EXAMPLE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("checkpoint", type=Path, help="model.safetensors")
    parser.add_argument("--text", type=Path, required=True, help="text.safetensors beside it")
    parser.add_argument("--text-encoder", default="", help="checkpoint it stands on")
    parser.add_argument("--mocap", type=Path, required=True, help="folder with index.json")
    parser.add_argument("--sources", nargs="*", help="these sources only")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
