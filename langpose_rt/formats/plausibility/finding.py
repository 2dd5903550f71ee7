"""Result of a plausibility check that failed."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of a check that failed.

    Attributes:
        reason: Short label; name of the counter and the event.
        detail: One sentence for the user: what was found, what it looks like, what to do.
        impossible: The numbers cannot be right; False if they are merely odd.
    """

    reason: str
    detail: str
    impossible: bool
