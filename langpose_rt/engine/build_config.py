"""Engine build options: batches, architectures, optimization level."""

import re
from dataclasses import dataclass, field

from langpose_rt.errors import ConfigError
from langpose_rt.manifest import Profile

LARGEST_BATCH = 4096
MAX_PROFILES = 8
LEVELS = range(6)

_CAPABILITY = re.compile(r"(?:sm_?)?(\d{1,2})\.?(\d)")


@dataclass(frozen=True, kw_only=True)
class BuildConfig:
    """Options of an engine build; see the help of each field.

    Raises:
        ConfigError: If a value is out of range.
    """

    batch: tuple[int, ...] = field(
        default=(1, 8, 64, 256),
        metadata={"help": "largest batch of every optimization profile, rising"},
    )
    targets: tuple[str, ...] = field(metadata={"help": "compute capabilities, such as 8.9"})
    optimization_level: int = field(
        default=5, metadata={"help": "builder optimization level, 0 to 5"}
    )

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
        """Optimization profiles, one per largest batch; every batch size belongs to exactly one."""
        smallest = (1, *(size + 1 for size in self.batch[:-1]))
        return [
            Profile(smallest=low, typical=high, largest=high)
            for low, high in zip(smallest, self.batch, strict=True)
        ]


def batches_from_text(text: str) -> tuple[int, ...]:
    """Parse batch sizes such as ``1,8,64``.

    Raises:
        ConfigError: If one of them is not a number.
    """
    try:
        return tuple(int(word) for word in text.split(","))
    except ValueError:
        raise ConfigError(f"--batch is {text!r}; expected numbers as in 1,8,64,256") from None


def capabilities_from_text(text: str) -> tuple[str, ...]:
    """Parse compute capabilities such as ``sm_89,12.0``, each once, in order.

    Raises:
        ConfigError: If one of them is not a compute capability.
    """
    found = []
    for word in text.split(","):
        match = _CAPABILITY.fullmatch(word.strip())
        if match is None:
            raise ConfigError(f"--arch has {word!r}; expected architectures as in 8.9 or sm_89")
        found.append(".".join(match.groups()))
    return tuple(dict.fromkeys(found))
