"""A clip from numbered frames, whichever reader found them."""

from pathlib import Path

import numpy as np
import pytest

from langpose_rt.errors import ConfigError
from langpose_rt.formats.clip import ClipOverrides
from langpose_rt.formats.detections.frames_of_people import FramePeople, clip_from_frames

GIVEN = ClipOverrides(size=(640, 480), fps=29.97)
PATH = Path("clip.json")


def frame(people: int, ids: list[int], keypoints: int = 17) -> FramePeople:
    return FramePeople(source="frame", people=np.ones((people, keypoints, 3)), ids=ids)


def test_missing_numbers_are_gaps_and_rates_stay_as_they_are() -> None:
    clip = clip_from_frames(PATH, {3: frame(1, [7]), 5: frame(0, [])}, GIVEN, what="it")
    assert clip.t_ns.tolist() == [0, round(2e9 / 29.97)]
    assert clip.ids.tolist() == [[7], [-1]]
    assert clip.present.tolist() == [[True], [False]]
    assert clip.notes == ()


def test_a_file_too_large_for_memory_is_refused_before_it_is_laid_out() -> None:
    frames = {number: frame(0, []) for number in range(100_000)}
    frames[0] = frame(64, list(range(64)), 136)
    with pytest.raises(ConfigError, match="found 100000 frames of up to 64 people; lift it in"):
        clip_from_frames(PATH, frames, GIVEN, what="it")
