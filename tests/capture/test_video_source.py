"""Frames and their times: a file written by the test, and a fake camera."""

import itertools
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from langpose_rt.capture import video_source
from langpose_rt.capture.video_source import (
    CaptureRequest,
    LiveCamera,
    VideoFile,
    is_video_source,
    open_video_source,
)
from langpose_rt.errors import ConfigError, LangPoseError

SIZE = (64, 48)
WAIT_S = 10.0


def written(path: Path, frames: int = 6, fps: float = 25.0) -> Path:
    """A video whose pictures get brighter."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), fps, SIZE)
    for frame in range(frames):
        writer.write(np.full((SIZE[1], SIZE[0], 3), 40 * frame, np.uint8))
    writer.release()
    return path


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.slept_until_s: list[float] = []

    def perf_counter(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        self.slept_until_s.append(self.now_s - 100)


class Camera:
    """As cv2.VideoCapture: gives a picture whenever one is let through."""

    def __init__(self, pictures: int) -> None:
        self.let = threading.Semaphore(0)
        self.left = pictures
        self.shown = 0
        self.sets: dict[int, float] = {}

    def read(self) -> tuple[bool, np.ndarray | None]:
        return True, np.zeros((SIZE[1], SIZE[0], 3), np.uint8)

    def grab(self) -> bool:
        self.let.acquire()
        self.left -= 1
        return self.left >= 0

    def retrieve(self) -> tuple[bool, np.ndarray]:
        self.shown += 1
        return True, np.full((SIZE[1], SIZE[0], 3), self.shown, np.uint8)

    def get(self, _what: int) -> float:
        return 0.0

    def release(self) -> None: ...


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("0", True), ("12", True), ("rtsp://camera/1", True), ("clip.MP4", True),
        ("clip.npz", False), ("folder", False), ("-1", False),
    ],
)  # fmt: skip
def test_a_word_that_means_pictures_is_told_from_one_that_means_keypoints(
    word: str, expected: bool
) -> None:
    assert is_video_source(word) is expected


@pytest.mark.parametrize("speed", [1.0, 2.0])
def test_a_file_has_its_own_times_and_its_own_pace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, speed: float
) -> None:
    clock = Clock()
    monkeypatch.setattr(video_source, "time", clock)
    video = open_video_source(str(written(tmp_path / "a.mp4")), CaptureRequest(), speed=speed)
    assert (video.size, video.fps) == (SIZE, 25.0)
    for _ in range(2):  # and again from its beginning
        clock.now_s, clock.slept_until_s = 100.0, []
        seen = list(video.pictures())
        assert [t_ns for _, t_ns in seen] == [40_000_000 * frame for frame in range(6)]
        brightness = [float(picture.mean()) for picture, _ in seen]
        assert brightness == pytest.approx([0, 40, 80, 120, 160, 200], abs=6)
        assert clock.slept_until_s == pytest.approx([0.04 * k / speed for k in range(1, 6)])
    video.close()


def test_a_looping_file_goes_on_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(video_source, "time", clock)
    video = VideoFile(str(written(tmp_path / "a.mp4", frames=2)), loop=True)
    seen = list(itertools.islice(video.pictures(), 5))
    assert [t_ns for _, t_ns in seen] == [40_000_000 * frame for frame in range(5)]
    assert [float(p.mean()) for p, _ in seen] == pytest.approx([0, 40, 0, 40, 0], abs=6)
    assert clock.slept_until_s == pytest.approx([0.04 * k for k in range(1, 5)])
    video.close()


def test_a_file_that_does_not_know_its_times_is_timed_by_its_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video_source, "_position_ms", lambda: cv2.CAP_PROP_FORMAT)  # constant
    video = VideoFile(str(written(tmp_path / "a.mp4")), speed=100.0)
    times = [t_ns for _, t_ns in video.pictures()]
    assert np.diff(times).tolist() == [40_000_000] * 5


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("missing.mp4", "missing.mp4 does not exist; expected a video file"),
        ("damaged.mp4", "damaged.mp4 is no video that can be read; convert it"),
        ("987", "camera 987 cannot be opened; this machine has: "),
        ("/dev/video987", "camera 987 cannot be opened; this machine has: "),
        ("http://127.0.0.1:1/a", "http://127.0.0.1:1/a cannot be opened; is the address right"),
    ],
)
def test_what_cannot_be_opened_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "damaged.mp4").write_bytes(b"\0\0\0\x18ftypisom" + bytes(100))
    with pytest.raises(ConfigError) as refused:
        open_video_source(source, CaptureRequest())
    assert str(refused.value).startswith(sentence)


def camera_of(monkeypatch: pytest.MonkeyPatch, pictures: int, **asked: float) -> LiveCamera:
    device = Camera(pictures)
    monkeypatch.setattr(video_source, "_open", lambda *_: device)
    camera = LiveCamera("0", CaptureRequest(**asked))  # type: ignore[arg-type]
    camera.device = device  # type: ignore[attr-defined]
    return camera


def test_who_is_slow_gets_the_newest_picture_and_the_others_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    camera = camera_of(monkeypatch, pictures=4, latency_ms=250.0)
    let = camera.device.let  # type: ignore[attr-defined]
    pictures = camera.pictures()
    before_ns = time.time_ns()
    threading.Timer(0.05, let.release).start()
    first, t_ns = next(pictures)
    assert first[0, 0, 0] == 1
    assert -250_000_000 <= t_ns - before_ns < time.time_ns() - before_ns - 250_000_000
    for _ in range(3):
        let.release()
    until_s = time.monotonic() + WAIT_S
    while camera.device.shown < 4 or camera.dropped < 2:  # type: ignore[attr-defined]
        assert time.monotonic() < until_s
        time.sleep(0.001)
    second, later_ns = next(pictures)
    assert second[0, 0, 0] == 4
    assert camera.dropped == 2
    assert later_ns > t_ns
    let.release()
    assert list(pictures) == [], "the camera has ended"
    camera.close()


def test_a_camera_that_falls_silent_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_source, "_TIMEOUT_S", 0.05)
    camera = camera_of(monkeypatch, pictures=1)
    with pytest.raises(LangPoseError, match=r"camera 0 sent nothing for 0\.05 s"):
        next(camera.pictures())
    camera.device.let.release()  # type: ignore[attr-defined]
    camera.close()


def test_the_wishes_for_a_camera_are_told_it(monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[int, float] = {}

    class Device(Camera):
        def __init__(self, _source: int) -> None:
            super().__init__(0)

        def isOpened(self) -> bool:
            return True

        def set(self, what: int, value: float) -> bool:
            told[what] = value
            return True

    monkeypatch.setattr(cv2, "VideoCapture", Device)
    video_source._open(0, CaptureRequest(size=(1280, 720), fps=60.0))
    assert told == {
        cv2.CAP_PROP_FRAME_WIDTH: 1280,
        cv2.CAP_PROP_FRAME_HEIGHT: 720,
        cv2.CAP_PROP_FPS: 60,
    }
