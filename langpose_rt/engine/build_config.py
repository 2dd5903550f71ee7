"""What an engine is built for: batches, architectures, and how long the builder may search."""

import re
from dataclasses import dataclass

from langpose_rt.errors import ConfigError
from langpose_rt.manifest import Profile

LARGEST_BATCH = 4096
MAX_PROFILES = 8
LEVELS = range(6)

_CAPABILITY = re.compile(r"(?:sm_?)?(\d{1,2})\.?(\d)")


@dataclass(frozen=True, kw_only=True)
class BuildConfig:
    """How engines are built.

    Args:
        batch: Largest batch of every latency class, rising.
        targets: Compute capabilities, as ``8.9``.
        optimization_level: How hard the builder searches, 0 to 5.

    Raises:
        ConfigError: If a value is out of range.
    """

    batch: tuple[int, ...] = (1, 8, 64, 256)
    targets: tuple[str, ...]
    optimization_level: int = 5

    def __post_init__(self) -> None:
        rising = list(self.batch) == sorted(set(self.batch))
        if not rising or not 1 <= len(self.batch) <= MAX_PROFILES:
            raise ConfigError(
                f"--batch is {','.join(map(str, self.batch))}; "
                f"expected up to {MAX_PROFILES} rising numbers, as in 1,8,64,256"
            )
        if not 1 <= self.batch[0] <= self.batch[-1] <= LARGEST_BATCH:
            raise ConfigError(
                f"--batch is {','.join(map(str, self.batch))}; expected 1 to {LARGEST_BATCH}"
            )
        if not self.targets:
            raise ConfigError("an engine needs an architecture to be built for")
        if self.optimization_level not in LEVELS:
            raise ConfigError(f"--level is {self.optimization_level}; expected 0 to {LEVELS[-1]}")

    @property
    def profiles(self) -> list[Profile]:
        """One profile per latency class; every batch belongs to exactly one."""
        smallest = (1, *(size + 1 for size in self.batch[:-1]))
        return [
            Profile(smallest=low, typical=high, largest=high)
            for low, high in zip(smallest, self.batch, strict=True)
        ]


def batches_from_text(text: str) -> tuple[int, ...]:
    """Numbers of a list as ``1,8,64``.

    Raises:
        ConfigError: If one of them is no number.
    """
    try:
        return tuple(int(word) for word in text.split(","))
    except ValueError:
        raise ConfigError(f"--batch is {text!r}; expected numbers as in 1,8,64,256") from None


def capabilities_from_text(text: str) -> tuple[str, ...]:
    """Compute capabilities of a list as ``sm_89,12.0``, each once, in order.

    Raises:
        ConfigError: If one of them is none.
    """
    found = []
    for word in text.split(","):
        match = _CAPABILITY.fullmatch(word.strip())
        if match is None:
            raise ConfigError(f"--arch has {word!r}; expected architectures as in 8.9 or sm_89")
        found.append(".".join(match.groups()))
    return tuple(dict.fromkeys(found))
