"""A live stream that cannot be what it says: refused by what it looks like, reported once."""

import contextlib
import json
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langpose_rt.errors import MessageError
from langpose_rt.formats.clip import DEMO_CLIP, FUSION_DEMO
from langpose_rt.formats.readers import read_clip
from langpose_rt.geometry.skeleton import REFERENCE_BONES_M, to_h36m17
from langpose_rt.pipeline.offline import frames_of_clip
from langpose_rt.pipeline.stream_plausibility import (
    FEWEST_STEPS,
    SETTLED_FRAMES,
    StreamPlausibility,
)
from langpose_rt.protocol.camera_info import RigCamera
from langpose_rt.protocol.keypoints import Via
from langpose_rt.protocol.messages import (
    JsonNumbering,
    KeypointMessage,
    decode_keypoints,
    encode_keypoints,
)

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


def findings(frames: list[KeypointMessage], interval_ns: int = 16_666_667) -> list[str]:
    """Return the reasons of the findings, each with the number of its frame."""
    stream, found = StreamPlausibility(), []
    for number, frame in enumerate(frames):
        with contextlib.suppress(MessageError):
            stream.check(frame, NOW_NS + number * interval_ns)
        found += [f"{number} {finding.reason}" for finding in stream.new_findings()]
    return found


def scaled(frame: KeypointMessage, factor: float) -> KeypointMessage:
    return replace(frame, keypoints=frame.keypoints * np.array([factor, factor, 1], np.float32))


def test_an_honest_stream_is_believed() -> None:
    assert refused(FRAMES) == [""] * 100


@given(speed=st.floats(0.01, 100), start=st.integers(0, 2 * 10**18))
@settings(max_examples=20, deadline=None)
def test_a_clip_played_at_any_speed_is_served(speed: float, start: int) -> None:
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


def test_a_rig_that_sends_what_it_is_behind_to_a_busy_server_is_believed() -> None:
    """Half a second late it captures six frames within milliseconds, and they arrive slowly."""
    stream, t_ns, now_ns = StreamPlausibility(), 0, NOW_NS
    steps_ms = [(16.7, 16.7)] * 40 + [(500.0, 500.0)] + [(0.6, 20.0)] * 6 + [(16.7, 16.7)] * 40
    for frame, (captured_ms, received_ms) in zip(FRAMES, steps_ms, strict=False):
        t_ns, now_ns = t_ns + round(captured_ms * 1e6), now_ns + round(received_ms * 1e6)
        stream.check(replace(frame, t_ns=t_ns), now_ns)
    assert stream.new_findings() == []


def test_a_rig_whose_first_frames_are_a_burst_that_a_busy_server_reads_slowly_is_believed() -> None:
    stream, t_ns, now_ns = StreamPlausibility(), NOW_NS, NOW_NS + 3_000_000_000
    steps_ms = [(0.2, 60.0)] * 15 + [(16.7, 16.7)] * 85
    for frame, (captured_ms, received_ms) in zip(FRAMES, steps_ms, strict=True):
        t_ns, now_ns = t_ns + round(captured_ms * 1e6), now_ns + round(received_ms * 1e6)
        stream.check(replace(frame, t_ns=t_ns), now_ns)
    assert stream.new_findings() == []


def test_a_server_that_stands_still_for_a_moment_does_not_suspect_the_clock() -> None:
    stream, now_ns = StreamPlausibility(), NOW_NS
    for frame in FRAMES:
        now_ns += 700_000_000 if frame.seq == 5 else 16_666_667
        stream.check(replace(frame, t_ns=NOW_NS + frame.t_ns), now_ns)
    assert stream.new_findings() == []


def test_a_clock_that_begins_at_the_right_time_and_hardly_runs_is_refused() -> None:
    reasons = refused([replace(frame, t_ns=NOW_NS + frame.seq) for frame in FRAMES], 50_000_000)
    assert "bad_clock: frames are 1 ns apart" in reasons[-1]
    assert not any(reasons[:20])


def test_fractions_are_refused_from_the_first_frame() -> None:
    size = np.array([*CLIP.size, 1], np.float32)
    reasons = refused([replace(frame, keypoints=frame.keypoints / size) for frame in FRAMES[:5]])
    assert all(why.startswith("fractions: ") and "from 0 to 1" in why for why in reasons)


def test_keypoints_of_another_video_are_refused_from_the_first_frame() -> None:
    reasons = refused([replace(frame, wh=(240, 180)) for frame in FRAMES])
    assert all(why.startswith("wrong_size: ") for why in reasons)


def test_a_stream_that_is_refused_is_served_once_it_is_right() -> None:
    wrong = [scaled(frame, 4) for frame in FRAMES[:4]]
    reasons = refused([*wrong, *(replace(f, seq=4 + f.seq) for f in FRAMES)])
    assert all(reasons[:4])
    assert not any(reasons[16:])


