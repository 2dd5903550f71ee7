"""Progress output of a run: progress bar or plain lines, log.jsonl and TensorBoard files."""

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from training.trainer.loop import Progress


def report(progress: "Iterable[Progress]", out: Path, *, resumed: bool = False) -> None:
    """Show a progress bar on a terminal and plain lines elsewhere, and write all values to logs.

    Logs are log.jsonl and, if TensorBoard is installed, its event files. At the end a line says
    what was written, how good it is and what comes next. A resumed run goes on in its log.
    """
    from rich.console import Console
    from rich.progress import Progress as Bar

    console = Console()
    with (
        (out / "log.jsonl").open("a" if resumed else "w") as log,
        tensorboard(out) as board,
        Bar(console=console, disable=not console.is_terminal) as bar,
    ):
        task, step, best_mm = bar.add_task("training", total=1.0), 0, float("inf")
        for item in progress:
            step, best_mm = item.step, min(best_mm, item.values.get("val_mpjpe_mm", best_mm))
            bar.update(task, completed=item.share, description=log_line(item)[:100])
            log.write(json.dumps(log_entry(item)) + "\n")
            log.flush()
            for name, value in log_entry(item).items():
                board(name, value, item.step)
            if not console.is_terminal or "val_mpjpe_mm" in item.values:
                print(log_line(item), flush=True)
    if step:  # only the leading process of a run has progress
        print(finish_line(out, step, best_mm))


@contextlib.contextmanager
def tensorboard(out: Path) -> "Iterator[Callable[[str, float, int], None]]":
    """Yield a function (name, value, step) that writes TensorBoard files, if it is installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        yield lambda *_: None
        return
    with SummaryWriter(str(out)) as writer:
        yield writer.add_scalar


def finish_line(out: Path, step: int, best_mm: float) -> str:
    """Return what a run wrote, how good it is and what comes next."""
    weights, good = out / "model.safetensors", "no validation was due"
    if best_mm < float("inf"):
        good = f"best validation error {best_mm:.1f} mm (MPJPE: mean distance of a joint)"
    return (
        f"wrote {weights}, the averaged weights, and the state for --resume beside it; logged up "
        f"to step {step}; {good}; next: langpose-rt export {weights} --out {out / 'served'}"
    )


def log_entry(item: "Progress") -> dict[str, float]:
    """Return one line of log.jsonl."""
    run = {"step": float(item.step), "share": item.share, "frames_per_s": item.frames_per_s}
    return run | item.values


def log_line(item: "Progress") -> str:
    """Format one line of text."""
    values = " ".join(f"{name} {value:.4g}" for name, value in item.values.items())
    return (
        f"step {item.step} {100 * item.share:.1f} % {item.frames_per_s:.0f} frames/s "
        f"{item.left_s / 60:.0f} min left  {values}"
    )
