"""Publishing loop of a rig: read frames, detect people, publish keypoints."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from langpose_rt.capture.detector import Detector
from langpose_rt.capture.video_source import VideoSource
from langpose_rt.client.publisher import RigPublisher


@dataclass
class PublishCounts:
    """Counters of a publishing loop.

    Attributes:
        frames: Frames that were processed and published.
        people: People found in all frames.
        detector_s: Total time of the detector.
    """

    frames: int = 0
    people: int = 0
    detector_s: float = 0.0

    @property
    def detector_ms(self) -> float:
        """Mean detector time per frame."""
        return 1e3 * self.detector_s / max(1, self.frames)


def publish_detections(
    source: VideoSource,
    detector: Detector,
    publisher: RigPublisher,
    *,
    counts: PublishCounts,
    on_frame: Callable[[], bool] = lambda: True,
) -> None:
    """Detect the people in every frame and publish them, until the frames end.

    A frame without people is published too: it tells the server that time passes.

    Args:
        source: Camera or video; stays open.
        detector: The 2D detector.
        publisher: Publisher with the detector's keypoint format and the size of the source.
        counts: Counters; changed in place.
        on_frame: Called after every frame; False ends it.
    """
    for picture, t_ns in source.pictures():
        start_s = time.perf_counter()
        people = detector(picture)
        counts.detector_s += time.perf_counter() - start_s
        counts.frames += 1
        counts.people += len(people)
        publisher.publish(people, t_ns=t_ns)
        if not on_frame():
            return