@pytest.mark.parametrize(
    ("factor", "reason"), [(0.3, "4 small_size"), (0.5, "4 small_size"), (3.0, "0 wrong_size")]
)
def test_another_size_is_reported_with_the_first_frames(factor: float, reason: str) -> None:
    assert findings([scaled(frame, factor) for frame in FRAMES]) == [reason]


def test_keypoints_outside_the_image_are_reported_unless_they_are_unsure() -> None:
    frames = [scaled(frame, 1.6) for frame in FRAMES]
    assert [found.partition(" ")[2] for found in findings(frames)] == ["outside"]
    unsure = []
    for frame in frames:
        keypoints = frame.keypoints.copy()
        beyond = (keypoints[..., :2] > CLIP.size).any(-1)
        keypoints[beyond, 2] = 0.01
        unsure.append(replace(frame, keypoints=keypoints))
    assert findings(unsure) == []


def test_a_size_that_changes_later_is_reported_within_half_a_second() -> None:
    honest = [replace(FRAMES[n % 100], seq=n, t_ns=n * 16_666_667) for n in range(200)]
    other = [replace(scaled(frame, 2.5), seq=200 + n) for n, frame in enumerate(honest)]
    later = [replace(frame, t_ns=(200 + n) * 16_666_667) for n, frame in enumerate(other)]
    found = findings([*honest, *later])
    assert next(int(text.split()[0]) for text in found) < 232
    assert {text.split()[1] for text in found} == {"outside", "wrong_size"}


def test_people_who_stand_on_their_heads_are_reported() -> None:
    frames = []
    for frame in FRAMES[:5]:
        keypoints = frame.keypoints.copy()
        keypoints[..., 1] = (CLIP.size[1] - keypoints[..., 1]) * (keypoints[..., 2] > 0)
        frames.append(replace(frame, keypoints=keypoints))
    assert findings(frames) == ["0 upside_down"]


def test_gravity_that_points_up_is_reported_once() -> None:
    up = [replace(frame, cam=RigCamera(gravity=(0.0, -1.0, 0.0))) for frame in FRAMES]
    assert findings(up) == ["0 gravity_up"]
    down = [replace(frame, cam=RigCamera(gravity=(0.0, 1.0, 0.0))) for frame in FRAMES]
    assert findings(down) == []


def level_at(height_m: float) -> tuple[float, ...]:
    """Return camera to world of a level camera, row by row."""
    rows = ((1.0, 0.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, -1.0, 0.0, height_m))
    return (*rows[0], *rows[1], *rows[2], 0.0, 0.0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("cam", "told"),
    [
        (RigCamera(gravity=(0.0, 0.0, -1.0)), ["0 gravity_up"]),
        (RigCamera(T_wc=level_at(height_m=1500.0)), ["0 far_camera"]),
        (RigCamera(T_wc=level_at(height_m=1.5)), []),
    ],
    ids=["gravity of a world", "millimetres", "metres"],
)
def test_a_camera_in_other_axes_or_units_is_reported_once(cam: RigCamera, told: list[str]) -> None:
    assert findings([replace(frame, cam=cam) for frame in FRAMES]) == told


def test_thousandths_of_the_image_are_reported_within_eight_frames() -> None:
    frames = []
    for frame in FRAMES:
        keypoints = frame.keypoints.copy()
        keypoints[..., :2] = np.round(keypoints[..., :2] * np.float32(1000) / CLIP.size)
        frames.append(replace(frame, keypoints=keypoints))
    assert findings(frames) == ["7 thousandths"]


@pytest.mark.parametrize(
    ("k", "reason"),
    [
        ((840.0, 840.0, 272.0, 480.0), "odd_centre"),
        ((1681.0, 600.0, 544.0, 960.0), "odd_focal"),
        ((60.0, 60.0, 544.0, 960.0), "bad_focal"),
    ],
)
def test_a_lens_of_another_image_is_reported_once(
    k: tuple[float, float, float, float], reason: str
) -> None:
    odd = [replace(frame, cam=RigCamera(k=k)) for frame in FRAMES[:5]]
    assert findings(odd) == [f"0 {reason}"]
    good = [replace(frame, cam=RigCamera(k=(1681.0, 1681.0, 544.0, 960.0))) for frame in FRAMES]
    assert findings(good) == []


def test_people_without_a_usable_keypoint_are_reported_once() -> None:
    nobody = [replace(frame, keypoints=frame.keypoints * 0) for frame in FRAMES[:30]]
    assert findings(nobody) == ["9 no_keypoints"]
    assert findings([*FRAMES[:1], *(replace(f, seq=1 + f.seq) for f in nobody)]) == []
    assert findings([replace(frame, clipped=25) for frame in nobody]) == ["0 far_out"]


@pytest.mark.parametrize(("speed", "told"), [(0.1, True), (0.5, False), (2.0, False), (10, True)])
def test_a_clock_of_another_speed_is_reported(speed: float, told: bool) -> None:
    frames = [replace(frame, t_ns=round(frame.t_ns * speed)) for frame in FRAMES]
    assert [text.partition(" ")[2] for text in findings(frames)] == ["odd_clock"] * told


