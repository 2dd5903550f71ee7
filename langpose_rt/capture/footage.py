"""Pictures with the time they were taken, from a camera, a network stream or a video file.

A file is played at its own pace and every picture of it counts. A camera does not wait: a thread
takes every picture as it comes, and who is slow gets the newest and loses the others.
"""

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from langpose_rt.capture.detector import Picture
from langpose_rt.config import NS_PER_S
from langpose_rt.errors import ConfigError, LangPoseError

VIDEO_SUFFIXES = frozenset(".avi .m4v .mkv .mov .mp4 .mpeg .mpg .webm .wmv".split())
"""Endings of files that are taken for video."""

_USUAL_FPS = 30.0
_SILENT_S = 10.0


def is_footage(source: str) -> bool:
    """Whether a word means pictures: a device number, an address, or a video file."""
    return source.isdecimal() or "://" in source or Path(source).suffix.lower() in VIDEO_SUFFIXES


@runtime_checkable
class VideoSource(Protocol):
    """Pictures with their times.

    Attributes:
        size: Width and height in pixels.
        fps: Nominal frame rate.
        dropped: Pictures that were passed over because a newer one was there.
    """

    size: tuple[int, int]
    fps: float
    dropped: int

    def pictures(self) -> Iterator[tuple[Picture, int]]:
        """Pictures as they are due, with the time each was taken in ns; until they end."""

    def close(self) -> None:
        """Let go of where they come from."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is asked of a camera; it may do otherwise.

    Args:
        size: Width and height in pixels.
        fps: Frames per second.
        latency_ms: From the light to the arrival of a picture, if known; taken off its time.
    """

    size: tuple[int, int] | None = None
    fps: float | None = None
    latency_ms: float = 0.0


class VideoFile:
    """A video file, at its own pace; every picture is handed out.

    Args:
        path: The file.
        speed: 2 plays twice as fast, with the same times.

    Raises:
        ConfigError: If it does not exist or is no video.
    """

    def __init__(self, path: str, *, speed: float = 1.0) -> None:
        if not Path(path).exists():
            raise ConfigError(f"{path} does not exist; expected a video file")
        self._path = path
        self._speed = speed
        self._video = _opened(path)
        self.size, self.fps = _first_size(self._video, path), _fps_of(self._video)
        self.dropped = 0

    def pictures(self) -> Iterator[tuple[Picture, int]]:
        """Every picture when it is due, with the file's own time in ns from its beginning."""
        self._video.release()
        self._video = _opened(self._path)
        start_s, last_ns = time.perf_counter(), -1
        while self._video.grab():
            t_ns = round(self._video.get(_position_ms()) * 1e6)
            if t_ns <= last_ns:  # files that do not know their times say 0
                t_ns = last_ns + round(NS_PER_S / self.fps)
            last_ns = t_ns
            ok, picture = self._video.retrieve()
            if ok:
                wait_s = start_s + t_ns / self._speed / NS_PER_S - time.perf_counter()
                if wait_s > 0:
                    time.sleep(wait_s)
                yield picture, t_ns

    def close(self) -> None:
        """Let go of the file."""
        self._video.release()


class LiveCamera:
    """A camera of this machine, or a stream of the network.

    Args:
        source: Device number, such as "0", or address, such as "rtsp://camera/stream".
        asked: Size and rate wished for.

    Raises:
        ConfigError: If there is no such camera.
    """

    def __init__(self, source: str, asked: Asked) -> None:
        self._source = source
        self._video = _opened(int(source) if source.isdecimal() else source, asked)
        self._latency_ns = round(asked.latency_ms * 1e6)
        self.size, self.fps = _first_size(self._video, f"camera {source}"), _fps_of(self._video)
        self.dropped = 0
        self._newest: tuple[Picture, int] | None = None
        self._ended = False
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._grab, name="camera", daemon=True)
        self._thread.start()

    def pictures(self) -> Iterator[tuple[Picture, int]]:
        """The newest picture whenever there is one, with its unix time in ns; until it ends.

        Raises:
            LangPoseError: If the camera falls silent.
        """
        with self._news:  # whatever came while the detector was loading is old
            self._newest, self.dropped = None, 0
        while (taken := self._take()) is not None:
            yield taken

    def close(self) -> None:
        """Stop taking pictures."""
        self._ended = True
        self._thread.join(_SILENT_S)

    def _take(self) -> tuple[Picture, int] | None:
        """The newest picture once there is one; None at the end."""
        with self._news:
            if not self._news.wait_for(lambda: self._newest or self._ended, _SILENT_S):
                raise LangPoseError(
                    f"camera {self._source} sent nothing for {_SILENT_S:g} s; "
                    "is it plugged in, and used by no other program?"
                )
            taken, self._newest = self._newest, None
            return taken

    def _grab(self) -> None:
        while not self._ended and self._video.grab():
            t_ns = time.time_ns() - self._latency_ns
            ok, picture = self._video.retrieve()
            if ok:
                with self._news:
                    self.dropped += self._newest is not None
                    self._newest = picture, t_ns
                    self._news.notify()
        self._video.release()
        with self._news:
            self._ended = True
            self._news.notify()


def open_footage(source: str, asked: Asked, *, speed: float = 1.0) -> VideoSource:
    """The pictures a word of `is_footage` means.

    Raises:
        ConfigError: If there are none.
    """
    if source.isdecimal() or "://" in source:
        return LiveCamera(source, asked)
    return VideoFile(source, speed=speed)


def _opened(source: str | int, asked: Asked | None = None) -> Any:
    # OpenCV and FFmpeg complain at length; what went wrong is said below in one sentence.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    import cv2

    video = cv2.VideoCapture(source)
    if not video.isOpened():
        raise ConfigError(_why_not(source))
    if asked is not None and asked.size is not None:
        video.set(cv2.CAP_PROP_FRAME_WIDTH, asked.size[0])
        video.set(cv2.CAP_PROP_FRAME_HEIGHT, asked.size[1])
    if asked is not None and asked.fps is not None:
        video.set(cv2.CAP_PROP_FPS, asked.fps)
    return video


def _why_not(source: str | int) -> str:
    if isinstance(source, int):
        found = ", ".join(sorted(path.name[5:] for path in Path("/dev").glob("video*"))) or "none"
        return f"camera {source} cannot be opened; this machine has: {found}"
    if "://" in source:
        return f"{source} cannot be opened; is the address right, and does the camera answer?"
    return f"{source} is no video that can be read; convert it to H.264 in mp4"


def _first_size(video: Any, what: str) -> tuple[int, int]:
    """Width and height of the first picture, which knows better than what is said of it."""
    ok, picture = video.read()
    if not ok:
        raise ConfigError(f"{what} has no picture that can be read; try it in another program")
    return picture.shape[1], picture.shape[0]


def _fps_of(video: Any) -> float:
    import cv2

    fps = float(video.get(cv2.CAP_PROP_FPS))
    return fps if 1.0 <= fps <= 1000.0 else _USUAL_FPS


def _position_ms() -> int:
    import cv2

    return int(cv2.CAP_PROP_POS_MSEC)
