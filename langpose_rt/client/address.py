"""Address of a running server and the keys to connect with."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Connection:
    """Endpoint of a server and the key arguments of the client classes.

    Attributes:
        endpoint: Such as "tcp://127.0.0.1:5555".
        keys: Keyword arguments of the client classes that enable CURVE; empty without encryption.
    """

    endpoint: str
    keys: dict[str, Any] = field(default_factory=dict, repr=False)
