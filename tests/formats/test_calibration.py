"""Calibration files of Pose2Sim, caliscope and anipose; errors for invalid ones."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from langpose_rt.errors import ConfigError
from langpose_rt.formats.calibration import (
    cameras_from_toml,
    cameras_to_toml,
)
from langpose_rt.geometry.camera import Camera, camera_to_world
from tests.fusion.rigs import ring

# Two cameras of the Pose2Sim single-person demo (BSD 3-Clause, perfanalytics), as it writes them.
POSE2SIM = """
[cam_01]
name = "cam_01"
size = [ 1088.0, 1920.0]
matrix = [ [ 1681.2, 0.0, 532.9], [ 0.0, 1681.0, 948.1], [ 0.0, 0.0, 1.0]]
distortions = [ -0.0007, 0.0021, 9.5e-06, 1.07e-05]
rotation = [ 1.68827548, 1.04832205, -0.41955852]
translation = [ 0.32110489, 0.95633206, 2.89071305]
fisheye = false

[cam_04]
name = "cam_04"
size = [ 1088.0, 1920.0]
matrix = [ [ 1675.2, 0.0, 540.1], [ 0.0, 1675.2, 964.0], [ 0.0, 0.0, 1.0]]
distortions = [ -0.0007, 0.0021, 4.3e-06, 3.1e-06]
rotation = [ 1.40455717, -1.38874127, 0.42535743]
translation = [ 0.50302172, 0.04894934, 4.40656446]
fisheye = false

[metadata]
adjusted = false
error = 0.0
"""

# Its own file of a caliscope project: tables under [cameras], the second camera not placed yet.
CALISCOPE = """
[cameras.0]
cam_id = 0
size = [1280, 720]
rotation_count = 0
error = 0.31
matrix = [[905.1, 0.0, 640.2], [0.0, 904.8, 358.9], [0.0, 0.0, 1.0]]
distortions = [0.05, -0.09, 0.0003, 0.0004, 0.01]
translation = [0.1, 0.9, 3.0]
rotation = [[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]]
fisheye = false

[cameras.1]
size = [1280, 720]
matrix = [[905.1, 0.0, 640.2], [0.0, 904.8, 358.9], [0.0, 0.0, 1.0]]
distortions = [0.05, -0.09, 0.0003, 0.0004, 0.01]

[cameras.2]
cam_id = 2
size = [1280, 720]
"""

# Anipose puts the world where its first camera is.
ANIPOSE = """
[cam_0]
name = "A"
size = [ 1280, 1024,]
matrix = [ [ 1000.0, 0.0, 639.5,], [ 0.0, 1000.0, 511.5,], [ 0.0, 0.0, 1.0,],]
distortions = [ -0.1, 0.0, 0.0, 0.0, 0.0,]
rotation = [ 0.0, 0.0, 0.0,]
translation = [ 0.0, 0.0, 0.0,]

[cam_1]
name = "B"
size = [ 1280, 1024,]
matrix = [ [ 1000.0, 0.0, 639.5,], [ 0.0, 1000.0, 511.5,], [ 0.0, 0.0, 1.0,],]
distortions = [ -0.1, 0.0, 0.0, 0.0, 0.0,]
rotation = [ 0.1, 1.2, -0.1,]
translation = [ -2.0, 0.1, 1.5,]

