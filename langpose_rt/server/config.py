"""Options of the server: ports, addresses, keys; each field is a flag of `serve`."""

from dataclasses import dataclass, field
from pathlib import Path

from langpose_rt.config import check_range
from langpose_rt.errors import ConfigError
from langpose_rt.pipeline.config import PipelineConfig
from langpose_rt.protocol.header import NAME_PATTERN

LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """Where the server listens, and what its pipeline does.

    Args:
        port: Keypoints in; 0 takes any free port.
        output_port: Poses out; None is the next one, or any free one if ``port`` is 0.
        control_port: Status, clock probes, reload; None is the one after the next, or any free one
            if ``port`` is 0.
        http_port: Health and metrics; 0 takes any free port, None serves none.
        http_bind: Address of health and metrics, which are never encrypted.
        bind: Address to listen on.
        keys: Folder with the server's own keys and the public keys of those who may come in, made
            by ``langpose-rt keys new``; with it everything but HTTP is encrypted.
        admin: The one key that may reload and drain over the control socket; every key may ask.
        ipc: Listen also in this folder, for processes of this machine: at ``ipc://`` its name and
            /keypoints, /poses or /control.
        connect: Take keypoints also from a rig that binds a PUB, as in ``tcp://rig0:5550``; may be
            given several times.
        connect_timeout_s: A rig of ``--connect`` that says nothing for longer is connected to anew.
        insecure: Allow an address that others can reach without keys.
        pipeline: Options of the pipeline.

    Raises:
        ConfigError: If a port is none, or the address is reachable and neither ``keys`` nor
            ``insecure`` is set.
    """

    port: int = 5555
    output_port: int | None = None
    control_port: int | None = None
    http_port: int | None = 9464
    http_bind: str = "127.0.0.1"
    bind: str = "127.0.0.1"
    keys: Path | None = None
    admin: str = "admin"
    ipc: Path | None = None
    connect: tuple[str, ...] = ()
    connect_timeout_s: float = 3.0
    insecure: bool = False
    pipeline: PipelineConfig = field(default_factory=PipelineConfig)

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
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        return self.bind in LOOPBACK

    @property
    def exposures(self) -> list[str]:
        """What others than this machine can reach although nothing is encrypted, in sentences."""
        exposed = []
        if not self.is_loopback and self.keys is None:
            exposed.append(f"{self.bind} is reachable from other machines and nothing is encrypted")
        if self.http_port is not None and self.http_bind not in LOOPBACK:
            exposed.append(f"health and metrics are open to whoever reaches {self.http_bind}")
        return exposed

    @property
    def pose_port(self) -> int:
        """The port poses are to go out at."""
        if self.output_port is not None:
            return self.output_port
        return self.port + 1 if self.port else 0

    @property
    def request_port(self) -> int:
        """The port that control requests are to come in at."""
        if self.control_port is not None:
            return self.control_port
        return self.port + 2 if self.port else 0
