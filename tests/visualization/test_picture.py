from pathlib import Path

import cv2
import numpy as np
import pytest

from langpose_rt.errors import ConfigError
from langpose_rt.visualization import palette
from langpose_rt.visualization.picture import HEIGHT_PX, WIDTH_PX, draw_scene, save_picture
from tests.visualization.people import person, scene, standing

HEADER, CAPTION = slice(0, 84), slice(790, HEIGHT_PX)


@pytest.fixture(scope="module")
def plain() -> np.ndarray:
    return draw_scene(scene())


def ink(image: np.ndarray) -> int:
    return int((np.abs(image.astype(int) - palette.PAGE) > 60).any(-1).sum())


def test_a_picture_is_wide_and_in_colour(plain: np.ndarray) -> None:
    assert plain.shape == (HEIGHT_PX, WIDTH_PX, 3)
    assert plain.dtype == np.uint8
    assert plain.std() > 5


def test_keypoints_and_both_sides_of_the_body_are_in_it(plain: np.ndarray) -> None:
    orange = (plain[100:770, :, 2].astype(int) - plain[100:770, :, 0]) > 60
    for third in (slice(0, 600), slice(680, 1200), slice(1250, 1800)):
        assert orange[:, third].sum() > 150


def test_the_same_scene_gives_the_same_picture(plain: np.ndarray) -> None:
    np.testing.assert_array_equal(draw_scene(scene()), plain)


def test_words_are_written_above_and_below(plain: np.ndarray) -> None:
    worded = draw_scene(
        scene(title="3D", facts={"latency p99": "4.1 ms"}, notes=("model", "licence"))
    )
    assert ink(worded[HEADER, :600]) > ink(plain[HEADER, :600]) == 0
    assert ink(worded[CAPTION, :600]) > ink(plain[CAPTION, :600]) == 0
    assert ink(worded[CAPTION, 1500:]) > ink(plain[CAPTION, 1500:]) == 0


def test_the_legend_names_what_is_drawn_and_nothing_else(plain: np.ndarray) -> None:
    doubt = draw_scene(scene(person(sigma_m=np.full(17, 0.05))))
    both = draw_scene(scene(person(sigma_m=np.full(17, 0.05), truth_camera=standing())))
    amounts = [ink(image[HEADER, 900:]) for image in (plain, doubt, both)]
    assert 0 < amounts[0] < amounts[1] < amounts[2]


@pytest.mark.parametrize("size_px", [(1920, 1080), (1088, 1920), (1000, 1000), (4000, 300)])
def test_any_shape_of_image_fits(size_px: tuple[int, int]) -> None:
    keypoints = np.zeros((17, 3), np.float32)
    keypoints[13] = size_px[0] * 0.5, size_px[1] * 0.5, 1.0
    image = draw_scene(scene(person(keypoints_px=keypoints), size_px=size_px))
    orange = (image[88:778, :620, 2].astype(int) - image[88:778, :620, 0]) > 60
    assert 20 < orange.sum() < 400
    assert np.argwhere(orange)[:, 0].mean() == pytest.approx(345, abs=25)


def test_a_scene_without_anybody_draws() -> None:
    assert ink(draw_scene(scene(people=()))[:, 700:]) > 0


def test_a_picture_is_read_back_as_it_was_written(plain: np.ndarray, tmp_path: Path) -> None:
    save_picture(tmp_path / "demo.png", plain)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "demo.png")), plain)


def test_other_formats_are_chosen_by_name(plain: np.ndarray, tmp_path: Path) -> None:
    save_picture(str(tmp_path / "demo.jpg"), plain)
    assert (tmp_path / "demo.jpg").read_bytes()[:2] == b"\xff\xd8"


@pytest.mark.parametrize("name", ["demo", "demo.", "demo.doc"])
def test_an_unknown_format_is_one_sentence(plain: np.ndarray, tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"no format that OpenCV writes; name it \.png"):
        save_picture(tmp_path / name, plain)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_one_sentence(plain: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written: No such file or directory"):
        save_picture(tmp_path / "nowhere" / "demo.png", plain)
