"""How far `build-engine` is: bars on a terminal, one line per task elsewhere."""

import contextlib
from collections.abc import Callable, Iterator
from typing import TextIO


@contextlib.contextmanager
def build_progress(
    stream: TextIO, *, quiet: bool = False
) -> Iterator[Callable[[str, int, int], None]]:
    """A function to be told what is being done, steps done and steps.

    Args:
        stream: Where it is shown.
        quiet: Show nothing.
    """
    if quiet:
        yield lambda _doing, _done, _steps: None
    elif stream.isatty():
        with _bars(stream) as report:
            yield report
    else:
        yield _Lines(stream)


class _Lines:
    """Every task once, when it begins."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._said: set[str] = set()

    def __call__(self, doing: str, _done: int, _steps: int) -> None:
        if doing not in self._said:
            self._said.add(doing)
            print(doing, file=self._stream, flush=True)


@contextlib.contextmanager
def _bars(stream: TextIO) -> Iterator[Callable[[str, int, int], None]]:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    with Progress(console=Console(file=stream), transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def report(doing: str, done: int, steps: int) -> None:
            if doing not in tasks:
                tasks[doing] = bars.add_task(doing)
            bars.update(tasks[doing], completed=done, total=steps)

        yield report