def test_frames_that_a_front_replays_say_nothing_of_the_clock() -> None:
    """They come five times as fast as they were captured, and the live ones at their own speed."""
    stream, found, now_ns = StreamPlausibility(), list[str](), NOW_NS
    for number, frame in enumerate(FRAMES):
        via = Via(2, replayed=number < 40)
        stream.check(replace(frame, t_ns=4 * frame.t_ns, via=via), now_ns)
        now_ns += 13_000_000 if number < 39 else 66_666_667
        found += [finding.reason for finding in stream.new_findings()]
    assert found == []


def test_a_clock_that_is_odd_after_a_replay_is_reported() -> None:
    stream, found = StreamPlausibility(), list[str]()
    for number, frame in enumerate(FRAMES):
        slow = replace(frame, t_ns=frame.t_ns // 10, via=Via(2, replayed=number < 40))
        stream.check(slow, NOW_NS + number * 16_666_667)
        found += [finding.reason for finding in stream.new_findings()]
    assert found == ["odd_clock"]


def test_a_clock_that_steps_ahead_runs_at_its_speed() -> None:
    hour_ns = 3_600 * 10**9
    frames = [replace(frame, t_ns=frame.t_ns + hour_ns * (frame.seq > 5)) for frame in FRAMES]
    assert findings(frames) == []


def test_ticks_of_100_ns_are_named() -> None:
    reasons = refused([replace(frame, t_ns=NOW_NS // 100 + frame.t_ns // 100) for frame in FRAMES])
    assert reasons[:FEWEST_STEPS] == [""] * FEWEST_STEPS
    assert all("they look like ticks of 100 ns" in why for why in reasons[FEWEST_STEPS:])


def test_somebody_far_away_in_a_corner_is_not_of_a_smaller_image_if_others_are_elsewhere() -> None:
    for number in (1, 2):
        clip = read_clip(FUSION_DEMO / f"cam_0{number}.npz")
        told = findings(list(frames_of_clip(clip, "rig0", "cam0", epoch=1)))
        assert not any("small_size" in finding for finding in told)
    alone = [scaled(frame, 0.3) for frame in FRAMES]
    assert "4 small_size" in findings(alone)


def test_a_settled_stream_is_sampled() -> None:
    stream = StreamPlausibility()
    with patch.object(StreamPlausibility, "_judge", autospec=True, return_value=None) as judged:
        for number in range(SETTLED_FRAMES + 512):
            frame = replace(FRAMES[number % 100], seq=number, t_ns=number * 16_666_667)
            stream.check(frame, NOW_NS + number * 16_666_667)
    assert judged.call_count == 10


def test_streams_that_begin_together_are_judged_one_after_the_other() -> None:
    streams = [StreamPlausibility(number) for number in range(32)]
    at_once = []
    for number in range(SETTLED_FRAMES + 512):
        frame = replace(FRAMES[number % 100], seq=number, t_ns=number * 16_666_667)
        with patch.object(StreamPlausibility, "_judge", autospec=True, return_value=None) as judged:
            for stream in streams:
                stream.check(frame, NOW_NS + number * 16_666_667)
        at_once.append(judged.call_count)
    settled = at_once[SETTLED_FRAMES:]
    assert max(settled) == 1
    assert sum(settled) == 64, "every stream twice in 512 frames"


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
    assert reasons[:4] == [""] * 4
    assert all(why.startswith("other_format: ") for why in reasons[4:])
    stream = StreamPlausibility()
    for number, frame in enumerate(h36m):
        stream.check(frame, NOW_NS + number * 16_666_667)
    reasons = [found.reason for found in stream.new_findings()]
    assert reasons == ["other_format", "upside_down"]  # a hip is where coco17 has a shoulder


def test_bone_lengths_in_another_order_are_reported_once() -> None:
    bones_m = np.roll(REFERENCE_BONES_M, -6)[None]
    assert findings([replace(f, bones_m=bones_m) for f in FRAMES]) == ["0 odd_bones"]
    assert findings([replace(f, bones_m=REFERENCE_BONES_M[None]) for f in FRAMES]) == []


@pytest.mark.parametrize("as_json", [False, True])
def test_scores_of_0_to_100_are_reported_once(*, as_json: bool) -> None:
    """The message is the one that a rig sends: decoded, its scores end at 1."""
    numbering, sent = JsonNumbering(epoch=0), []
    for number, frame in enumerate(FRAMES):
        now_ns = NOW_NS + number * 16_666_667
        percent = replace(frame, keypoints=frame.keypoints * np.array([1, 1, 100], np.float32))
        parts = encode_keypoints(percent)
        if as_json:
            document = {
                "fmt": frame.skeleton,
                "wh": frame.wh,
                "keypoints": percent.keypoints.tolist(),
            }
            parts = [b"kp2d/rig0/cam0/", json.dumps(document).encode()]
        sent.append(decode_keypoints(parts, now_ns=now_ns, numbering=numbering))
    assert max(frame.keypoints[..., 2].max() for frame in sent) == 1
    assert findings(sent) == ["0 large_scores"]
