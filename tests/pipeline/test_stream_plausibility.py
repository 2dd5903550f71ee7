"""A live stream that cannot be what it says: refused by what it looks like, reported once."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langpose_rt.errors import MessageError
from langpose_rt.formats.clip import DEMO_CLIP
from langpose_rt.formats.readers import read_clip
from langpose_rt.geometry.skeleton import to_h36m17
from langpose_rt.pipeline.offline import frames_of_clip
from langpose_rt.pipeline.stream_plausibility import FEWEST_STEPS, StreamPlausibility
from langpose_rt.protocol.messages import KeypointMessage

CLIP = read_clip(DEMO_CLIP)
FRAMES = list(frames_of_clip(CLIP, "rig0", "cam0", epoch=1))
NOW_NS = 1_764_365_000_000_000_000


def refused(frames: list[KeypointMessage], interval_ns: int = 16_666_667) -> list[str]:
    """Return why each frame was refused, or nothing, and check that it was told once."""
    stream, reasons, told = StreamPlausibility(), [], []
    for number, frame in enumerate(frames):
        reason = ""
        try:
            stream.check(frame, NOW_NS + number * interval_ns)
        except MessageError as error:
            reason = f"{error.reason}: {error.detail}"
        reasons.append(reason)
        told += [found.reason for found in stream.new_findings()]
    assert len(told) == len(set(told))
    assert {reason.partition(":")[0] for reason in reasons if reason} <= set(told)
    return reasons


def test_an_honest_stream_is_believed() -> None:
    assert refused(FRAMES) == [""] * 100


@given(speed=st.floats(0.01, 100), start=st.integers(0, 2 * 10**18))
@settings(max_examples=20, deadline=None)
def test_a_clip_played_at_any_speed_is_believed(speed: float, start: int) -> None:
    frames = [replace(frame, t_ns=start + frame.t_ns) for frame in FRAMES[:20]]
    assert refused(frames, round(16_666_667 / speed)) == [""] * 20


@pytest.mark.parametrize(
    ("unit", "ns"), [("microseconds", 1_000), ("milliseconds", 1_000_000), ("frame numbers", 0)]
)
def test_a_clock_in_another_unit_is_refused_after_three_steps(unit: str, ns: int) -> None:
    frames = [
        replace(frame, t_ns=(NOW_NS + frame.t_ns) // ns if ns else frame.seq) for frame in FRAMES
    ]
    reasons = refused(frames)
    assert reasons[:FEWEST_STEPS] == [""] * FEWEST_STEPS
    assert all(f"they look like {unit}; expected nanoseconds" in why for why in reasons[3:])


def test_whole_seconds_are_refused() -> None:
    frames = [
        replace(FRAMES[number % 100], seq=number, t_ns=1_764_365_000 + number // 60)
        for number in range(60 * 5)
    ]
    reasons = refused(frames)
    assert reasons[:180] == [""] * 180
    assert all(why.startswith("bad_clock") for why in reasons[180:])


def test_frames_that_come_in_bursts_are_believed() -> None:
    stream = StreamPlausibility()
    for number, frame in enumerate(FRAMES):
        stream.check(frame, NOW_NS + (number // 10) * 166_666_670 + number)
    assert stream.new_findings() == []


def test_fractions_are_refused_from_the_first_frame() -> None:
    size = np.array([*CLIP.size, 1], np.float32)
    reasons = refused([replace(frame, keypoints=frame.keypoints / size) for frame in FRAMES[:5]])
    assert all(why.startswith("fractions: ") and "from 0 to 1" in why for why in reasons)


def test_keypoints_of_another_video_are_refused_once_they_are_many() -> None:
    reasons = refused([replace(frame, wh=(240, 180)) for frame in FRAMES])
    assert reasons[:49] == [""] * 49
    assert all(why.startswith("wrong_size: ") for why in reasons[49:])


def test_a_guessed_format_is_reported_once() -> None:
    stream = StreamPlausibility()
    for number in range(3):
        message = replace(FRAMES[number], seq=number, format_guessed=True)
        stream.check(message, NOW_NS + number * 16_666_667)
    details = [found.detail for found in stream.new_findings()]
    assert details == [
        "25 keypoints are taken for body25b; if they are body25, send the fmt body25"
    ]


def test_a_guessed_format_that_the_bones_contradict_is_refused_and_a_named_one_reported() -> None:
    h36m = [
        replace(frame, skeleton="coco17", keypoints=to_h36m17(frame.keypoints, CLIP.skeleton))
        for frame in FRAMES
    ]
    reasons = refused([replace(frame, format_guessed=True) for frame in h36m])
    assert reasons[:49] == [""] * 49
    assert all(why.startswith("other_format: ") for why in reasons[49:])
    stream = StreamPlausibility()
    for number, frame in enumerate(h36m):
        stream.check(frame, NOW_NS + number * 16_666_667)
    assert [found.reason for found in stream.new_findings()] == ["other_format"]
