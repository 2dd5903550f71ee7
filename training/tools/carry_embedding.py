"""Give a checkpoint the motion embedding of an earlier one, so that its words still hold.

    python -m training.tools.carry_embedding NEW --old OLD --mocap DIR --out F

Fine-tuning moves the representation away from the embedding that was aligned with text. Both
checkpoints look at the same clips, and the projection of the new one is solved for by ridge
regression. Poses stay bit for bit; text weights and action galleries of the old one stay valid.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64

from langpose_rt.errors import ConfigError, LangPoseError
from langpose_rt.model import checkpoint
from langpose_rt.model.langpose import LangPose
from training.data.mocap import Mocap, read_mocap
from training.synthesis.batches import DataConfig, batch_from_seed

SEED = 77_012
CONDITIONS = DataConfig(clips=64, frames=48, mixed=0.0, swung=0.0, recombined=0.0)
RIDGE = 1e-3
"""Weight of the penalty, over the mean square of the features."""

_KEPT = 5
"""Every fifth batch is not solved for: the fit is measured on it."""


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--old", type=Path, required=True, help="checkpoint that knows the words")
    parser.add_argument("--mocap", type=Path, required=True, help="folder with index.json")
    parser.add_argument("--out", type=Path, required=True, help="checkpoint to write")
    parser.add_argument("--batches", type=int, default=20)
    try:
        run(parser.parse_args(argv))
    except LangPoseError as error:
        print(f"training.tools.carry_embedding: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def run(arguments: argparse.Namespace) -> None:
    """Solve, write the checkpoint and print how well the old embedding is met."""
    (model, card), (old, old_card) = (
        checkpoint.load(path) for path in (arguments.checkpoint, arguments.old)
    )
    if "text_sha256" not in old_card:
        raise ConfigError(f"{arguments.old} was never aligned with text; expected a text_sha256")
    mocap = read_mocap(arguments.mocap, "train", commercial_only=True)
    explained = carry(model.eval(), old.eval(), mocap, batches=arguments.batches)
    command = {"command": "python -m training.tools.carry_embedding", "from_step": card.get("step")}
    words = {"text_sha256": old_card["text_sha256"]}
    commands = [*card.get("commands", []), command]
    checkpoint.save(arguments.out, model, card | words | {"commands": commands})
    print(f"{100 * explained:.1f} % of the old embedding's variance is met on other clips")


def carry(model: LangPose, old: LangPose, mocap: Mocap, *, batches: int) -> float:
    """Solve for the projection of the motion embedding, in place.

    Returns:
        Share of the old embedding's variance that the new one explains, on batches left out.
    """
    pairs = [_looked_at(model, old, mocap, number) for number in range(batches)]
    kept = pairs[::_KEPT]
    solved = [pair for number, pair in enumerate(pairs) if number % _KEPT]
    features, wanted = (np.concatenate(part) for part in zip(*solved, strict=True))
    offset, centre = features.mean(0), wanted.mean(0)
    x, y = features - offset, wanted - centre
    penalty = RIDGE * np.square(x).sum(0).mean() * np.eye(x.shape[1])
    weight = np.linalg.solve(x.T @ x + penalty, x.T @ y).T
    with torch.no_grad():
        model.encoder.to_embedding.weight.copy_(torch.from_numpy(weight))
        model.encoder.to_embedding.bias.copy_(torch.from_numpy(centre - weight @ offset))
    features, wanted = (np.concatenate(part) for part in zip(*kept, strict=True))
    residual = wanted - ((features - offset) @ weight.T + centre)
    return float(1 - np.square(residual).sum() / np.square(wanted - wanted.mean(0)).sum())


@torch.no_grad()
def _looked_at(
    model: LangPose, old: LangPose, mocap: Mocap, number: int
) -> tuple[Float64[np.ndarray, "row rep"], Float64[np.ndarray, "row emb"]]:
    """Features of the new and embedding of the old checkpoint on the frames of one batch."""
    batch = batch_from_seed(mocap, CONDITIONS, SEED, number)
    inputs = [torch.from_numpy(x) for x in (batch.rows, batch.extras, batch.time_ns)]
    features = model.encoder(*inputs)[..., : model.config.representation].mean(-2)
    wanted = old.encoder.embedding(old.encoder(*inputs))
    return features.flatten(0, 1).double().numpy(), wanted.flatten(0, 1).double().numpy()


if __name__ == "__main__":
    sys.exit(main())
