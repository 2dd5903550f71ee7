"""How far `build-engine` is, on the error stream: bars on a terminal, a line per task elsewhere."""

import contextlib
import sys
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def build_progress(*, quiet: bool = False) -> Iterator[Callable[[str, int, int], None]]:
    """A function to be told what is being done, steps done and steps.

    Args:
        quiet: Show nothing.
    """
    if quiet:
        yield lambda _doing, _done, _steps: None
    elif sys.stderr.isatty():
        with _bars() as report:
            yield report
    else:
        yield _Lines()


class _Lines:
    """Every task once, when it begins."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def __call__(self, doing: str, _done: int, _steps: int) -> None:
        if doing not in self._said:
            self._said.add(doing)
            print(doing, file=sys.stderr, flush=True)


@contextlib.contextmanager
def _bars() -> Iterator[Callable[[str, int, int], None]]:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    with Progress(console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def report(doing: str, done: int, steps: int) -> None:
            if doing not in tasks:
                tasks[doing] = bars.add_task(doing)
            bars.update(tasks[doing], completed=done, total=steps)

        yield report
