"""`publish`: what it refuses; that it plays is tested in tests/end_to_end/test_commands.py."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from langpose_rt.capture.publish_loop import PublishCounts
from langpose_rt.cli.commands.publish import _progress
from langpose_rt.cli.terminal.progress_line import ProgressLine
from tests.commands import run_here


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--speed", "0"), "--speed is 0; expected 0.01 to 100"),
        (("--speed", "nan"), "--speed is nan; expected 0.01 to 100"),
        (("--wait-s", "nan"), "--wait-s is nan; expected 0 to 86400"),
        (("--wait-s", "-1"), "--wait-s is -1; expected 0 to 86400"),
        (("--rig", "a/b"), "name 'a/b' is not 1 to 64 letters"),
        (("--server", "nonsense"), 'cannot connect to "nonsense"'),
        (("--server", "tcp://127.0.0.1:99999"), "ports end at 65535"),
        (("--format", "zzz"), 'keypoint format "zzz" is not known'),
    ],
)
def test_a_wrong_option_is_one_sentence(
    clip_file: Path, words: tuple[str, ...], sentence: str
) -> None:
    done = run_here("publish", clip_file, *words)
    assert done.code == 2
    assert sentence in done.sentence


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("missing.mp4",), "missing.mp4 does not exist"),
        (("987",), "camera 987 cannot be opened"),
        (("987", "--format", "coco17"), "choose the keypoints with --keypoints"),
        (("video.mp4", "--size", "64x48"), "--size says nothing about video.mp4"),
        (("0", "--loop"), "--loop says nothing about 0: a camera has no end"),
        (("0", "--latency-ms", "nan"), "--latency-ms is nan; expected 0 to 10000"),
        (("video.mp4", "--synthetic", "1x1@1"), "either FILE or --synthetic"),
        ((), "either FILE or --synthetic"),
        (("--synthetic", "1x1"), "expected RIGSxPERSONS@HZ"),
        (("video.mp4", "--seconds", "-1"), "--seconds is -1; expected more than 0"),
    ],
)
def test_a_wrong_source_is_one_sentence(words: tuple[str, ...], sentence: str) -> None:
    done = run_here("publish", *words)
    assert done.code == 2
    assert sentence in done.sentence


def test_a_missing_file_is_one_sentence() -> None:
    done = run_here("publish", "/nowhere/clip.npz")
    assert done.code == 2
    assert "does not exist" in done.sentence


def test_no_server_is_a_failure_that_says_how_to_start_one(clip_file: Path) -> None:
    done = run_here("publish", clip_file, "--server", "tcp://127.0.0.1:1", "--wait-s", "0.05")
    assert done.code == 1
    assert done.sentence == (
        "langpose-rt: no server took rig0/cam0 at tcp://127.0.0.1:1 within 0.05 s; "
        "start one with 'langpose-rt serve'; one that runs with --keys answers only with --key and "
        "--server-key"
    )


class _Said(ProgressLine):
    """A progress line that keeps what it shows."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def show(self, text: Callable[[], str]) -> None:
        self.said.append(text())


@pytest.mark.parametrize(("due_fps", "due"), [(60.0, " of 60"), (29.97, " of 29.97"), (None, "")])
def test_the_progress_of_a_video_says_the_rate_of_its_own_pace(
    due_fps: float | None, due: str
) -> None:
    line, source = _Said(), SimpleNamespace(dropped=0)
    counts = PublishCounts(frames=12, people=12, detector_s=1.2)
    assert _progress(line, counts, cast(Any, source), lambda: False, due_fps=due_fps)()
    assert line.said[0].endswith(f"{due} fps, detector 100.0 ms, 1.0 people, 0 dropped")
    assert (" of " in line.said[0]) == (due_fps is not None)
