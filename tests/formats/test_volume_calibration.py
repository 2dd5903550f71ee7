from pathlib import Path

import numpy as np
import pytest

from langpose_rt.errors import ConfigError
from langpose_rt.formats.calibration import cameras_to_toml
from langpose_rt.formats.volume_calibration import (
    cameras_of_volumes,
    volume_from_text,
    volume_name,
    volumes_from_toml,
)
from tests.fusion.rigs import camera_at, ring


def written(path: Path, names: list[str], **remarks: str) -> Path:
    cameras = {
        name: camera_at(name, (3.0 * np.cos(n), 3.0 * np.sin(n), 1.5))
        for n, name in enumerate(names)
    }
    cameras_to_toml(path, cameras, remarks)
    return path


def test_every_file_is_a_volume_of_its_name(tmp_path: Path) -> None:
    one = written(tmp_path / "left stage.toml", ["rig0/a", "rig0/b"])
    two = written(tmp_path / "right.toml", ["rig1/a", "rig1/b"])
    volumes = volumes_from_toml([one, two])
    assert [volume.name for volume in volumes] == ["left_stage", "right"]
    assert list(cameras_of_volumes(volumes)) == ["rig0/a", "rig0/b", "rig1/a", "rig1/b"]
    assert volumes[1].text == two.read_text()


def test_offsets_of_the_clocks_are_read(tmp_path: Path) -> None:
    path = written(tmp_path / "v.toml", ["a", "b"], offset_ms_a="-12.5", offset_ms_c="9")
    (volume,) = volumes_from_toml([path])
    assert volume.offsets_ns == {"a": -12_500_000}
    assert volume.offsets_s == {"a": -0.0125}


@pytest.mark.parametrize("value", ["soon", "nan", "5000"])
def test_an_impossible_offset_is_one_sentence(tmp_path: Path, value: str) -> None:
    path = written(tmp_path / "v.toml", ["a", "b"], offset_ms_a=value)
    with pytest.raises(ConfigError, match=r"offset_ms_a = .*expected milliseconds from -1000"):
        volumes_from_toml([path])


def test_two_volumes_do_not_share_a_camera_or_a_name(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    one = written(tmp_path / "one.toml", ["a", "b"])
    two = written(tmp_path / "two.toml", ["b", "c"])
    with pytest.raises(ConfigError, match='camera "b" is in the volumes "one" and "two"'):
        volumes_from_toml([one, two])
    again = written(tmp_path / "other" / "one.toml", ["c", "d"])
    with pytest.raises(ConfigError, match='two files give the volume "one"'):
        volumes_from_toml([one, again])


def test_the_text_of_a_file_gives_the_same_volume(tmp_path: Path) -> None:
    path = tmp_path / "v.toml"
    cameras_to_toml(path, ring(3), {"offset_ms_cam1": "4"})
    read, again = volumes_from_toml([path])[0], volume_from_text("v", path.read_text())
    assert again.name == read.name
    assert again.offsets_ns == read.offsets_ns == {"cam1": 4_000_000}
    for name, camera in read.cameras.items():
        np.testing.assert_array_equal(again.cameras[name].T_world_camera, camera.T_world_camera)


def test_a_damaged_text_is_told_by_its_name() -> None:
    with pytest.raises(ConfigError, match=r"^stage.toml is no TOML file"):
        volume_from_text("stage", "[cam")


def test_a_name_that_no_topic_can_have_is_changed() -> None:
    assert volume_name("größe 1/2") == "gr_e_1_2"
    assert volume_name("///") == "volume"
