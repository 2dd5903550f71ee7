"""Video sources: frames with capture times from a camera, a network stream or a video file.

A file is played at its own frame rate and every frame is yielded. A camera does not wait: a thread
reads every frame as it arrives; a slow consumer gets the latest one and the others are dropped.
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
"""Suffixes of video files."""

_DEFAULT_FPS = 30.0
_TIMEOUT_S = 10.0


def is_video_source(source: str) -> bool:
    """Return True for a video source: a device number, an address, or a video file."""
    return is_live(source) or Path(source).suffix.lower() in VIDEO_SUFFIXES


def is_live(source: str) -> bool:
    """Return True for a device number or an address."""
    return device_number(source) is not None or "://" in source


def device_number(source: str) -> int | None:
    """Return n of a camera named "n" or "/dev/videon"; None for other sources."""
    number = source.removeprefix("/dev/video")
    return int(number) if number.isascii() and number.isdecimal() else None


@runtime_checkable
class VideoSource(Protocol):
    """A source of frames with capture times.

    Attributes:
        size: Width and height in pixels.
        fps: Nominal frame rate.
        dropped: Frames that were skipped because a newer one had arrived.
    """

    size: tuple[int, int]
    fps: float
    dropped: int

    def pictures(self) -> Iterator[tuple[Picture, int]]:
        """Iterate over frames as they are due, with the capture time of each in ns."""

    def close(self) -> None:
        """Release the device or file."""


@dataclass(frozen=True, kw_only=True)
class CaptureRequest:
    """Settings requested from a camera, which may ignore them.

    Args:
        size: Width and height in pixels.
        fps: Frames per second.
        latency_ms: Time from exposure to arrival of a frame, if known; subtracted from its time.
    """

    size: tuple[int, int] | None = None
    fps: float | None = None
    latency_ms: float = 0.0


class VideoFile:
    """A video file, played at its own frame rate; no frame is dropped.

    Args:
        path: The file.
        speed: 2 plays twice as fast, with the same times; infinity does not wait.
        loop: Start again at the end, with times that go on rising.

    Attributes:
        frames: Number of frames the file announces; 0 if it does not say.

    Raises:
        ConfigError: If it does not exist or is not a video.
    """

    def __init__(self, path: str, *, speed: float = 1.0, loop: bool = False) -> None:
        if not Path(path).exists():
            raise ConfigError(f"{path} does not exist; expected a video file")
        self._path = path
        self._speed, self._loop = speed, loop
        self._video = _open(path)
        self.size, self.fps = _first_size(self._video, path), _fps_of(self._video)
        self.frames = _frames_of(self._video)
        self.dropped = 0

    def pictures(self) -> Iterator[tuple[Picture, int]]:
        """Iterate over all frames as they are due, with the file's own times in ns from 0 on."""
        start_s, start_ns, last_ns = time.perf_counter(), 0, -1
        while True:
            self._video.release()
            self._video = _open(self._path)
            while self._video.grab():
                t_ns = start_ns + round(self._video.get(_position_ms()) * 1e6)
                if t_ns <= last_ns:  # files without times report 0
                    t_ns = last_ns + round(NS_PER_S / self.fps)
                last_ns = t_ns
                ok, picture = self._video.retrieve()
                if ok:
                    wait_s = start_s + t_ns / self._speed / NS_PER_S - time.perf_counter()
                    if wait_s > 0:
                        time.sleep(wait_s)
                    yield picture, t_ns
            if not self._loop or last_ns < start_ns:
                return
            start_ns = last_ns + round(NS_PER_S / self.fps)

    def close(self) -> None:
        """Close the file."""
        self._video.release()


