"""TRC, read back by an independent reader and cell by cell as OpenSim's documentation says."""

from pathlib import Path

import numpy as np
import pytest
import trc

from langpose_rt.errors import ConfigError
from langpose_rt.formats.trc import motion_to_trc
from langpose_rt.geometry.skeleton import JOINTS
from tests.formats.walker import joint, motion_of, swinging


def test_an_independent_reader_finds_every_marker_where_it_was(tmp_path: Path) -> None:
    joints, path = swinging(7), tmp_path / "walk.trc"
    motion_to_trc(path, motion_of(joints))
    found = trc.TRCData()
    found.load(str(path))
    assert (found["Units"], found["DataRate"], found["NumFrames"]) == ("mm", 50.0, 7)
    assert found["Markers"] == JOINTS
    assert found["Frame#"] == list(range(1, 8))
    np.testing.assert_allclose(found["Time"], np.arange(7) / 50)
    read_m = np.array([found[name] for name in JOINTS]).transpose(1, 0, 2) / 1000
    expected = np.stack([-joints[..., 2], -joints[..., 1], -joints[..., 0]], -1)
    np.testing.assert_allclose(read_m, expected, atol=6e-7)


def test_it_is_upright_and_faces_x_as_opensim_expects(tmp_path: Path) -> None:
    motion_to_trc(tmp_path / "a.trc", motion_of(swinging(5)))
    read = np.genfromtxt(tmp_path / "a.trc", delimiter="\t", skip_header=6)[:, 2:].reshape(5, 17, 3)
    head, hip, ankle = (read[:, joint(name)] for name in ("Head", "Hip", "LAnkle"))
    assert (head[:, 1] > hip[:, 1] + 300).all()
    assert (hip[:, 1] > ankle[:, 1] + 300).all()
    right_hip, left_hip = (read[:, joint(name)] for name in ("RHip", "LHip"))
    up, right = (head - hip).mean(0), (right_hip - left_hip).mean(0)
    assert np.cross(up, right)[0] > 0, "up x right is forward, and forward is +x"


def test_a_missing_frame_is_nothing_between_tabs_and_every_row_has_all_cells(
    tmp_path: Path,
) -> None:
    path = tmp_path / "gap.trc"
    motion_to_trc(path, motion_of(swinging(6), slice(2, 4)))
    lines = path.read_text().splitlines()
    assert lines[0] == "PathFileType\t4\t(X/Y/Z)\tgap.trc"
    assert len(lines[1].split("\t")) == len(lines[2].split("\t")) == 8
    assert len(lines[3].split("\t")) == len(lines[4].split("\t")) == 2 + 3 * 17
    assert lines[4].split("\t")[2:5] == ["X1", "Y1", "Z1"]
    assert lines[5] == ""
    rows = [line.split("\t") for line in lines[6:]]
    assert [len(row) for row in rows] == [2 + 3 * 17] * 6
    assert [row[2:] == [""] * 51 for row in rows] == [False, False, True, True, False, False]
    found = trc.TRCData()
    found.load(str(path))
    assert np.isnan(found["Hip"]).all(-1).tolist() == [False, False, True, True, False, False]


def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written: No such file or directory"):
        motion_to_trc(tmp_path / "nowhere" / "a.trc", motion_of(swinging(2)))