[metadata]
"""


@pytest.fixture
def toml(tmp_path: Path):  # type: ignore[no-untyped-def]
    def write(text: str) -> Path:
        path = tmp_path / "calib.toml"
        path.write_text(text)
        return path

    return write


def test_a_pose2sim_file_gives_lenses_places_and_gravity(toml) -> None:  # type: ignore[no-untyped-def]
    cameras = cameras_from_toml(toml(POSE2SIM))
    assert list(cameras) == ["cam_01", "cam_04"]
    lens = cameras["cam_01"].intrinsics
    assert (lens.fx_px, lens.fy_px, lens.cx_px, lens.cy_px) == (1681.2, 1681.0, 532.9, 948.1)
    assert (lens.width_px, lens.height_px) == (1088, 1920)
    assert lens.dist == (-0.0007, 0.0021, 9.5e-06, 1.07e-05)
    assert not lens.assumed
    R = cv2.Rodrigues(np.array([1.68827548, 1.04832205, -0.41955852]))[0]
    np.testing.assert_allclose(cameras["cam_01"].gravity, R @ [0, 0, -1], atol=1e-9)
    T_world_camera = cameras["cam_01"].T_world_camera
    assert T_world_camera is not None
    point_world = np.array([[0.3, -0.2, 1.1]])
    point_camera = point_world @ R.T + [0.32110489, 0.95633206, 2.89071305]
    np.testing.assert_allclose(camera_to_world(point_camera, T_world_camera), point_world)


def test_a_caliscope_file_gives_the_cameras_that_are_calibrated(toml) -> None:  # type: ignore[no-untyped-def]
    cameras = cameras_from_toml(toml(CALISCOPE))
    assert list(cameras) == ["0", "1"]
    np.testing.assert_allclose(cameras["0"].gravity, [0, 1, 0], atol=1e-12)
    assert cameras["1"].T_world_camera is None
    assert cameras["1"].gravity is None
    assert len(cameras["1"].intrinsics.dist) == 5


def test_a_world_that_is_a_camera_has_no_known_gravity(toml) -> None:  # type: ignore[no-untyped-def]
    cameras = cameras_from_toml(toml(ANIPOSE))
    assert list(cameras) == ["A", "B"]
    assert all(camera.gravity is None for camera in cameras.values())
    assert cameras["B"].T_world_camera is not None


@pytest.mark.parametrize(("up", "gravity"), [("-y", [0, 1, 0]), ("z", [0, 0, -1])])
def test_up_can_be_said(toml, up: str, gravity: list[float]) -> None:  # type: ignore[no-untyped-def]
    np.testing.assert_array_equal(cameras_from_toml(toml(ANIPOSE), up)["A"].gravity, gravity)


def test_an_unknown_up_is_refused(toml) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError, match="up is 'sky'; expected one of x, y, z, -x, -y, -z"):
        cameras_from_toml(toml(ANIPOSE), "sky")


@given(vector=st.tuples(*[st.floats(-4, 4)] * 3))
def test_rotation_vectors_turn_as_in_scipy(
    tmp_path_factory: pytest.TempPathFactory, vector: tuple[float, float, float]
) -> None:
    path = tmp_path_factory.getbasetemp() / "turned.toml"
    text = ANIPOSE.replace("[ 0.1, 1.2, -0.1,]", repr(list(vector)))
    path.write_text(text)
    T_world_camera = cameras_from_toml(path)["B"].T_world_camera
    assert T_world_camera is not None
    expected = Rotation.from_rotvec(vector).as_matrix().T
    np.testing.assert_allclose(T_world_camera[:3, :3], expected, atol=1e-9)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("[cam_04]", "[cam_04", "is no TOML file"),
        ('name = "cam_04"', 'name = "cam_01"', 'two cameras are named "cam_01"; rename one'),
        ("fisheye = false", "fisheye = true", r"\[cam_01\]: found a fisheye lens"),
        ("matrix =", "mat =", r'\[cam_01\]: found no "matrix"'),
        ("size =", "siz =", r'\[cam_01\]: found no "size"'),
        ("size = [ 1088.0, 1920.0]", "size = 1088", r'"size" of shape \(\); expected \(2,\)'),
        ("size = [ 1088.0,", "size = [ -1.0,", "width_px is -1.0; expected a positive"),
        ("size = [ 1088.0,", 'size = [ "x",', '"size" that is not numbers'),
        ("[ [ 1681.2, 0.0, 532.9],", "[", r'"matrix" of shape \(2, 3\); expected \(3, 3\)'),
        ("[ [ 1681.2, 0.0, 532.9],", "[ [ 1681.2],", '"matrix" that is not numbers'),
        ("1681.2", "nan", '"matrix" that is not finite'),
        ("-0.0007, 0.0021,", "-0.0007,", "3 distortion coefficients; expected one of"),
        ("1.68827548, ", "", r'"rotation" that is none; expected 3 numbers or a 3 x 3'),
        ("[ 1.68827548,", "[[2.0,0,0],[0,1,0],[0,0,1]] #", '"rotation" that is none'),
        ("0.32110489, ", "", '2 numbers in "translation"; expected 3'),
        ("0.32110489", "inf", '"translation" that is not finite'),
    ],
)
def test_a_wrong_file_is_one_sentence(toml, old: str, new: str, sentence: str) -> None:  # type: ignore[no-untyped-def]
    assert old in POSE2SIM
    first = POSE2SIM[: POSE2SIM.index("[cam_04]")] if "cam_04" not in old else POSE2SIM
    path = toml(first.replace(old, new, 1))
    with pytest.raises(ConfigError, match=sentence) as caught:
        cameras_from_toml(path)
    assert str(path) in str(caught.value)


def read(path: Path, up: str | None = None) -> tuple[dict[str, Camera], list[str]]:
    """Read the cameras and what was reported."""
    reports: list[str] = []
    return cameras_from_toml(path, up, report=reports.append), reports


def test_a_camera_that_cannot_be_used_costs_itself(toml) -> None:  # type: ignore[no-untyped-def]
    cameras, reports = read(toml(POSE2SIM.replace("fisheye = false", "fisheye = true", 1)))
    assert list(cameras) == ["cam_04"]
    assert len(reports) == 1
    assert "[cam_01]: found a fisheye lens" in reports[0]
    assert reports[0].endswith("; the other cameras are used")


def test_what_is_left_out_is_logged_where_nobody_listens(toml, caplog) -> None:  # type: ignore[no-untyped-def]
    cameras_from_toml(toml(POSE2SIM.replace("fisheye = false", "fisheye = true", 1)))
    assert "found a fisheye lens" in caplog.text


LENS = """
[cam_0]
size = [1920, 1080]
matrix = [[1000.0, 0.0, 960.0], [0.0, 1000.0, 540.0], [0.0, 0.0, 1.0]]
distortions = [0.01, 0.01, 0.0, 0.0]
"""


@pytest.mark.parametrize("value", ["false", "0", "0.0", '"false"'])
def test_zero_is_no_fisheye(toml, value: str) -> None:  # type: ignore[no-untyped-def]
    assert read(toml(f"{LENS}fisheye = {value}\n"))[1] == []


@pytest.mark.parametrize("value", ["1", "true", '"yes"'])
def test_anything_else_is_a_fisheye(toml, value: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError, match="found a fisheye lens"):
        read(toml(f"{LENS}fisheye = {value}\n"))


def test_a_byte_order_mark_and_windows_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "calib.toml"
    path.write_bytes(b"\xef\xbb\xbf" + LENS.strip().replace("\n", "\r\n").encode())
    assert list(cameras_from_toml(path)) == ["cam_0"]


@pytest.mark.parametrize(
    "place",
    [
        'rotation = "null"\ntranslation = "null"',
        "rotation = []\ntranslation = []",
        "rotation = [nan, nan, nan]\ntranslation = [nan, nan, nan]",
        "translation = [0.0, 0.0, 1.0]",
        "",
    ],
)
def test_a_camera_without_a_place_has_a_lens(toml, place: str) -> None:  # type: ignore[no-untyped-def]
    path = toml(f"{LENS}{place}\n")
    cameras, reports = read(path)
    assert cameras["cam_0"].T_world_camera is None
    assert cameras["cam_0"].intrinsics.fx_px == 1000
    assert reports == (
        [f'{path}: [cam_0]: found no numbers in "rotation" or "translation"; only the lens is used']
        if place
        else []
    )


def test_tables_of_camera_pairs_are_passed_over(toml) -> None:  # type: ignore[no-untyped-def]
    turn = "rotation = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]"
    pair = f"[stereo_0_1]\n{turn}\ntranslation = [[1], [0], [0]]\n"
    cameras, reports = read(toml(LENS + pair))
    assert (list(cameras), reports) == (["cam_0"], [])


def test_a_name_that_no_stream_can_have_is_matched_with_one_it_can(toml) -> None:  # type: ignore[no-untyped-def]
    cameras, reports = read(toml(f'{LENS}name = "Cam éra 01"\n'))
    assert list(cameras) == ["Cam_era_01"]
    assert 'no stream can be named "Cam éra 01"; it is matched with the camera name' in reports[0]
    assert list(read(toml(f'{LENS}name = "rig0/cam0"\n'))[0]) == ["rig0/cam0"]
    with pytest.raises(ConfigError, match=r"found the name .*; expected letters, digits"):
        read(toml(f'{LENS}name = "カメラ"\n'))


def test_millimetres_become_metres_with_a_word(toml) -> None:  # type: ignore[no-untyped-def]
    metres = cameras_from_toml(toml(ANIPOSE))
    text = ANIPOSE.replace("[ -2.0, 0.1, 1.5,]", "[ -2000.0, 100, 1500.0,]")
    cameras, reports = read(toml(text))
    assert any("from the origin; taken for millimetres" in report for report in reports)
    for name, camera in cameras.items():
        np.testing.assert_allclose(camera.T_world_camera, metres[name].T_world_camera)


@pytest.mark.parametrize("far", ["[ -250.0, 0.0, 0.0,]", "[ -2e6, 0.0, 0.0,]"])
def test_places_in_no_known_unit_are_left_out_with_a_word(toml, far: str) -> None:  # type: ignore[no-untyped-def]
    cameras, reports = read(toml(ANIPOSE.replace("[ -2.0, 0.1, 1.5,]", far)))
    assert cameras["B"].T_world_camera is None
    assert "found B as far as" in reports[0]


def test_a_world_that_may_not_be_upright_is_reported_unless_up_is_given(toml) -> None:  # type: ignore[no-untyped-def]
    assert (
        "which way is up in its world is not known; say it with --up" in read(toml(ANIPOSE))[1][0]
    )
    assert read(toml(ANIPOSE), "-y")[1] == []


def test_a_lens_in_another_unit_is_refused_and_an_odd_one_reported(toml) -> None:  # type: ignore[no-untyped-def]
    tiny = LENS.replace("1000.0, 0.0, 960.0", "1.54, 0.0, 0.49").replace(
        "1000.0, 540.0", "0.87, 0.4"
    )
    with pytest.raises(ConfigError, match="it looks like fractions of the image; expected pixels"):
        read(toml(tiny))
    cameras, reports = read(toml(LENS.replace("960.0", "2960.0")))
    assert "found the principal point 2960, 540 outside an image" in reports[0]
    assert list(cameras) == ["cam_0"]


def test_a_file_without_cameras_is_refused(toml, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    for text in ("", "[metadata]\nerror = 1.0\n", "cameras = 4\n", "x = 3\n[cameras]\n"):
        with pytest.raises(ConfigError, match="has no camera; expected tables such as"):
            cameras_from_toml(toml(text))
    with pytest.raises(ConfigError, match=r"no.toml cannot be read: No such file"):
        cameras_from_toml(tmp_path / "no.toml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        cameras_from_toml(tmp_path)


@given(data=st.data())
def test_a_damaged_file_is_refused_or_read_and_nothing_else_happens(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.toml"
    content = bytearray(data.draw(st.sampled_from([POSE2SIM, CALISCOPE, ANIPOSE])).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    cameras, sentence = {}, str(path)
    try:
        cameras = cameras_from_toml(path)
    except ConfigError as error:
        sentence = str(error)
    assert str(path) in sentence
    for camera in cameras.values():
        assert camera.gravity is None or np.linalg.norm(camera.gravity) == pytest.approx(1)
        assert camera.T_world_camera is None or np.isfinite(camera.T_world_camera).all()


NAME_READ = {'the "left" one': "the_left_one"}
"""A name that no topic can have is read as one that it can."""


def test_a_written_calibration_reads_back(tmp_path: Path) -> None:
    cameras = ring(3)
    bent = replace(cameras["cam1"].intrinsics, dist=(-0.2, 0.05, 0.001, 0.0))
    cameras["cam1"] = replace(cameras["cam1"], name='the "left" one', intrinsics=bent)
    path = tmp_path / "calib.toml"
    cameras_to_toml(path, cameras, {"made_by": "a\\test"})
    read = list(cameras_from_toml(path).values())
    for one, camera in zip(read, cameras.values(), strict=True):
        assert one.name == NAME_READ.get(camera.name, camera.name)
        assert one.intrinsics.fx_px == pytest.approx(camera.intrinsics.fx_px)
        assert camera.T_world_camera is not None
        assert one.T_world_camera is not None
        np.testing.assert_allclose(one.T_world_camera, camera.T_world_camera, atol=1e-9)
    assert read[1].intrinsics.dist == bent.dist
    assert read[0].gravity is not None


def test_a_camera_without_a_place_is_not_written(tmp_path: Path) -> None:
    nowhere = replace(ring(1)["cam0"], T_world_camera=None)
    with pytest.raises(ConfigError, match='camera "cam0" has no place'):
        cameras_to_toml(tmp_path / "calib.toml", {"cam0": nowhere})


def test_a_calibration_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        cameras_to_toml(tmp_path / "no" / "calib.toml", ring(1))
