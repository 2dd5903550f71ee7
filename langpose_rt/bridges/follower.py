"""Follower: selection of one person, for receivers that show only one."""

import math
from collections.abc import Callable
from typing import Literal

from langpose_rt.config import NS_PER_S
from langpose_rt.errors import ConfigError
from langpose_rt.protocol.messages import PoseMessage

Choice = int | Literal["first", "nearest"]
"""An id, or how to choose a person: the first of the message, or the one nearest to the camera."""

AWAY_S = 0.5
"""Somebody who is missing for so long is reported."""

PATIENCE_S = 10.0
"""Default time after which another person is chosen."""


def choice_from_text(text: str) -> Choice:
    """Parse an id, "first" or "nearest".

    Raises:
        ConfigError: If it is none of them.
    """
    words: dict[str, Choice] = {"first": "first", "nearest": "nearest"}
    if text in words:
        return words[text]
    if text.isdecimal() and int(text) < 1 << 53:
        return int(text)
    raise ConfigError(f"--person is {text!r}; expected an id such as 3, or first, or nearest")


class Follower:
    """Follows one person by id, and waits for them when they are away.

    Only one stream is followed, the first one that arrives: two cameras see every person twice.
    An id that was given is waited for without end. A person who was chosen is waited for until
    the patience is over; then another one is chosen. Times are capture times.

    Args:
        choice: Whom to follow.
        patience_s: How long a chosen person is waited for; 0 chooses another at once.
        report: Called with one line when somebody is followed, waited for or given up.

    Attributes:
        following: Id of the followed person; None before anybody is.

    Raises:
        ConfigError: If the patience is negative.
    """

    def __init__(
        self,
        choice: Choice = "first",
        *,
        patience_s: float = PATIENCE_S,
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        if not patience_s >= 0:
            raise ConfigError(f"--patience-s is {patience_s:g}; expected 0 or more, such as 10")
        self._choice, self._patience_s, self._report = choice, patience_s, report
        self.following: int | None = choice if isinstance(choice, int) else None
        self._topic: str | None = None
        self._seen_ns: int | None = None
        self._told: int | None = None
        self._told_away = False

    def accepts(self, message: PoseMessage) -> bool:
        """Return True if a message belongs to the followed stream."""
        if self._topic is None:
            self._topic = message.topic
        return message.topic == self._topic

    def person(self, message: PoseMessage) -> int | None:
        """Return the index of the followed person in a message; None if they are not there."""
        here = {
            int(number): index
            for index, (number, state) in enumerate(zip(message.ids, message.state, strict=True))
            if state != "lost"
        }
        if self._seen_ns is None:
            self._seen_ns = message.t_srv
        away_s = (message.t_srv - self._seen_ns) / NS_PER_S
        if self.following not in here and here and self._may_choose(away_s):
            self._choose(message, here)
        if self.following in here:
            self._arrived(message)
            return here[self.following]
        if away_s >= AWAY_S and not self._told_away:
            self._told_away = True
            self._report(f"waiting for {self._named(message)}{self._until()}")
        return None

    def _may_choose(self, away_s: float) -> bool:
        if isinstance(self._choice, int):
            return False
        return self.following is None or away_s >= self._patience_s

    def _choose(self, message: PoseMessage, here: dict[int, int]) -> None:
        """Follow somebody else from now on."""
        gone = self.following
        if self._choice == "nearest" and message.root is not None:
            root = message.root
            self.following = min(here, key=lambda number: math.hypot(*root[here[number]].tolist()))
        else:
            self.following = next(iter(here))
        if gone is not None:
            self._report(f"person {gone} has not come back; going on to another")

    def _arrived(self, message: PoseMessage) -> None:
        if self._told_away or self.following != self._told:
            self._report(f"following {self._named(message)}")
        self._told, self._told_away, self._seen_ns = self.following, False, message.t_srv

    def _named(self, message: PoseMessage) -> str:
        who = "anybody" if self.following is None else f"person {self.following}"
        return f"{who} of {message.rig}/{message.camera}"

    def _until(self) -> str:
        if self.following is None or isinstance(self._choice, int):
            return ""
        return f"; another is chosen after {self._patience_s:g} s (--patience-s)"
