"""One JSON file of a clip, in the layouts of AlphaPose and MMPose."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langpose_rt.errors import ConfigError
from langpose_rt.formats.clip import Clip, ClipOverrides
from langpose_rt.formats.readers import read_clip

GIVEN = ClipOverrides(size=(640, 480), fps=50.0)


def flat(x: float) -> list[float]:
    return [x, 2.0, 0.5] * 17


def pairs(x: float) -> dict[str, Any]:
    return {"keypoints": [[x, 2.0]] * 17, "keypoint_scores": [0.5] * 17}


LAYOUTS: dict[str, Any] = {
    "AlphaPose": [
        {"image_id": f"{n}.jpg", "category_id": 1, "keypoints": flat(n), "score": 2.5, "idx": 4}
        for n in (9, 10, 12)
    ],
    "AlphaPose, open": {
        f"{n}.jpg": {"version": "AlphaPose v0.3", "people": [{"pose_keypoints_2d": flat(n)}]}
        for n in (9, 10, 12)
    },
    "MMPose": [{"frame_id": n, "instances": [pairs(n)]} for n in (9, 10, 12)],
    "MMPose's demo": {
        "meta_info": {"dataset_name": "coco"},
        "instance_info": [{"frame_id": n, "instances": [pairs(n)]} for n in (9, 10, 12)],
    },
}


def read(folder: Path, document: object, given: ClipOverrides = GIVEN) -> Clip:
    path = folder / "results.json"
    raw = document if isinstance(document, bytes) else json.dumps(document).encode()
    path.write_bytes(raw)
    return read_clip(path, given)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_the_same_clip(tmp_path: Path, layout: str) -> None:
    clip = read(tmp_path, LAYOUTS[layout])
    assert clip.keypoints[:, 0, 0, 0].tolist() == [9, 10, 12]
    assert clip.keypoints.shape == (3, 1, 17, 3)
    assert clip.t_ns.tolist() == [0, 20_000_000, 60_000_000]
    assert clip.skeleton.name == "coco17"
    assert clip.format_guessed


def test_ids_of_alphapose_are_taken(tmp_path: Path) -> None:
    assert read(tmp_path, LAYOUTS["AlphaPose"]).ids.tolist() == [[4]] * 3


def test_frames_without_a_number_are_in_their_order(tmp_path: Path) -> None:
    clip = read(tmp_path, [[pairs(1)], [], [pairs(3), pairs(4)]])
    assert clip.present.tolist() == [[True, False], [False, False], [True, True]]
    assert clip.t_ns.tolist() == [0, 20_000_000, 40_000_000]


def test_one_frame_is_a_clip_of_one_frame(tmp_path: Path) -> None:
    for document in (
        {"people": [{"pose_keypoints_2d": flat(1)}]},
        {"instances": [pairs(1)]},
        [pairs(1)],
    ):
        assert read(tmp_path, document).keypoints[:, 0, 0].tolist() == [[1.0, 2.0, 0.5]]


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        (b"{", "results.json is no JSON: Input data was truncated"),
        ("{}".encode("utf-16"), "is no JSON: it is UTF-16 text; save it as UTF-8"),
        ([], "has no frames; expected those of OpenPose, AlphaPose or MMPose"),
        (3, "found neither a list nor an object"),
        ([{"frame_id": 1, "instances": [pairs(1)]}] * 2, "frame 1 comes twice; give the file of"),
        ([{"frame_id": -1, "instances": []}], "found the frame number -1; expected 0 to"),
        ([{"frame_id": 1, "joints": []}], "frame 1 is none of OpenPose, AlphaPose or MMPose"),
        ([[{"keypoints": [[1, 2], [3]]}]], "frame 0: got rows of different lengths in one frame"),
        ([[pairs(1)], [{"keypoints": [[1, 2]] * 26}]], "frame 1: found 26 keypoints; expected 17"),
    ],
)
def test_a_wrong_file_is_one_sentence(tmp_path: Path, document: object, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        read(tmp_path, document)


def test_size_and_rate_have_to_be_given(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="JSON of a detector has no frame rate; say it with --fps"
    ):
        read(tmp_path, LAYOUTS["MMPose"], ClipOverrides(size=(640, 480)))


keys = st.sampled_from(["people", "instances", "keypoints", "frame_id", "image_id", "1.jpg"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=10,
)


@given(document=values)
def test_any_json_is_refused_or_read(
    tmp_path_factory: pytest.TempPathFactory, document: object
) -> None:
    found = np.zeros(1)
    try:
        found = read(tmp_path_factory.mktemp("any"), document).keypoints
    except ConfigError as error:
        assert "results.json" in str(error)  # noqa: PT017
    assert np.isfinite(found).all()
