"""Progress of `build-engine` on stderr: bars on a terminal, one line per task elsewhere."""

import contextlib
import sys
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def build_progress(*, quiet: bool = False) -> Iterator[Callable[[str, int, int], None]]:
    """Yield a function that takes the task, the steps done and all steps.

    Args:
        quiet: Show nothing.
    """
    if quiet:
        yield lambda _task, _done, _steps: None
    elif sys.stderr.isatty():
        with _bars() as report:
            yield report
    else:
        yield _Lines()


class _Lines:
    """Printer of every task once, when it begins."""

    def __init__(self) -> None:
        self._printed: set[str] = set()

    def __call__(self, task: str, _done: int, _steps: int) -> None:
        if task not in self._printed:
            self._printed.add(task)
            print(task, file=sys.stderr, flush=True)


@contextlib.contextmanager
def _bars() -> Iterator[Callable[[str, int, int], None]]:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    with Progress(console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def report(task: str, done: int, steps: int) -> None:
            if task not in tasks:
                tasks[task] = bars.add_task(task)
            bars.update(tasks[task], completed=done, total=steps)

        yield report
