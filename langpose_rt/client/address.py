"""Address of a running server, and the keys to connect with."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Connection:
    """Where a server is, and how it is spoken to.

    Attributes:
        endpoint: Such as "tcp://127.0.0.1:5555".
        keys: Further arguments of the client classes, which encrypt; empty where nothing is.
    """

    endpoint: str
    keys: dict[str, Any] = field(default_factory=dict, repr=False)