class LiveCamera:
    """A camera of this machine, or a network stream.

    Args:
        source: Device number, such as "0", or address, such as "rtsp://camera/stream".
        request: Requested size, frame rate and latency.

    Raises:
        ConfigError: If the camera cannot be opened.
    """

    def __init__(self, source: str, request: CaptureRequest) -> None:
        self._source = source
        number = device_number(source)
        self._video = _open(source if number is None else number, request)
        self._latency_ns = round(request.latency_ms * 1e6)
        self.size, self.fps = _first_size(self._video, f"camera {source}"), _fps_of(self._video)
        self.dropped = 0
        self._latest: tuple[Picture, int] | None = None
        self._ended = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._grab, name="camera", daemon=True)
        self._thread.start()

    def pictures(self) -> Iterator[tuple[Picture, int]]:
        """Iterate over the latest frame whenever there is one, with its unix time in ns.

        Raises:
            LangPoseError: If the camera stops sending.
        """
        with self._changed:  # a frame that arrived while the detector was loading is old
            self._latest, self.dropped = None, 0
        while (taken := self._take()) is not None:
            yield taken

    def close(self) -> None:
        """Stop reading frames."""
        self._ended = True
        self._thread.join(_TIMEOUT_S)

    def _take(self) -> tuple[Picture, int] | None:
        """Return the latest frame once there is one; None at the end."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._latest or self._ended, _TIMEOUT_S):
                raise LangPoseError(
                    f"camera {self._source} sent nothing for {_TIMEOUT_S:g} s; "
                    "is it plugged in, and used by no other program?"
                )
            taken, self._latest = self._latest, None
            return taken

    def _grab(self) -> None:
        while not self._ended and self._video.grab():
            t_ns = time.time_ns() - self._latency_ns
            ok, picture = self._video.retrieve()
            if ok:
                with self._changed:
                    self.dropped += self._latest is not None
                    self._latest = picture, t_ns
                    self._changed.notify()
        self._video.release()
        with self._changed:
            self._ended = True
            self._changed.notify()


def open_video_source(
    source: str, request: CaptureRequest, *, speed: float = 1.0, loop: bool = False
) -> VideoSource:
    """Open the video source that `is_video_source` recognises; speed and loop are of files.

    Raises:
        ConfigError: If it cannot be opened.
    """
    if is_live(source):
        return LiveCamera(source, request)
    return VideoFile(source, speed=speed, loop=loop)


def _open(source: str | int, request: CaptureRequest | None = None) -> Any:
    # OpenCV and FFmpeg log at length; the error below is one sentence.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    import cv2

    video = cv2.VideoCapture(source)
    if not video.isOpened():
        raise ConfigError(_open_error(source))
    if request is not None and request.size is not None:
        video.set(cv2.CAP_PROP_FRAME_WIDTH, request.size[0])
        video.set(cv2.CAP_PROP_FRAME_HEIGHT, request.size[1])
    if request is not None and request.fps is not None:
        video.set(cv2.CAP_PROP_FPS, request.fps)
    return video


def _open_error(source: str | int) -> str:
    if isinstance(source, int):
        found = ", ".join(sorted(path.name[5:] for path in Path("/dev").glob("video*"))) or "none"
        return f"camera {source} cannot be opened; this machine has: {found}"
    if "://" in source:
        return f"{source} cannot be opened; is the address right, and does the camera answer?"
    return f"{source} is no video that can be read; convert it to H.264 in mp4"


def _first_size(video: Any, what: str) -> tuple[int, int]:
    """Return the size of the first decoded frame, which overrides the reported one."""
    ok, picture = video.read()
    if not ok:
        raise ConfigError(f"{what} has no picture that can be read; try it in another program")
    return picture.shape[1], picture.shape[0]


def _fps_of(video: Any) -> float:
    import cv2

    fps = float(video.get(cv2.CAP_PROP_FPS))
    return fps if 1.0 <= fps <= 1000.0 else _DEFAULT_FPS


def _frames_of(video: Any) -> int:
    import cv2

    return max(0, int(video.get(cv2.CAP_PROP_FRAME_COUNT)))


def _position_ms() -> int:
    import cv2

    return int(cv2.CAP_PROP_POS_MSEC)
