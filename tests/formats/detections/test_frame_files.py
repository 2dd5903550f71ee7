"""Frame numbers in the names of files; the reader's side is in test_openpose_json.py."""

from pathlib import Path

import pytest

from langpose_rt.errors import ConfigError
from langpose_rt.formats.detections.frame_files import files_by_frame


def numbers(folder: Path, *names: str, frames: bool = False) -> tuple[dict[int, str], list[str]]:
    for name in names:
        (folder / name).touch()
    found, strays = files_by_frame(folder, lambda _: frames)
    return {number: path.name for number, path in found.items()}, [path.name for path in strays]


@pytest.mark.parametrize(
    "pattern",
    ["cam1_{:04d}_keypoints_1080p.json", "cam01_{:06d}_v2.json", "{}.json", "2024-01-{:02d}a.json"],
)
def test_the_number_that_differs_is_the_frame(tmp_path: Path, pattern: str) -> None:
    names = [pattern.format(number) for number in (7, 8, 10)]
    assert numbers(tmp_path, *names) == (dict(zip((7, 8, 10), names, strict=True)), [])


def test_of_one_file_the_number_before_keypoints_or_the_last_is_the_frame(tmp_path: Path) -> None:
    assert list(numbers(tmp_path, "c1_0005_keypoints_720p.json")[0]) == [5]
    (tmp_path / "c1_0005_keypoints_720p.json").unlink()
    assert list(numbers(tmp_path, "c1_0005.json")[0]) == [5]


def test_other_files_are_strays_unless_they_are_frames(tmp_path: Path) -> None:
    names = ("a_1.json", "a_2.json", "notes.json", "b_9.json", "._a_1.json")
    assert numbers(tmp_path, *names) == ({1: "a_1.json", 2: "a_2.json"}, ["b_9.json", "notes.json"])
    with pytest.raises(ConfigError, match=r"a_1.json and b_9.json are named differently; give the"):
        numbers(tmp_path, frames=True)


def test_two_cameras_with_numbers_are_one_sentence(tmp_path: Path) -> None:
    names = [f"cam{camera}_{number}.json" for camera in (1, 2) for number in (5, 6)]
    with pytest.raises(ConfigError, match=r"cam1_5.json and cam2_5.json are the same frame"):
        numbers(tmp_path, *names)
