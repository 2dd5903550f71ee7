"""CSV, read back with the standard library and NumPy."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from langpose_rt.errors import ConfigError
from langpose_rt.formats.pose_csv import COLUMNS, tracks_to_csv
from tests.formats.walker import swinging, track_of


def test_every_frame_of_everybody_is_a_row_in_the_order_of_time(tmp_path: Path) -> None:
    one = track_of(swinging(3))
    other = replace(one, person=9, joints=one.joints + 1, t_ns=one.t_ns + 5_000_000)
    tracks_to_csv(tmp_path / "a.csv", [other, one])
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == COLUMNS
    assert [row["person"] for row in rows] == ["3", "9"] * 3
    assert [row["time_s"] for row in rows[:3]] == ["0.000000", "0.005000", "0.020000"]
    assert {row["frame"] for row in rows} == {"camera"}
    read = [[float(row[f"LWrist_{axis}"]) for axis in ("x", "y", "z")] for row in rows[::2]]
    np.testing.assert_allclose(read, one.joints[:, 13], atol=1e-5)


def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written: No such file"):
        tracks_to_csv(tmp_path / "nowhere" / "a.csv", [track_of(swinging(2))])
