"""Options of the pipeline; each field is a flag of a command."""

from dataclasses import dataclass, field

from langpose_rt.config import NS_PER_S, check_range
from langpose_rt.errors import ConfigError
from langpose_rt.formats.clip import size_from_text
from langpose_rt.geometry.camera import Intrinsics
from langpose_rt.geometry.level_axes import (
    CAMERA_PITCH_HELP,
    GRAVITY_HELP,
    Vector,
    gravity_from_options,
)
from langpose_rt.manifest import Manifest
from langpose_rt.pipeline.one_euro import smoothing_named
from langpose_rt.protocol.header import NAME_PATTERN

NS_PER_MS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class PipelineConfig:
    """Options of the pipeline; see the help of each field.

    Raises:
        ConfigError: If a value is out of range.
    """

    name: str = field(
        default="langpose", metadata={"help": "name of the server in the topic of the heartbeat"}
    )
    lookahead_ms: float = field(
        default=0.0,
        metadata={
            "help": "time a pose waits for later frames; a longer lookahead is more accurate"
        },
    )
    smoothing: str = field(
        default="low",
        metadata={
            "help": (
                "output filter: off, low (delay 27 ms at rest, 2 ms at 1 m/s) or high (106 ms, "
                "35 ms)"
            )
        },
    )
    ray_refinement: float = field(
        default=1.0,
        metadata={
            "help": (
                "strength of the refinement that moves joints towards their 2D, for models whose "
                "manifest specifies one; 0 turns it off"
            )
        },
    )
    bone_steadiness: float = field(
        default=1.0,
        metadata={
            "help": (
                "how much the bones of a person keep the mean length they have had so far; 0 gives "
                "every frame its own"
            )
        },
    )
    axes: str = field(
        default="camera",
        metadata={"help": "axes of the poses: camera, or world where the camera is calibrated"},
    )
    size: str | None = field(
        default=None,
        metadata={
            "help": "image size of JSON that says none, such as 1920x1080 (default: refuse it)"
        },
    )
    fov_deg: float | None = field(
        default=None,
        metadata={
            "help": "field of view of the long side of unknown cameras (default: 60 degrees)"
        },
    )
    camera_pitch_deg: float | None = field(
        default=None,
        metadata={"help": CAMERA_PITCH_HELP},
    )
    gravity: str | None = field(default=None, metadata={"help": GRAVITY_HELP, "metavar": "X,Y,Z"})
    person_height_m: float | None = field(
        default=None,
        metadata={"help": "stature of people whose rig does not send it (default: 1.70 m)"},
    )
    track_timeout_s: float = field(
        default=1.0, metadata={"help": "a person not seen for longer is removed"}
    )
    coast_ms: float = field(
        default=200.0,
        metadata={
            "help": (
                "the model extrapolates a person missing from a frame for this long; 0 turns it off"
            )
        },
    )
    max_wait_ms: float = field(
        default=100.0,
        metadata={
            "help": "frames that wait longer in the queue of a stream are dropped, oldest first"
        },
    )
    fuse: bool = field(
        default=False,
        metadata={
            "help": "fuse the cameras of a calibration file, a capture volume, to one stream"
        },
    )
    fuse_wait_ms: float = field(
        default=20.0,
        metadata={
            "help": (
                "longest wait of the fused poses for a camera that is behind; 0 extrapolates it at "
                "once"
            )
        },
    )
    max_streams: int = field(default=64, metadata={"help": "cameras served at once"})
    front: str | None = field(
        default=None,
        metadata={
            "help": "the key of a cluster's front, which may publish as every rig (default: none)"
        },
    )
    idle_s: float = field(
        default=10.0, metadata={"help": "a stream without frames is removed after this"}
    )

    def __post_init__(self) -> None:
        if not NAME_PATTERN.fullmatch(self.name):
            raise ConfigError(
                f"server name {self.name!r} is not 1 to 64 letters, digits or any of _.-"
            )
        if self.front is not None and not NAME_PATTERN.fullmatch(self.front):
            raise ConfigError(
                f"front {self.front[:80]!r} is no name of a key: 1 to 64 letters, digits or any of "
                "_.-"
            )
        smoothing_named(self.smoothing)
        if self.axes not in ("camera", "world"):
            raise ConfigError(f"unknown axes {self.axes!r}; expected camera or world")
        if self.size is not None:
            size_from_text(self.size)
        if self.fov_deg is not None:
            Intrinsics.from_fov(2.0, 2.0, self.fov_deg)
        gravity_from_options(self.gravity, self.camera_pitch_deg)
        if self.person_height_m is not None:
            check_range("person_height_m", self.person_height_m, 0.3, 3.0)
        check_range("ray_refinement", self.ray_refinement, 0.0, 1.0)
        check_range("bone_steadiness", self.bone_steadiness, 0.0, 1.0)
        check_range("lookahead_ms", self.lookahead_ms, 0.0, 2000.0)
        check_range("track_timeout_s", self.track_timeout_s, 0.1, 60.0)
        check_range("coast_ms", self.coast_ms, 0.0, 2000.0)
        check_range("max_wait_ms", self.max_wait_ms, 1.0, 10_000.0)
        check_range("fuse_wait_ms", self.fuse_wait_ms, 0.0, 1000.0)
        check_range("max_streams", float(self.max_streams), 1.0, 4096.0)
        check_range("idle_s", self.idle_s, 1.0, 86_400.0)

    @property
    def gravity_camera(self) -> Vector | None:
        """Gravity of cameras whose gravity is not known otherwise, in camera axes."""
        return gravity_from_options(self.gravity, self.camera_pitch_deg)

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Width and height in pixels of JSON that says none; None if it is refused."""
        return None if self.size is None else size_from_text(self.size)

    @property
    def lookahead_ns(self) -> int:
        """Lookahead in nanoseconds."""
        return round(self.lookahead_ms * NS_PER_MS)

    @property
    def max_wait_ns(self) -> int:
        """Longest wait in the frame queue, in nanoseconds."""
        return round(self.max_wait_ms * NS_PER_MS)

    @property
    def track_timeout_ns(self) -> int:
        """Time after which an unseen person is removed, in nanoseconds."""
        return round(self.track_timeout_s * NS_PER_S)

    @property
    def coast_ns(self) -> int:
        """Longest extrapolation of a missing person, in nanoseconds."""
        return round(self.coast_ms * NS_PER_MS)

    @property
    def idle_ns(self) -> int:
        """Time after which a stream without frames is removed, in nanoseconds."""
        return round(self.idle_s * NS_PER_S)


def check_live(manifest: Manifest, config: PipelineConfig) -> None:
    """Check that a model can serve live with a configuration.

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
