"""A capture volume: frames of its cameras in, people in world axes out.

Times are arguments, on one clock for all cameras; nothing is read from a clock. A file fed in the
order of its frames gives what the same frames give live.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float

from langpose_rt.errors import ConfigError, MessageError
from langpose_rt.fusion.camera_array import CameraArray
from langpose_rt.fusion.detections import CameraFrame, Detections, MonocularLifts
from langpose_rt.fusion.fused_frame import FusedFrame, VolumeEvent
from langpose_rt.fusion.health.agreement import Agreement
from langpose_rt.fusion.health.camera_health import CameraHealth
from langpose_rt.fusion.instants import InstantSchedule
from langpose_rt.fusion.joint_layout import JointLayout
from langpose_rt.fusion.time_alignment import CameraHistory
from langpose_rt.fusion.volume_tracker import TrackerConfig, VolumeTracker
from langpose_rt.geometry.camera import Camera, Intrinsics, pixel_to_ray
from langpose_rt.geometry.skeleton import Skeleton

MOST_PEOPLE = 64
"""More people than this in one frame are refused."""

_CHECK_EVERY_NS = 100_000_000


@dataclass(frozen=True, kw_only=True)
class VolumeConfig:
    """Options of a capture volume.

    Args:
        wait_ms: How long an instant waits for cameras that are behind; 0 extrapolates at once.
        extrapolate: Whether a camera that is still behind is extrapolated; else it sits out.
        shortest_period_ms: Instants are no nearer together, however fast a camera sends.
        tracker: How people are followed.

    Raises:
        ConfigError: If the wait is not from 0 to 1000 ms.
    """

    wait_ms: float = 20.0
    extrapolate: bool = True
    shortest_period_ms: float = 0.0
    tracker: TrackerConfig = field(default_factory=TrackerConfig)

    def __post_init__(self) -> None:
        if not 0 <= self.wait_ms <= 1000:
            raise ConfigError(f"wait_ms is {self.wait_ms:g}; expected 0 to 1000")


class CaptureVolume:
    """The calibrated cameras of one space, and everybody in it.

    Args:
        cameras: By name; all of them placed in one world.
        skeleton: The keypoint format that all cameras send.
        config: Options.

    Raises:
        ConfigError: If the cameras cannot be fused.
    """

    def __init__(
        self,
        cameras: Mapping[str, Camera],
        skeleton: Skeleton,
        config: VolumeConfig | None = None,
    ) -> None:
        self._config = config or VolumeConfig()
        self.cameras = CameraArray.of_cameras(cameras)
        self.layout = JointLayout.of_skeleton(skeleton)
        self._index = {name: place for place, name in enumerate(self.cameras.names)}
        self._histories = [CameraHistory() for _ in self.cameras.names]
        self._schedule = InstantSchedule(
            len(self.cameras),
            round(self._config.wait_ms * 1e6),
            round(self._config.shortest_period_ms * 1e6),
        )
        self._tracker = VolumeTracker(self.cameras, self.layout, self._config.tracker)
        self._health = CameraHealth(self.cameras)
        self._agreement = Agreement()
        self._events: list[VolumeEvent] = []
        self._checked_ns = -(2**62)

    def feed(
        self,
        camera: str,
        t_ns: int,
        keypoints_px: Float[np.ndarray, "person keypoint 3"],
        *,
        now_ns: int,
        lifts: MonocularLifts | None = None,
        lens: Intrinsics | None = None,
    ) -> bool:
        """Take one frame of one camera.

        Args:
            camera: Its name.
            t_ns: Capture time on the volume's clock.
            keypoints_px: x, y in pixels, and score; score 0 is missing.
            now_ns: When the frame came, on the same clock.
            lifts: Monocular poses of the same people in world axes, if they are there already.
            lens: Of the image the keypoints are in; None for the calibrated one.

        Returns:
            Whether it was taken; a frame that is not newer than the camera's last one is not.

        Raises:
            MessageError: If the camera is not of this volume, or the keypoints are not of its
                format.
        """
        index = self._camera(camera)
        people, count = len(keypoints_px), len(self.layout.skeleton.joints)
        if keypoints_px.shape[1:] != (count, 3) or people > MOST_PEOPLE:
            raise MessageError(
                "bad_shape",
                f"camera {camera} sent keypoints of shape {list(keypoints_px.shape)}; expected at "
                f"most {MOST_PEOPLE} people of {count} keypoints ({self.layout.skeleton.name})",
            )
        joints = self.layout.joints_from_keypoints(keypoints_px)
        scores = joints[..., 2]
        if lens is None:
            rays = self.cameras.rays_from_pixels(index, joints[..., :2])
        else:
            rays = pixel_to_ray(joints[..., :2], lens)
        rays = np.where(scores[..., None] > 0, rays, 0.0)
        lifts = MonocularLifts.missing(people) if lifts is None else lifts
        if not self._histories[index].push(t_ns, rays, scores, lifts):
            return False
        self._schedule.add(index, t_ns, now_ns)
        return True

    def feed_lifts(self, camera: str, t_ns: int, lifts: MonocularLifts) -> None:
        """Add the lifts of a frame that was fed without; they may come until it is fused.

        Raises:
            MessageError: If the camera is not of this volume.
        """
        self._histories[self._camera(camera)].lift_newest(t_ns, lifts)

    def recalibrate(self, cameras: Mapping[str, Camera]) -> None:
        """Go on with another calibration of the same space; everybody keeps the id.

        Args:
            cameras: By name; those of a known name keep what they have seen.

        Raises:
            ConfigError: If the cameras cannot be fused; everything is as before then.
        """
        new = CameraArray.of_cameras(cameras)
        columns = new.columns_in(self.cameras)
        self._tracker.recalibrate(new, new.axes_from(self.cameras), columns)
        self._histories = [self._histories[c] if c >= 0 else CameraHistory() for c in columns]
        for history in self._histories:
            history.forget_lifts()
        self._schedule.rearrange(columns.tolist())
        self._health = CameraHealth(new)
        self._agreement = Agreement()
        self._index = {name: place for place, name in enumerate(new.names)}
        self.cameras = new

    def tick(self, now_ns: int) -> list[FusedFrame]:
        """Fuse every instant that need not wait any longer.

        Args:
            now_ns: The time on the volume's clock; does not fall from call to call.
        """
        return [self._fuse(t_ns) for t_ns in self._schedule.due(now_ns)]

    def flush(self, now_ns: int) -> list[FusedFrame]:
        """Fuse every instant that is left, at the end of a clip."""
        return [self._fuse(t_ns) for t_ns in self._schedule.due(now_ns, all_of_them=True)]

    def next_due_ns(self) -> int | None:
        """Return the time of the next due `tick` without a further frame; None if there is none."""
        return self._schedule.next_due_ns()

    def miss_m(self) -> Float[np.ndarray, " camera"]:
        """Return the recent median distance of each camera's rays from the people.

        NaN where there was nobody to compare.
        """
        return self._health.recent_m()

    def take_events(self) -> list[VolumeEvent]:
        """Take out what happened since the last call."""
        events, self._events = self._events, []
        return events

    def _camera(self, name: str) -> int:
        if name not in self._index:
            known = ", ".join(self._index)
            raise MessageError(
                "bad_camera", f'camera "{name}" is not of this volume; expected one of {known}'
            )
        return self._index[name]

    def _fuse(self, t_ns: int) -> FusedFrame:
        frames: dict[int, CameraFrame] = {}
        for index, history in enumerate(self._histories):
            found = history.at(t_ns, extrapolate=self._config.extrapolate)
            if found is not None:
                frames[index] = found
        awake: Bool[np.ndarray, " camera"] = np.zeros(len(self.cameras), bool)
        awake[list(frames)] = True
        detections = Detections.of_frames(frames, len(self.layout.names))
        fused = self._tracker.step(t_ns, detections, awake)
        if t_ns - self._checked_ns >= _CHECK_EVERY_NS:
            self._checked_ns = t_ns
            told = self._agreement.observe(t_ns, self._tracker.support())
            miss_m, agreement = self._tracker.camera_miss_m(), self._agreement.holds
            self._events += self._health.observe(t_ns, miss_m, awake, agreement=agreement)
            self._events += told
        return fused
