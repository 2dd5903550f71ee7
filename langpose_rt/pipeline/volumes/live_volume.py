"""One capture volume of a running pipeline: frames of its streams in, fused instants out.

Which stream belongs to which volume is decided in `routing.py`, messages are built in
`fused_messages.py`. Times are arguments.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from langpose_rt.config import NS_PER_S
from langpose_rt.formats.volume_calibration import VolumeCalibration
from langpose_rt.fusion.camera_array import CameraArray
from langpose_rt.fusion.fused_frame import FusedFrame
from langpose_rt.fusion.volume import CaptureVolume, VolumeConfig
from langpose_rt.geometry.camera import Camera, gravity_in_world
from langpose_rt.geometry.skeleton import SKELETONS, Skeleton
from langpose_rt.monitoring.counters import Rate
from langpose_rt.monitoring.snapshot import VolumeCamera, VolumeSnapshot
from langpose_rt.pipeline.config import PipelineConfig
from langpose_rt.pipeline.volumes.lifted_frame import LiftedFrame

SHORTEST_PERIOD_MS = 1000 / 130
"""Instants are no nearer together: a camera that floods costs no more than one of 120 Hz."""

SILENT_NS = 2 * NS_PER_S
"""Another stream may stand for a camera whose stream has been silent for this long."""

MOST_ARRIVALS = 256

_SMOOTHING = 0.05

Report = Callable[[str, str], None]
"""Reports an event of the volume: its reason, and a sentence."""


@dataclass(frozen=True, slots=True, eq=False)
class FusedInstant:
    """People of a volume at one instant.

    Attributes:
        volume: Name of the volume.
        cameras: Names of its cameras.
        seq: Number of the instant.
        frame: The people.
        wait_ns: From the arrival of the frame that set the instant until it was fused.
        gravity: Unit vector that points down in world axes; None if it is not known.
    """

    volume: str
    cameras: tuple[str, ...]
    seq: int
    frame: FusedFrame
    wait_ns: int
    gravity: tuple[float, float, float] | None = None


@dataclass(slots=True)
class _Feed:
    """Stream that stands for a camera of the volume."""

    stream: tuple[str, str]
    heard_ns: int
    people: int = 0
    late_ns: float = 0.0


class LiveVolume:
    """A capture volume that follows its streams.

    The keypoint format is that of the first frame; cameras that send another one contribute the
    keypoints of the same names.

    Args:
        calibration: Its cameras.
        config: Options of the pipeline.
        report: Reports events.

    Raises:
        ConfigError: If the cameras cannot be fused.
    """

    def __init__(
        self, calibration: VolumeCalibration, config: PipelineConfig, report: Report
    ) -> None:
        CameraArray.of_cameras(calibration.cameras)
        self.calibration, self._report = calibration, report
        self._config = VolumeConfig(
            wait_ms=config.fuse_wait_ms, shortest_period_ms=SHORTEST_PERIOD_MS
        )
        self._volume: CaptureVolume | None = None
        self._columns: dict[str, np.ndarray | None] = {}
        self._feeds: dict[str, _Feed] = {}
        self._arrivals: dict[int, int] = {}
        self._seq = 0
        self._people = 0
        self._rate, self._counted_ns = Rate(0), 0

    @property
    def name(self) -> str:
        """Name of the volume."""
        return self.calibration.name

    def next_due_ns(self) -> int | None:
        """Return when an instant has waited for long enough; None if none waits."""
        return None if self._volume is None else self._volume.next_due_ns()

    def recalibrate(self, calibration: VolumeCalibration) -> None:
        """Go on with another calibration; everybody keeps the id.

        Raises:
            ConfigError: If the cameras cannot be fused; everything is as before then.
        """
        CameraArray.of_cameras(calibration.cameras)
        if self._volume is not None:
            self._volume.recalibrate(calibration.cameras)
        self._feeds = {n: feed for n, feed in self._feeds.items() if n in calibration.cameras}
        self.calibration = calibration
        names = ", ".join(calibration.cameras)
        self._report("calibrated", f"another calibration is used, of the cameras {names}")

    def take(self, camera: str, lifted: LiftedFrame, now_ns: int) -> bool:
        """Take one frame of one camera.

        Args:
            camera: Name of the camera in the calibration.
            lifted: The frame.
            now_ns: The time.

        Returns:
            False if it was not taken: of a second stream for the same camera, or not newer than
            the last one.
        """
        frame, message = lifted.frame, lifted.frame.message
        feed = self._feed(camera, lifted.stream, now_ns)
        if feed is None:
            return False
        skeleton = SKELETONS[message.skeleton]
        if self._volume is None:
            self._volume = CaptureVolume(self.calibration.cameras, skeleton, self._config)
        offset_ns = self.calibration.offsets_ns.get(camera, 0)
        # a rig may claim any capture time, but none has captured what has not come yet
        t_ns = min(frame.stamp.t_srv_ns - offset_ns, frame.received_ns)
        T_world_camera = self.calibration.cameras[camera].T_world_camera
        assert T_world_camera is not None  # CameraArray has checked it
        taken = self._volume.feed(
            camera,
            t_ns,
            self._in_format(message.keypoints, skeleton, self._volume.layout.skeleton),
            now_ns=now_ns,
            lifts=lifted.lifts_in_world(T_world_camera),
            lens=frame.camera_model.intrinsics,
        )
        feed.people = len(message.keypoints)
        feed.late_ns += _SMOOTHING * (now_ns - t_ns - feed.late_ns)
        if taken:
            self._arrivals.setdefault(t_ns, frame.received_ns)
            while len(self._arrivals) > MOST_ARRIVALS:
                del self._arrivals[next(iter(self._arrivals))]
        return taken

    def fuse(self, now_ns: int, *, everything: bool = False) -> list[FusedInstant]:
        """Fuse every instant that need not wait any longer, or all of them."""
        if self._volume is None:
            return []
        frames = self._volume.flush(now_ns) if everything else self._volume.tick(now_ns)
        for event in self._volume.take_events():
            self._report(event.kind, event.detail)
        return [self._instant(frame, now_ns) for frame in frames]

    def snapshot(self, now_ns: int) -> VolumeSnapshot:
        """Return the state at the given time; callable from any thread."""
        if now_ns - self._counted_ns > NS_PER_S:
            self._rate.update(now_ns)
            self._counted_ns = now_ns
        volume, feeds = self._volume, dict(self._feeds)
        cameras = self.calibration.cameras
        miss_m = np.full(len(cameras), np.nan) if volume is None else volume.miss_m()
        if len(miss_m) != len(cameras):  # another calibration is being taken at this moment
            miss_m = np.full(len(cameras), np.nan)
        return VolumeSnapshot(
            name=self.name,
            people=self._people,
            fps=self._rate.per_s,
            gravity=gravity_in_world(self.calibration.cameras.values()),
            format="" if volume is None else volume.layout.skeleton.name,
            cameras=tuple(
                _camera_snapshot(camera, name, feeds.get(name), float(miss), now_ns)
                for (name, camera), miss in zip(cameras.items(), miss_m, strict=True)
            ),
        )

    def _feed(self, camera: str, stream: tuple[str, str], now_ns: int) -> _Feed | None:
        """Return the feed of a camera, if this stream is the one that stands for it."""
        feed = self._feeds.get(camera)
        if feed is None or (feed.stream != stream and now_ns - feed.heard_ns > SILENT_NS):
            feed = self._feeds[camera] = _Feed(stream, now_ns)
        if feed.stream != stream:
            self._report(
                "two_streams",
                f'{"/".join(stream)} and {"/".join(feed.stream)} are both camera "{camera}" of the '
                "volume; only the latter is fused; name cameras as rig/camera in the calibration",
            )
            return None
        feed.heard_ns = now_ns
        return feed

    def _in_format(
        self,
        keypoints: Float[np.ndarray, "person keypoint 3"],
        sent: Skeleton,
        wanted: Skeleton,
    ) -> Float[np.ndarray, "person other 3"]:
        """Convert keypoints to the format of the volume, by the names of the joints."""
        if sent.name not in self._columns:
            places = {str(name): place for place, name in enumerate(sent.joints)}
            same = sent.name == wanted.name
            columns = [places.get(str(name), -1) for name in wanted.joints]
            self._columns[sent.name] = None if same else np.array(columns)
            if not same:
                shared = sum(column >= 0 for column in columns)
                self._report(
                    "formats_differ",
                    f"a camera sends {sent.name} and the volume fuses {wanted.name}; {shared} "
                    "keypoints of the same names are used",
                )
        columns_or_none = self._columns[sent.name]
        if columns_or_none is None:
            return keypoints
        padded = np.concatenate([keypoints, np.zeros_like(keypoints[:, :1])], 1)
        return np.asarray(padded[:, columns_or_none])

    def _instant(self, frame: FusedFrame, now_ns: int) -> FusedInstant:
        self._people = len(frame.ids)
        self._rate.add(1)
        self._seq += 1
        return FusedInstant(
            volume=self.name,
            cameras=tuple(self.calibration.cameras),
            seq=self._seq - 1,
            frame=frame,
            wait_ns=max(now_ns - self._arrivals.pop(frame.t_ns, now_ns), 0),
            gravity=gravity_in_world(self.calibration.cameras.values()),
        )


def _camera_snapshot(
    camera: Camera, name: str, feed: _Feed | None, miss_m: float, now_ns: int
) -> VolumeCamera:
    T = camera.T_world_camera
    return VolumeCamera(
        name=name,
        stream="" if feed is None else "/".join(feed.stream),
        heard_ago_s=None if feed is None else max(now_ns - feed.heard_ns, 0) / NS_PER_S,
        late_ms=None if feed is None else feed.late_ns / 1e6,
        residual_mm=None if np.isnan(miss_m) else 1000 * miss_m,
        people=0 if feed is None else feed.people,
        T_world_camera=() if T is None else tuple(T.ravel().tolist()),
    )
