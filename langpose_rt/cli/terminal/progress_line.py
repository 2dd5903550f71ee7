"""Progress line of endless work: rewritten on a terminal, repeated now and then elsewhere."""

import sys
import time
from collections.abc import Callable

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
