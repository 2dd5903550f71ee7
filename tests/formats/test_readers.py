"""A clip is read from whatever holds it, and what holds none is refused with what to give."""

import json
from pathlib import Path

import numpy as np
import pytest

from langpose_rt.errors import ConfigError
from langpose_rt.formats.clip import DEMO_CLIP, Clip, ClipOverrides
from langpose_rt.formats.clip_npz import clip_from_npz, clip_to_npz
from langpose_rt.formats.detections.openpose_json import clip_from_openpose
from langpose_rt.formats.readers import read_clip

SAID = ClipOverrides(size=(640, 480), fps=50.0)


def same(one: Clip, other: Clip) -> bool:
    return one.skeleton == other.skeleton and np.array_equal(one.keypoints, other.keypoints)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three frames of one person, as OpenPose writes them."""
    frames = tmp_path / "frames"
    frames.mkdir()
    for number in range(3):
        people = [{"pose_keypoints_2d": [float(number), 2.0, 0.5] * 25}]
        (frames / f"{number}.json").write_text(json.dumps({"people": people}))
    return frames


def test_a_file_is_read_as_npz_and_a_folder_as_openpose(folder: Path) -> None:
    assert same(read_clip(DEMO_CLIP), clip_from_npz(DEMO_CLIP, ClipOverrides()))
    assert same(read_clip(folder, SAID), clip_from_openpose(folder, SAID))


def test_a_path_may_be_text(folder: Path) -> None:
    assert same(read_clip(str(folder), SAID), read_clip(folder, SAID))


def test_what_one_reader_has_read_and_npz_keeps_the_other_reads_again(
    folder: Path, tmp_path: Path
) -> None:
    clip = read_clip(folder, SAID)
    clip_to_npz(tmp_path / "clip.npz", clip)
    again = read_clip(tmp_path / "clip.npz")
    assert same(again, clip)
    assert again.size == (640, 480)
    np.testing.assert_array_equal(again.t_ns, clip.t_ns)


def test_what_is_given_reaches_either_reader(folder: Path, tmp_path: Path) -> None:
    clip_to_npz(tmp_path / "clip.npz", read_clip(folder, SAID))
    for path in (folder, tmp_path / "clip.npz"):
        clip = read_clip(path, ClipOverrides(size=(320, 240), fps=25.0))
        assert clip.size == (320, 240)
        assert clip.t_ns.tolist() == [0, 40_000_000, 80_000_000]


@pytest.mark.parametrize("name", ["clip.npz", "clip.txt", "clip"])
def test_any_other_file_is_read_as_npz_and_its_damage_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("not a clip")
    with pytest.raises(ConfigError, match=name) as caught:
        read_clip(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_folder_without_frames_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=str(tmp_path)):
        read_clip(tmp_path, SAID)


def test_paths_that_hold_no_clip_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no.npz does not exist; expected .* or a video"):
        read_clip(tmp_path / "no.npz")
    (tmp_path / "frame_1.json").write_text("{}")
    with pytest.raises(ConfigError, match="JSON of a detector has no image size"):
        read_clip(str(tmp_path / "frame_1.json"))
    with pytest.raises(ConfigError, match=r"frame_1.json has no frames; expected those of"):
        read_clip(str(tmp_path / "frame_1.json"), SAID)
