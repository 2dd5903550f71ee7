"""OpenPose folders: frame order, persons, and errors for damaged files."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langpose_rt.errors import ConfigError
from langpose_rt.formats.clip import Clip, ClipOverrides
from langpose_rt.formats.detections.openpose_json import clip_from_openpose
from langpose_rt.formats.readers import read_clip
from langpose_rt.geometry.camera import Intrinsics
from langpose_rt.geometry.skeleton import skeleton_named

OVERRIDES = ClipOverrides(size=(640, 480), fps=50.0)


def person(x: float, keypoints: int = 25, **more: object) -> dict[str, object]:
    return {"pose_keypoints_2d": [x, 2.0, 0.5] * keypoints, **more}


def write(folder: Path, name: str, *people: object) -> None:
    (folder / name).write_text(json.dumps({"version": 1.3, "people": people}))


def read(folder: Path, overrides: ClipOverrides = OVERRIDES) -> Clip:
    return clip_from_openpose(folder, overrides)


def assert_read_or_refused(folder: Path) -> None:
    keypoints, sentence = np.zeros(1), str(folder)
    try:
        keypoints = read(folder).keypoints
    except ConfigError as error:
        sentence = str(error)
    assert str(folder) in sentence
    assert np.isfinite(keypoints).all()


@pytest.mark.parametrize(
    "pattern", ["cam01.{:04d}.json", "take2_{:012d}_keypoints.json", "{}.json", "a1_b2_{}.json"]
)
def test_frames_come_in_the_order_of_their_numbers_and_gaps_are_time(
    tmp_path: Path, pattern: str
) -> None:
    for number in (9, 10, 13):
        write(tmp_path, pattern.format(number), person(float(number)))
    (tmp_path / "notes.txt").write_text("not a frame")
    clip = read_clip(tmp_path, OVERRIDES)
    assert clip.keypoints[:, 0, 0, 0].tolist() == [9, 10, 13]
    assert clip.t_ns.tolist() == [0, 20_000_000, 80_000_000]


def test_people_fill_columns_from_the_left_and_the_rest_is_nobody(tmp_path: Path) -> None:
    write(tmp_path, "1.json", person(1.0), person(2.0))
    write(tmp_path, "2.json")
    write(tmp_path, "3.json", {"pose_keypoints_2d": []}, person(3.0))
    clip = read(tmp_path)
    assert clip.keypoints.shape == (3, 2, 25, 3)
    assert clip.present.tolist() == [[True, True], [False, False], [True, False]]
    assert clip.keypoints[2, 0, 0].tolist() == [3.0, 2.0, 0.5]
    assert (clip.ids == -1).all()


def test_ids_are_taken_where_everybody_has_one(tmp_path: Path) -> None:
    write(tmp_path, "1.json", person(1.0, person_id=[4]), person(2.0, person_id=[9]))
    write(tmp_path, "2.json", person(2.0, person_id=[9]))
    assert read(tmp_path).ids.tolist() == [[4, 9], [9, -1]]
    write(tmp_path, "3.json", person(2.0, person_id=[-1]))
    assert (read(tmp_path).ids == -1).all()
    write(tmp_path, "3.json", person(1.0, person_id=[4]), person(2.0, person_id=[4]))
    assert (read(tmp_path).ids == -1).all()


def test_frame_numbers_may_be_long(tmp_path: Path) -> None:
    for number in (10**30, 10**30 + 2):
        write(tmp_path, f"{number}.json", person(1.0))
    assert read(tmp_path).t_ns.tolist() == [0, 40_000_000]


def test_missing_keypoints_are_zero_however_they_are_written(tmp_path: Path) -> None:
    someone = [1.0, 2.0, 0.5] * 25
    someone[0:3], someone[3:6], someone[6:9] = [0, 0, 0], [None, 1, 0.5], [5, 5, 0]  # type: ignore[list-item]
    write(tmp_path, "1.json", {"pose_keypoints_2d": someone})
    keypoints = read(tmp_path).keypoints[0, 0]
    assert (keypoints[:3] == 0).all()
    assert keypoints[3].tolist() == [1.0, 2.0, 0.5]


def test_the_format_is_the_usual_one_of_its_size_or_the_one_that_was_said(tmp_path: Path) -> None:
    write(tmp_path, "1.json", person(1.0))
    assert read(tmp_path).skeleton.name == "body25"
    overrides = ClipOverrides(size=(640, 480), fps=50, skeleton=skeleton_named("body25b"))
    assert read(tmp_path, overrides).skeleton.name == "body25b"
    lens = Intrinsics.from_fov(640, 480)
    assert (
        read(tmp_path, ClipOverrides(size=(640, 480), fps=50, intrinsics=lens)).intrinsics == lens
    )


def test_size_and_rate_have_to_be_said(tmp_path: Path) -> None:
    write(tmp_path, "1.json", person(1.0))
    with pytest.raises(ConfigError, match="has no image size; say it with --size"):
        read(tmp_path, ClipOverrides(fps=50))
    with pytest.raises(ConfigError, match="has no frame rate; say it with --fps"):
        read(tmp_path, ClipOverrides(size=(640, 480)))
    with pytest.raises(
        ConfigError,
        match="has no image size and no frame rate; say them with --size 1920x1080 and --fps 30",
    ):
        read(tmp_path, ClipOverrides())


def test_a_folder_without_frames_is_said_before_what_they_would_need(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no \.json files; expected one a frame"):
        read(tmp_path, ClipOverrides())


def test_a_calibrated_camera_says_the_size(tmp_path: Path) -> None:
    write(tmp_path, "1.json", person(1.0))
    lens = Intrinsics.from_fov(640, 480)
    assert read(tmp_path, ClipOverrides(fps=50, intrinsics=lens)).size == (640, 480)


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, "has no .json files; expected one a frame"),
        ({"frame.json": [person(1)]}, "no frame number in the name"),
        ({"a_1.json": [], "b_1.json": []}, "a_1.json and b_1.json are the same frame"),
        (
            {"1.json": [], "99999999999.json": []},
            "frame numbers span 99999999998; expected at most",
        ),
        ({"1.json": []}, "no frame has a person"),
        ({"1.json": [person(1, 21)]}, "no keypoint format has 21 keypoints"),
        ({"1.json": [person(1)], "2.json": [person(1, 18)]}, "2.json: found 18 keypoints; .* 25"),
        ({"1.json": [{"pose_keypoints_2d": [1.0] * 50}]}, "found 50 numbers a person"),
        ({"1.json": [{"pose_keypoints_2d": ["x"] * 75}]}, "1.json is no OpenPose frame: Expected"),
        ({"1.json": [{"keypoints": [1.0] * 75}]}, "got people with keypoints; expected pose_key"),
        ({"a_1.json": [], "a_2.json": [], "b_3.json": []}, "a_1.json and b_3.json are named diff"),
        ({"1.json": [person(1), person(1, 17)]}, "got rows of 51, 75 numbers of different lengths"),
    ],
)
def test_a_wrong_folder_is_one_sentence(
    tmp_path: Path, files: dict[str, list[object]], sentence: str
) -> None:
    for name, people in files.items():
        write(tmp_path, name, *people)
    with pytest.raises(ConfigError, match=sentence) as caught:
        read(tmp_path)
    assert str(tmp_path) in str(caught.value)


PLAIN = json.dumps({"people": [person(1.0)]}).encode()


@pytest.mark.parametrize(
    "written",
    [
        b"\xef\xbb\xbf" + PLAIN,
        json.dumps({"people": [person(1.0, person_id=3)]}).encode(),
        json.dumps({"people": [person(1.0, person_id=None)]}).encode(),
        json.dumps({"people": [{"pose_keypoints": [1.0, 2.0, 0.5] * 25}]}).encode(),
    ],
    ids=["byte order mark", "scalar id", "null id", "OpenPose before 1.2"],
)
def test_what_other_programs_write_is_read(tmp_path: Path, written: bytes) -> None:
    (tmp_path / "1.json").write_bytes(written)
    assert read(tmp_path).keypoints[0, 0].tolist() == [[1.0, 2.0, 0.5]] * 25


def test_not_a_number_is_a_missing_keypoint(tmp_path: Path) -> None:
    numbers = [float("nan")] * 3 + [1.0, 2.0, 0.5] * 24
    write(tmp_path, "1.json", {"pose_keypoints_2d": numbers})
    assert read(tmp_path).keypoints[0, 0, :2].tolist() == [[0, 0, 0], [1.0, 2.0, 0.5]]


def test_utf_16_is_named(tmp_path: Path) -> None:
    (tmp_path / "1.json").write_bytes(PLAIN.decode().encode("utf-16"))
    with pytest.raises(ConfigError, match=r"1.json is no OpenPose frame: it is UTF-16 text; save"):
        read(tmp_path)


@pytest.mark.parametrize("content", [b"", PLAIN[:40]])
def test_a_file_that_is_cut_off_is_a_gap_and_is_named_once(tmp_path: Path, content: bytes) -> None:
    for number in range(1, 5):
        write(tmp_path, f"f_{number}.json", person(float(number)))
    (tmp_path / "f_4.json").write_bytes(content)
    clip = read(tmp_path)
    assert clip.keypoints[:, 0, 0, 0].tolist() == [1, 2, 3]
    assert clip.notes == ("f_4.json cannot be read: a gap in time",)


def test_files_that_are_no_frames_are_passed_over_and_named(tmp_path: Path) -> None:
    for number in range(1, 4):
        write(tmp_path, f"cam01_{number}_keypoints_1080p.json", person(float(number)))
        (tmp_path / f"._cam01_{number}_keypoints_1080p.json").write_bytes(b"\0\5\x16\7mac")
    (tmp_path / "cam01_2_metadata.json").write_text('{"lens": 3}')
    clip = read(tmp_path)
    assert clip.keypoints[:, 0, 0, 0].tolist() == [1, 2, 3]
    assert clip.t_ns.tolist() == [0, 20_000_000, 40_000_000]
    assert clip.notes == ("passed over cam01_2_metadata.json: no OpenPose frames",)


def test_of_a_crowd_the_64_best_are_used(tmp_path: Path) -> None:
    faint = {"pose_keypoints_2d": [9.0, 9.0, 0.1] * 25}
    write(tmp_path, "1.json", faint, *[person(1.0)] * 64)
    clip = read(tmp_path)
    assert clip.keypoints.shape[1] == 64
    assert (clip.keypoints[..., 0] == 1.0).all()
    assert clip.notes == ("found 65 people in a frame; the 64 best are used",)


def test_empty_objects_keep_the_places_of_people_who_are_not_seen(tmp_path: Path) -> None:
    write(tmp_path, "1.json", {}, person(2.0, person_id=[-1]))
    write(tmp_path, "2.json", person(1.0, person_id=[-1]), person(2.0, person_id=[-1]))
    clip = read(tmp_path)
    assert clip.ids.tolist() == [[1, -1], [0, 1]]
    assert clip.keypoints[0, 0, 0].tolist() == [2.0, 2.0, 0.5]


def test_a_format_that_nobody_named_is_known_to_be_guessed(tmp_path: Path) -> None:
    write(tmp_path, "1.json", person(1.0))
    assert read(tmp_path).format_guessed
    named = ClipOverrides(size=(640, 480), fps=50, skeleton=skeleton_named("body25b"))
    assert not read(tmp_path, named).format_guessed


def test_a_said_format_of_another_size_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "1.json", person(1.0))
    overrides = ClipOverrides(size=(640, 480), fps=50, skeleton=skeleton_named("coco17"))
    with pytest.raises(
        ConfigError, match="25 keypoints a person; expected 17 of the format coco17"
    ):
        read(tmp_path, overrides)


@given(data=st.data())
def test_a_damaged_file_is_refused_or_read_and_nothing_else_happens(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    write(folder, "1.json", person(1.0, 17))
    content = bytearray((folder / "1.json").read_bytes())
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    (folder / "1.json").write_bytes(content[:cut])
    assert_read_or_refused(folder)


json_scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3)
)
json_keys = st.sampled_from(["people", "pose_keypoints_2d", "person_id"])
json_values: st.SearchStrategy[object] = st.deferred(
    lambda: (
        json_scalars
        | st.lists(json_values, max_size=2)
        | st.dictionaries(json_keys, json_values, max_size=2)
    )
)


@given(value=json_values)
def test_any_json_is_refused_or_read(
    tmp_path_factory: pytest.TempPathFactory, value: object
) -> None:
    folder = tmp_path_factory.mktemp("any")
    write(folder, "1.json", person(1.0, 17))
    (folder / "2.json").write_text(json.dumps(value))
    assert_read_or_refused(folder)


def test_a_number_too_large_for_a_float_is_a_missing_keypoint_or_refused(tmp_path: Path) -> None:
    write(tmp_path, "1.json", {"pose_keypoints_2d": [1e200, 1, 1] * 17})
    assert not read(tmp_path).present.any()
