"""Progress on stderr: a line or a bar that is rewritten on a terminal, plain lines elsewhere."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

_TERMINAL_S = 0.5
_ELSEWHERE_S = 10.0


class ProgressLine:
    """A progress line on stderr with a minimum interval."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._next_s = time.monotonic() + (_TERMINAL_S if self._terminal else _ELSEWHERE_S)

    def show(self, text: Callable[[], str]) -> None:
        """Show the text if the interval has passed; the text is built only then."""
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        self._next_s = now_s + (_TERMINAL_S if self._terminal else _ELSEWHERE_S)
        start, end = ("\r\x1b[K", "") if self._terminal else ("", "\n")
        print(f"{start}{text()}", end=end, file=sys.stderr, flush=True)

    def close(self) -> None:
        """End the line."""
        if self._terminal:
            print(file=sys.stderr)


@contextlib.contextmanager
def counted(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Yield a function that takes the number of steps done of a known number of steps.

    Args:
        what: The work, such as "lifting".
        total: Number of steps; 0 if it is not known.
    """
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(what, total=total or None)
            yield lambda done: bar.update(task, completed=done)
        return
    line = ProgressLine()
    of = f" of {total}" if total else ""
    yield lambda done: line.show(lambda: f"{what}: {done}{of}")
