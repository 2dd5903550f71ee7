"""From pictures to published keypoints: the loop of a rig."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from langpose_rt.capture.detector import Detector
from langpose_rt.capture.footage import VideoSource
from langpose_rt.client.subscriber import RigPublisher


@dataclass
class PublishCounts:
    """What a rig has done so far.

    Attributes:
        frames: Pictures that were looked at and published.
        people: People found in all of them.
        detector_s: Time the detector took for all of them.
    """

    frames: int = 0
    people: int = 0
    detector_s: float = 0.0

    @property
    def detector_ms(self) -> float:
        """Mean time the detector took for one picture."""
        return 1e3 * self.detector_s / max(1, self.frames)


def publish_detections(
    footage: VideoSource,
    detector: Detector,
    publisher: RigPublisher,
    *,
    tally: PublishCounts,
    on_frame: Callable[[], bool] = lambda: True,
) -> None:
    """Find the people in every picture and publish them, until the pictures end.

    A picture with nobody in it is published too: it keeps time moving.

    Args:
        footage: Where the pictures come from; stays open.
        detector: Finds the people.
        publisher: Of the detector's keypoint format and the footage's size.
        tally: Counts along; changed in place.
        on_frame: Called after every frame; False ends it.
    """
    for picture, t_ns in footage.pictures():
        start_s = time.perf_counter()
        people = detector(picture)
        tally.detector_s += time.perf_counter() - start_s
        tally.frames += 1
        tally.people += len(people)
        publisher.publish(people, t_ns=t_ns)
        if not on_frame():
            return
