"""Server options: ports, addresses and keys; each field is a flag of `serve`."""

from dataclasses import dataclass, field
from pathlib import Path

from langpose_rt.config import check_range
from langpose_rt.errors import ConfigError
from langpose_rt.pipeline.config import PipelineConfig
from langpose_rt.protocol.header import NAME_PATTERN

LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """Options of the server; see the help of each field.

    Raises:
        ConfigError: If a port is invalid, or the address is reachable from other machines and
            neither ``keys`` nor ``insecure`` is set.
    """

    port: int = field(
        default=5555, metadata={"help": "port of the keypoints; 0 takes any free port"}
    )
    output_port: int | None = field(
        default=None,
        metadata={
            "help": "port of the poses (default: the one after --port; any free one if that is 0)"
        },
    )
    control_port: int | None = field(
        default=None,
        metadata={
            "help": (
                "port of status, clock probes and reload (default: the second after --port; any "
                "free one if that is 0)"
            )
        },
    )
    http_port: int | None = field(
        default=9464, metadata={"help": "port of health and metrics; 0 takes any free port"}
    )
    http_bind: str = field(
        default="127.0.0.1",
        metadata={"help": "address of health and metrics, which are never encrypted"},
    )
    bind: str = field(default="127.0.0.1", metadata={"help": "address to listen on"})
    keys: Path | None = field(
        default=None,
        metadata={
            "help": (
                "folder with the server's own keys and the public keys of accepted clients, made "
                "by langpose-rt keys new; with it everything but HTTP is encrypted"
            )
        },
    )
    admin: str = field(
        default="admin",
        metadata={
            "help": (
                "the only key that may reload and drain over the control socket; every key may "
                "query"
            )
        },
    )
    ipc: Path | None = field(
        default=None,
        metadata={
            "help": (
                "listen also in this folder, for processes of this machine: at ipc:// its name "
                "and /keypoints, /poses or /control"
            )
        },
    )
    connect: tuple[str, ...] = field(
        default=(),
        metadata={
            "help": (
                "take keypoints also from a rig that binds a PUB, as in tcp://rig0:5550; may be "
                "given several times"
            )
        },
    )
    connect_timeout_s: float = field(
        default=3.0,
        metadata={"help": "reconnect to a rig of --connect that sends nothing for longer"},
    )
    behind_front: bool = field(
        default=False,
        metadata={
            "help": (
                "all rigs come through the front of a cluster, so that shares of time are of rigs "
                "by name, not of connections"
            )
        },
    )
    insecure: bool = field(
        default=False, metadata={"help": "allow an address that others can reach without keys"}
    )
    pipeline: PipelineConfig = field(
        default_factory=PipelineConfig, metadata={"help": "options of the pipeline"}
    )

    def __post_init__(self) -> None:
        for name in ("port", "output_port", "control_port", "http_port"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 65535:
                raise ConfigError(f"{name} is {value}; expected 0 (any free port) to 65535")
        check_range("connect_timeout_s", self.connect_timeout_s, 0.1, 3600.0)
        if self.output_port is None and self.port == 65535:
            raise ConfigError("port 65535 leaves no next port for poses; choose another --port")
        if self.control_port is None and self.port >= 65534:
            raise ConfigError(
                f"port {self.port} leaves no next but one port for control; choose another --port"
            )
        if not (self.is_loopback or self.keys or self.insecure):
            raise ConfigError(
                f"{self.bind} can be reached from other machines and nothing is encrypted; make "
                "keys with 'langpose-rt keys new server' and serve with --keys, bind 127.0.0.1, or "
                "say --insecure if you trust the network"
            )
        if not NAME_PATTERN.fullmatch(self.admin):
            raise ConfigError(
                f"admin {self.admin[:80]!r} is no name of a key: 1 to 64 letters, digits or any of "
                "_.-"
            )
        if self.keys is not None and self.connect:
            raise ConfigError(
                "a rig that binds is not encrypted, so --connect does not go with --keys; let the "
                "rig connect to the server"
            )

    @property
    def has_front(self) -> bool:
        """True if all rigs come through the front of a cluster."""
        return self.behind_front or self.pipeline.front is not None

    @property
    def is_loopback(self) -> bool:
        """True if only this machine can reach the server."""
        return self.bind in LOOPBACK

    @property
    def exposures(self) -> list[str]:
        """Sentences about unencrypted ports that other machines can reach."""
        exposed = []
        if not self.is_loopback and self.keys is None:
            exposed.append(f"{self.bind} is reachable from other machines and nothing is encrypted")
        if self.http_port is not None and self.http_bind not in LOOPBACK:
            exposed.append(f"health and metrics are open to whoever reaches {self.http_bind}")
        return exposed

    @property
    def pose_port(self) -> int:
        """Port of the poses; 0 for any free port."""
        if self.output_port is not None:
            return self.output_port
        return self.port + 1 if self.port else 0

    @property
    def request_port(self) -> int:
        """Port of control requests; 0 for any free port."""
        if self.control_port is not None:
            return self.control_port
        return self.port + 2 if self.port else 0
