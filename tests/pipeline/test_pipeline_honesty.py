"""No stream makes a pose that is silently far from the honest one: units, sizes, clocks, formats.

Two real clips, sent as rigs send them, go through the pipeline and the model that ships. What a rig
may get wrong is drawn by hypothesis; the poses of the same frames sent rightly are the measure.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import assume, event, example, given, settings
from hypothesis import strategies as st

from langpose_rt.formats.clip import DEMO_CLIP, Clip
from langpose_rt.formats.readers import read_clip
from langpose_rt.pipeline.config import PipelineConfig
from langpose_rt.pipeline.offline import frames_of_clip, rig_camera_of_clip
from langpose_rt.pipeline.pipeline import Pipeline
from langpose_rt.protocol.messages import (
    Event,
    KeypointMessage,
    decode_pose,
    decode_status,
    encode_keypoints,
)
from langpose_rt.runtime.backend import Backend
from langpose_rt.runtime.registry import open_backend

CLIPS = (DEMO_CLIP, Path(__file__).parents[1] / "data" / "pose2sim_balancing_cam04.npz")
FRAMES = 24
STEP_NS = 16_666_667
NOW_NS = 1_764_365_000_000_000_000
FAR_MM = 50.0
SIZES = (
    (320, 240),
    (640, 480),
    (1280, 720),
    (1088, 1920),
    (1920, 1080),
    (2160, 3840),
    (7680, 4320),
)


@dataclass(frozen=True)
class Mistake:
    """What a rig gets wrong; the defaults are right."""

    clip: int = 0
    unit: str = "pixels"
    scale: float = 1.0
    size: tuple[int, int] | None = None
    clock: str = "ns"
    speed: float = 1.0
    fmt: str | None = "body25b"
    lens: bool = False


UNITS = (
    "pixels",
    "fractions",
    "plus or minus 1",
    "percent",
    "from the centre",
    "y up",
    "pixels as norm",
)
CLOCKS = {"ns": 1, "ticks": 100, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000, "number": 0}

mistakes = st.builds(
    Mistake,
    clip=st.integers(0, 1),
    unit=st.sampled_from(UNITS),
    scale=st.just(1.0) | st.floats(0.2, 5.0),
    size=st.none() | st.sampled_from(SIZES),
    clock=st.sampled_from(sorted(CLOCKS)),
    speed=st.just(1.0) | st.floats(0.1, 10.0),
    fmt=st.sampled_from(("body25b", "body25", None)),
    lens=st.booleans(),
)


@cache
def clip_at(place: int) -> Clip:
    return read_clip(CLIPS[place])


@cache
def backend() -> Backend:
    return open_backend(None, "auto", slots=4)


def sent(mistake: Mistake) -> Iterator[list[bytes]]:
    """The messages of a rig that makes this mistake."""
    clip = clip_at(mistake.clip)
    for frame in frames_of_clip(clip, "rig0", "cam0", epoch=1):
        if frame.seq == FRAMES:
            return
        wh = mistake.size or frame.wh
        xy = converted(frame.keypoints[..., :2].astype(np.float64), mistake.unit, frame.wh)
        seen = frame.keypoints[..., 2:] > 0
        people = np.concatenate([xy * mistake.scale, frame.keypoints[..., 2:]], -1) * seen
        t_ns = round(NOW_NS + frame.seq * STEP_NS * mistake.speed)
        divisor = CLOCKS[mistake.clock]
        yield message(frame, people, wh, t_ns // divisor if divisor else frame.seq, mistake)


def converted(xy: np.ndarray, unit: str, wh: tuple[int, int]) -> np.ndarray:
    """Pixels in the unit or axes that a rig took for pixels."""
    size = np.array(wh, np.float64)
    return {
        "fractions": xy / size,
        "plus or minus 1": 2 * xy / size - 1,
        "percent": 100 * xy / size,
        "from the centre": xy - size / 2,
        "y up": np.stack([xy[..., 0], size[1] - xy[..., 1]], -1),
    }.get(unit, xy)


def message(
    frame: KeypointMessage, people: np.ndarray, wh: tuple[int, int], t: int, mistake: Mistake
) -> list[bytes]:
    lens = rig_camera_of_clip(clip_at(mistake.clip)) if mistake.lens else None
    unit = "norm" if mistake.unit == "pixels as norm" else "px"
    if mistake.fmt is not None and unit == "px":
        keypoints = people.astype(np.float32)
        return encode_keypoints(
            replace(frame, keypoints=keypoints, wh=wh, t_ns=t, cam=lens, skeleton=mistake.fmt)
        )
    document = {
        "keypoints": people.tolist(), "wh": wh, "t": t, "unit": unit, "cam": lens, "epoch": 1,
        "seq": frame.seq, "ids": frame.ids.tolist(), "fmt": mistake.fmt,
    }  # fmt: skip
    return [b"kp2d/rig0/cam0/", msgspec.json.encode(document)]


def served(messages: Iterator[list[bytes]]) -> tuple[dict[int, np.ndarray], set[str]]:
    """Poses [person, 17, 3] by frame, and the kind and reason of every event about the stream."""
    pipeline = Pipeline(backend(), PipelineConfig(), epoch=11)
    outgoing = []
    for number, parts in enumerate(messages):
        now_ns = NOW_NS + number * STEP_NS
        pipeline.receive(parts, now_ns)
        outgoing += pipeline.step(now_ns)
    outgoing += pipeline.flush(NOW_NS + FRAMES * STEP_NS)
    poses = {pose.src.seq: pose.poses[..., :3] for pose in map(decode_pose, outgoing)}
    reported = pipeline.tick(NOW_NS + FRAMES * STEP_NS)
    events = [status for status in map(decode_status, reported) if isinstance(status, Event)]
    return poses, {f"{found.kind}/{found.reason}" for found in events}


@cache
def honest(place: int, *, lens: bool) -> dict[int, np.ndarray]:
    poses, events = served(sent(Mistake(clip=place, lens=lens)))
    assert len(poses) == FRAMES
    assert events <= {"camera/assumed_intrinsics"}
    return poses


def fits_another_image(mistake: Mistake) -> bool:
    """True if the keypoints fill the image that they are said to be of as people might.

    Nothing then tells the camera from another one that sees somebody elsewhere.
    """
    clip = clip_at(mistake.clip)
    keypoints = clip.keypoints[:FRAMES]
    xy = keypoints[keypoints[..., 2] > 0][:, :2] * mistake.scale
    size = np.array(mistake.size or clip.size)
    changed = mistake.scale != 1 or tuple(size) != clip.size
    inside = (xy <= size).all() and (np.percentile(xy, 98, axis=0) >= 0.45 * size).any()
    return bool(changed and inside and mistake.unit in ("pixels", "from the centre"))


def farthest_mm(poses: dict[int, np.ndarray], right: dict[int, np.ndarray]) -> float:
    """The mean distance of joints from the honest ones in the worst frame; 0 without people."""
    off = [
        1e3 * float(np.linalg.norm(pose - right[seq], axis=-1).mean())
        for seq, pose in poses.items()
        if pose.shape == right[seq].shape and len(pose)
    ]
    return max(off, default=0.0)


@pytest.mark.parametrize("place", range(len(CLIPS)))
@pytest.mark.parametrize("lens", [False, True])
def test_an_honest_stream_is_served_without_a_word(place: int, lens: bool) -> None:
    honest(place, lens=lens)


@example(Mistake(scale=0.5))
@example(Mistake(scale=1.5, clip=1, lens=True))
@example(Mistake(scale=2.0))
@example(Mistake(size=(1920, 1080)))
@example(Mistake(unit="fractions"))
@example(Mistake(unit="percent"))
@example(Mistake(unit="y up"))
@example(Mistake(unit="pixels as norm"))
@example(Mistake(clock="ticks"))
@example(Mistake(clock="s", fmt=None))
@example(Mistake(clock="ms"))
@example(Mistake(speed=0.1))
@example(Mistake(fmt="body25"))
@example(Mistake(fmt=None))
@given(mistakes)
@settings(max_examples=15)
def test_no_pose_is_silently_far_from_the_honest_one(mistake: Mistake) -> None:
    assume(not fits_another_image(mistake))
    poses, events = served(sent(mistake))
    off_mm = farthest_mm(poses, honest(mistake.clip, lens=mistake.lens))
    told = events - {"camera/assumed_intrinsics"}
    event("told" if told else "nothing to tell")
    assert told or off_mm <= FAR_MM, f"{off_mm:.0f} mm off and nobody is told"
