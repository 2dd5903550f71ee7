"""Options of the pipeline; each field is a flag of a command."""

from dataclasses import dataclass

from langpose_rt.config import NS_PER_S, check_range
from langpose_rt.errors import ConfigError
from langpose_rt.geometry.camera import Intrinsics
from langpose_rt.manifest import Manifest
from langpose_rt.pipeline.one_euro import smoothing_named
from langpose_rt.protocol.header import NAME_PATTERN

NS_PER_MS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class PipelineConfig:
    """How streams are lifted and what is published of them.

    Args:
        name: Name of the server in the topic of the heartbeat.
        lookahead_ms: An answer waits for this much of the future, and is better for it.
        smoothing: Output filter: ``off``, ``low`` (delay 27 ms at rest, 2 ms at 1 m/s) or ``high``
            (106 ms, 35 ms).
        ray_refinement: How strongly joints are moved towards the 2D they were lifted from, if the
            model's manifest says how: 1 as it says, 0 leaves them where the network has them.
        axes: Axes of what is published: ``camera``, or ``world`` where a camera's place is known.
        fov_deg: Field of view of the long side of unknown cameras; None assumes 60 degrees.
        person_height_m: Stature of people whose rig does not say; None takes 1.70 m.
        track_timeout_s: A person who was not seen for longer has left.
        coast_ms: A person missing from a frame is carried on by the model for so long; 0 for not at
            all.
        max_wait_ms: A stream's oldest waiting frames are skipped once they have waited longer.
        max_streams: Cameras served at once.
        idle_s: A silent stream is forgotten after this.

    Raises:
        ConfigError: If a value is out of range.
    """

    name: str = "langpose"
    lookahead_ms: float = 0.0
    smoothing: str = "low"
    ray_refinement: float = 1.0
    axes: str = "camera"
    fov_deg: float | None = None
    person_height_m: float | None = None
    track_timeout_s: float = 1.0
    coast_ms: float = 200.0
    max_wait_ms: float = 50.0
    max_streams: int = 64
    idle_s: float = 10.0

    def __post_init__(self) -> None:
        if not NAME_PATTERN.fullmatch(self.name):
            raise ConfigError(
                f"server name {self.name!r} is not 1 to 64 letters, digits or any of _.-"
            )
        smoothing_named(self.smoothing)
        if self.axes not in ("camera", "world"):
            raise ConfigError(f"unknown axes {self.axes!r}; expected camera or world")
        if self.fov_deg is not None:
            Intrinsics.from_fov(2.0, 2.0, self.fov_deg)
        if self.person_height_m is not None:
            check_range("person_height_m", self.person_height_m, 0.3, 3.0)
        check_range("ray_refinement", self.ray_refinement, 0.0, 1.0)
        check_range("lookahead_ms", self.lookahead_ms, 0.0, 2000.0)
        check_range("track_timeout_s", self.track_timeout_s, 0.1, 60.0)
        check_range("coast_ms", self.coast_ms, 0.0, 2000.0)
        check_range("max_wait_ms", self.max_wait_ms, 1.0, 10_000.0)
        check_range("max_streams", float(self.max_streams), 1.0, 4096.0)
        check_range("idle_s", self.idle_s, 1.0, 86_400.0)

    @property
    def lookahead_ns(self) -> int:
        """The lookahead in nanoseconds."""
        return round(self.lookahead_ms * NS_PER_MS)

    @property
    def max_wait_ns(self) -> int:
        """The longest wait in nanoseconds."""
        return round(self.max_wait_ms * NS_PER_MS)

    @property
    def track_timeout_ns(self) -> int:
        """How long a person is waited for, in nanoseconds."""
        return round(self.track_timeout_s * NS_PER_S)

    @property
    def coast_ns(self) -> int:
        """How long a person missing from the frames is carried on, in nanoseconds."""
        return round(self.coast_ms * NS_PER_MS)

    @property
    def idle_ns(self) -> int:
        """How long a silent stream is remembered, in nanoseconds."""
        return round(self.idle_s * NS_PER_S)


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
