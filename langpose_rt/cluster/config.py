"""Options of a cluster; each field is a flag of `cluster`."""

from dataclasses import dataclass, field

from langpose_rt.cluster.ownership import Groups
from langpose_rt.config import check_range
from langpose_rt.errors import ConfigError

NS_PER_MS = 1_000_000
MOST_LIFTERS = 256


@dataclass(frozen=True, kw_only=True)
class ClusterConfig:
    """Options of a cluster; see the help of each field.

    Raises:
        ConfigError: If a value is out of range, or there is no lifter.
    """

    lifters: int = field(default=0, metadata={"help": "lifters to start"})
    lifter: tuple[str, ...] = field(
        default=(),
        metadata={
            "help": (
                "control address of a server that runs elsewhere and takes part once it answers, "
                "as in tcp://gpu1:5557; may be given several times"
            )
        },
    )
    volume: tuple[str, ...] = field(
        default=(),
        metadata={
            "help": (
                "rigs of a capture volume, which one lifter serves, as in rig0,rig1; may be given "
                "several times"
            )
        },
    )
    lost_after_ms: float = field(
        default=400.0,
        metadata={"help": "the streams of a lifter that is silent for so long move to others"},
    )

    def __post_init__(self) -> None:
        if not 0 <= self.lifters <= MOST_LIFTERS:
            raise ConfigError(f"--lifters is {self.lifters}; expected 0 to {MOST_LIFTERS}")
        if not (self.lifters or self.lifter):
            raise ConfigError(
                "a cluster without lifters lifts nothing; say --lifters 2, or --lifter with the "
                "control address of a server"
            )
        for endpoint in self.lifter:
            host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
            good = endpoint.startswith("tcp://") and host and port.isdecimal()
            if not good or not 0 < int(port) <= 65535:
                raise ConfigError(
                    f"--lifter {endpoint[:80]!r} is no control address; expected such as "
                    "tcp://gpu1:5557"
                )
        if len(set(self.lifter)) < len(self.lifter):
            raise ConfigError("the same --lifter is given twice")
        check_range("lost_after_ms", self.lost_after_ms, 150.0, 60_000.0)
        Groups(self.volume)

    @property
    def groups(self) -> Groups:
        """Streams that belong together."""
        return Groups(self.volume)

    @property
    def lost_after_ns(self) -> int:
        """Silence after which a lifter is lost, in nanoseconds."""
        return round(self.lost_after_ms * NS_PER_MS)
