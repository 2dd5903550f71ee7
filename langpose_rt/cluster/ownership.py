"""Ownership: which lifter a stream belongs to, by rendezvous hashing over the live ones.

Every front that sees the same lifters gives the same answer, without talking to another. A lifter
that leaves moves only its own streams, and one that comes takes only its share.

Source: Thaler and Ravishankar 1998, "Using name-based mappings to increase hit rates".
"""

from collections.abc import Iterable, Sequence
from hashlib import blake2b

from langpose_rt.errors import ConfigError
from langpose_rt.protocol.header import NAME_PATTERN


def owner_of(group: str, lifters: Iterable[str]) -> str | None:
    """Return the lifter that a group of streams belongs to; None without lifters."""
    return max(lifters, key=lambda lifter: (_score(lifter, group), lifter), default=None)


class Groups:
    """Groups of streams that are lifted by one lifter: the cameras of a rig, or of a volume.

    Args:
        volumes: Rigs of every capture volume, as in "rig0,rig1,rig2".

    Raises:
        ConfigError: If a name is none, or a rig is in two volumes.
    """

    def __init__(self, volumes: Sequence[str] = ()) -> None:
        self._group: dict[str, str] = {}
        for volume in volumes:
            for rig in volume.split(","):
                if not NAME_PATTERN.fullmatch(rig):
                    raise ConfigError(
                        f"volume {volume[:80]!r} is not a list of rigs; expected such as "
                        "--volume rig0,rig1"
                    )
                if rig in self._group:
                    raise ConfigError(f"rig {rig!r} is in two volumes; a stream has one lifter")
                self._group[rig] = f"volume/{volume}"

    def of(self, rig: str) -> str:
        """Return the group of a rig."""
        return self._group.get(rig, rig)


def _score(lifter: str, group: str) -> bytes:
    return blake2b(f"{lifter}\0{group}".encode(), digest_size=8).digest()
