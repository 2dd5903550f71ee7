"""Command ``python -m training.finetune``, stage 2: train lifting alone, without labels or text.

From a stage 1 checkpoint (`--start-from`) or from scratch.

Source: LangPose (no labels and no text in fine-tuning, second-hand); the rest ours.
"""

import sys

from training.trainer.command import command, stage_parser

EXAMPLE = """python -m training.finetune --mocap data/mocap --commercial-only --minutes 60 \\
      --start-from runs/one/model.safetensors --out runs/live"""


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = stage_parser(
        "finetune", "Stage 2: learn to lift what random cameras and detectors see.", EXAMPLE
    )
    return command("finetune", parser, argv)


if __name__ == "__main__":
    sys.exit(main())
