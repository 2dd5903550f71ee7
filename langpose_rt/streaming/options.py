"""What a user may set of the pipeline and the server; every field is a flag of a command."""

import math
from dataclasses import dataclass, field
from pathlib import Path

from langpose_rt.camera import Intrinsics
from langpose_rt.config import NS_PER_S
from langpose_rt.errors import ConfigError
from langpose_rt.manifest import Manifest
from langpose_rt.streaming.filter import smoothing_named
from langpose_rt.streaming.header import NAME_PATTERN

NS_PER_MS = 1_000_000
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, kw_only=True)
class PipelineConfig:
    """How streams are lifted and what is published of them.

    Args:
        server: Name in the topic of the heartbeat.
        lookahead_ms: An answer waits for this much of the future, and is better for it.
        smoothing: Output filter: ``off``, ``low`` (delay 32 ms at rest, 11 ms at 1 m/s) or ``high``
            (106 ms, 35 ms).
        ray_refinement: How strongly joints are moved towards the 2D they were lifted from, if the
            model's manifest says how: 1 as it says, 0 leaves them where the network has them.
        frame: Axes of what is published: ``camera``, or ``world`` where a camera's place is known.
        fov_deg: Field of view of the long side of unknown cameras; None assumes 60 degrees.
        person_height_m: Stature of people whose rig does not say; None takes 1.70 m.
        hold_s: A person who was not seen for longer has left.
        held_ms: A person missing from a frame is carried on by the model for so long; 0 for not at
            all.
        backlog_ms: A stream's oldest waiting frames are skipped once they have waited longer.
        max_streams: Cameras served at once.
        idle_s: A silent stream is forgotten after this.

    Raises:
        ConfigError: If a value is out of range.
    """

    server: str = "langpose"
    lookahead_ms: float = 0.0
    smoothing: str = "low"
    ray_refinement: float = 1.0
    frame: str = "camera"
    fov_deg: float | None = None
    person_height_m: float | None = None
    hold_s: float = 1.0
    held_ms: float = 200.0
    backlog_ms: float = 50.0
    max_streams: int = 64
    idle_s: float = 10.0

    def __post_init__(self) -> None:
        if not NAME_PATTERN.fullmatch(self.server):
            raise ConfigError(
                f"server name {self.server!r} is not 1 to 64 letters, digits or any of _.-"
            )
        smoothing_named(self.smoothing)
        if self.frame not in ("camera", "world"):
            raise ConfigError(f"unknown frame {self.frame!r}; expected camera or world")
        if self.fov_deg is not None:
            Intrinsics.from_fov(2.0, 2.0, self.fov_deg)
        if self.person_height_m is not None:
            _require("person_height_m", self.person_height_m, 0.3, 3.0)
        _require("ray_refinement", self.ray_refinement, 0.0, 1.0)
        _require("lookahead_ms", self.lookahead_ms, 0.0, 2000.0)
        _require("hold_s", self.hold_s, 0.1, 60.0)
        _require("held_ms", self.held_ms, 0.0, 2000.0)
        _require("backlog_ms", self.backlog_ms, 1.0, 10_000.0)
        _require("max_streams", float(self.max_streams), 1.0, 4096.0)
        _require("idle_s", self.idle_s, 1.0, 86_400.0)

    @property
    def lookahead_ns(self) -> int:
        """The lookahead in nanoseconds."""
        return round(self.lookahead_ms * NS_PER_MS)

    @property
    def backlog_ns(self) -> int:
        """The longest wait in nanoseconds."""
        return round(self.backlog_ms * NS_PER_MS)

    @property
    def hold_ns(self) -> int:
        """How long a person is waited for, in nanoseconds."""
        return round(self.hold_s * NS_PER_S)

    @property
    def held_ns(self) -> int:
        """How long a person missing from the frames is carried on, in nanoseconds."""
        return round(self.held_ms * NS_PER_MS)

    @property
    def idle_ns(self) -> int:
        """How long a silent stream is remembered, in nanoseconds."""
        return round(self.idle_s * NS_PER_S)


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
        _require("connect_timeout_s", self.connect_timeout_s, 0.1, 3600.0)
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


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports a server really listens on; http is 0 where there is none."""

    keypoints: int = 0
    poses: int = 0
    control: int = 0
    http: int = 0


def check_live(manifest: Manifest, config: PipelineConfig) -> None:
    """That a model can serve what is asked of it.

    Raises:
        ConfigError: If it does not take live input, or was not trained for the lookahead.
    """
    model, longest_ms = manifest.model_config, manifest.longest_lookahead_ms
    if model.input != "anchored" or not model.causal:
        raise ConfigError(f"model {model.name!r} is not causal, anchored; serve a live model")
    if longest_ms is not None and config.lookahead_ms > longest_ms:
        raise ConfigError(
            f"lookahead_ms is {config.lookahead_ms:g}; model {model.name!r} was trained for up to "
            f"{longest_ms:g}"
        )


def _require(name: str, value: float, least: float, most: float) -> None:
    if not (math.isfinite(value) and least <= value <= most):
        raise ConfigError(f"{name} is {value:g}; expected {least:g} to {most:g}")
