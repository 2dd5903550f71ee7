"""All capture volumes of a pipeline: frames to the volumes of their cameras, messages out.

The lift side hands over what it has lifted in `collect`, which only copies; everything else is done
in `fuse`, after the poses of the single cameras are out.
"""

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from langpose_rt.errors import ConfigError, MessageError
from langpose_rt.formats.volume_calibration import VolumeCalibration
from langpose_rt.geometry.camera import name_of_stream
from langpose_rt.monitoring.faults import FaultReporter
from langpose_rt.monitoring.snapshot import VolumeSnapshot
from langpose_rt.pipeline.batch_lifter import LiftResult
from langpose_rt.pipeline.config import PipelineConfig
from langpose_rt.pipeline.volumes.fused_messages import FUSED, fused_message
from langpose_rt.pipeline.volumes.lifted_frame import LiftedFrame, lifted_frame, lifted_frames
from langpose_rt.pipeline.volumes.live_volume import LiveVolume
from langpose_rt.protocol.header import topic_of
from langpose_rt.protocol.messages import ModelStamp, encode_pose

MOST_NAMES = 4096
"""Names of streams that are remembered."""

MOST_WAITING = 1024
"""Lifted frames that may wait to be fused: memory stays bounded."""


class CaptureVolumes:
    """Capture volumes of a pipeline.

    Args:
        calibrations: One for each volume.
        config: Options of the pipeline.
        faults: Counts and reports.
        epoch: Random number of this start of the server.

    Raises:
        ConfigError: If the cameras of a volume cannot be fused.
    """

    def __init__(
        self,
        calibrations: Sequence[VolumeCalibration],
        config: PipelineConfig,
        faults: FaultReporter,
        epoch: int,
    ) -> None:
        self._config, self._faults, self._epoch = config, faults, epoch
        self._waiting: deque[LiftedFrame] = deque(maxlen=MOST_WAITING)
        self._homes: dict[tuple[str, str], tuple[LiveVolume, str] | None] = {}
        self._volumes: list[LiveVolume] = []
        for calibration in calibrations:
            topic = topic_of("pose3d", calibration.name, FUSED)
            report = partial(faults.volume_event, topic)
            try:
                self._volumes.append(LiveVolume(calibration, config, report))
            except ConfigError as error:
                raise ConfigError(f'volume "{calibration.name}": {error}') from None

    def recalibrate(self, calibration: VolumeCalibration) -> None:
        """Go on with another calibration of the volume of that name, if it is fused.

        Raises:
            ConfigError: If its cameras cannot be fused.
        """
        for volume in self._volumes:
            if volume.name == calibration.name:
                volume.recalibrate(calibration)
        self._homes.clear()

    def is_reserved(self, rig: str, camera: str) -> bool:
        """Return True if a stream of that name would have the topic of a volume."""
        return camera == FUSED and any(volume.name == rig for volume in self._volumes)

    def collect(self, lifted: LiftResult) -> None:
        """Keep the frames of a lift that belong to a volume; copies their poses."""
        for tracked, rows in lifted_frames(lifted):
            message = tracked.frame.message
            if self._home(message.rig, message.camera) is not None:
                self._waiting.append(lifted_frame(lifted, tracked, rows))

    def is_due(self, now_ns: int) -> bool:
        """Return True if `fuse` has something to do."""
        due_ns = self.next_due_ns()
        return bool(self._waiting) or (due_ns is not None and due_ns <= now_ns)

    def next_due_ns(self) -> int | None:
        """Return when the next instant has waited for long enough; None if none waits."""
        found = [due_ns for v in self._volumes if (due_ns := v.next_due_ns()) is not None]
        return min(found, default=None)

    def fuse(
        self,
        now_ns: int,
        clock: Callable[[], int],
        model: ModelStamp,
        *,
        everything: bool = False,
    ) -> list[list[bytes]]:
        """Take the lifted frames, and return the messages of the instants that are due.

        Args:
            now_ns: The time; the same frames and times give the same people.
            clock: Reads the clock, for the latencies.
            model: The model that lifted.
            everything: Fuse the instants that could still wait, too.
        """
        while self._waiting:
            lifted = self._waiting.popleft()
            home = self._home(*lifted.stream)
            if home is not None:
                volume, camera = home
                if not volume.take(camera, lifted, now_ns):
                    self._faults.stats.add("unfused")
        messages = []
        for volume in self._volumes:
            began_ns = clock()
            for instant in volume.fuse(now_ns, everything=everything):
                message = fused_message(
                    instant,
                    epoch=self._epoch,
                    model=model,
                    lookahead_ns=self._config.lookahead_ns,
                    busy_ns=clock() - began_ns,
                )
                try:
                    messages.append(encode_pose(message))
                    self._faults.stats.add("fused")
                except MessageError as error:
                    self._faults.unsendable(error, message.topic)
        return messages

    def snapshots(self, now_ns: int) -> tuple[VolumeSnapshot, ...]:
        """Return the state of every volume; callable from any thread."""
        return tuple(volume.snapshot(now_ns) for volume in self._volumes)

    def _home(self, rig: str, camera: str) -> tuple[LiveVolume, str] | None:
        """Return the volume of a stream and its camera there, by the name its lens is found by."""
        stream = rig, camera
        if stream not in self._homes:
            if len(self._homes) >= MOST_NAMES:
                self._homes.clear()
            volumes = {name: v for v in self._volumes[::-1] for name in v.calibration.cameras}
            name = name_of_stream(volumes, rig, camera)
            self._homes[stream] = None if name is None else (volumes[name], name)
            if name is None and volumes:
                known = ", ".join(sorted(volumes))
                detail = (
                    f"{rig}/{camera} is in no capture volume and is not fused; cameras: {known}"
                )
                self._faults.volume_event(topic_of("kp2d", rig, camera), "not_in_volume", detail)
        return self._homes[stream]
