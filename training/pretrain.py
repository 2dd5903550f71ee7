"""Command ``python -m training.pretrain``, stage 1: align motion with text while learning to lift.

Source: LangPose (contrastive alignment, and position and velocity reconstruction from masked and
    noisy 2D, both at once); weights and rates ours.
"""

import sys

from training.trainer.command import command, stage_parser

EXAMPLE = (
    "python -m training.pretrain --mocap data/mocap --commercial-only --minutes 60 --out runs/one"
)


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = stage_parser(
        "pretrain",
        "Stage 1: learn to lift masked, noisy 2D, and what the motion is called, at once.",
        EXAMPLE,
    )
    return command("pretrain", parser, argv)


if __name__ == "__main__":
    sys.exit(main())
