"""The clips of `demo --fuse` that ship are those that the trial gives."""

import sys
from pathlib import Path

import numpy as np
import pytest

from langpose_rt.formats.calibration import cameras_from_toml
from langpose_rt.formats.clip import FUSION_DEMO
from langpose_rt.formats.readers import read_clip
from training.tools import make_fusion_demo


def test_what_ships_is_what_the_trial_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["make_fusion_demo", str(tmp_path / "made")])
    make_fusion_demo.main()
    made = sorted(path.name for path in (tmp_path / "made").iterdir())
    assert made == ["LICENSE", "calib.toml", "cam_01.npz", "cam_02.npz", "cam_03.npz", "cam_04.npz"]
    for name in made:
        new, ships = tmp_path / "made" / name, FUSION_DEMO / name
        if new.suffix == ".npz":
            with np.load(new) as one, np.load(ships) as other:
                assert sorted(one) == sorted(other)
                for key in one:
                    np.testing.assert_array_equal(one[key], other[key])
        else:
            assert new.read_bytes() == ships.read_bytes()


def test_column_0_is_the_person_of_the_3d() -> None:
    for name, camera in cameras_from_toml(FUSION_DEMO / "calib.toml").items():
        clip, lens = read_clip(FUSION_DEMO / f"{name}.npz"), camera.intrinsics
        assert clip.pose3d is not None
        seen = clip.pose3d[..., :2] / clip.pose3d[..., 2:] * [lens.fx_px, lens.fy_px]
        hips = clip.keypoints[:, 0, 11:13]
        off_px = np.linalg.norm(seen[:, [4, 1]] + [lens.cx_px, lens.cy_px] - hips[..., :2], axis=-1)
        assert np.median(off_px[hips[..., 2] > 0]) < 60
        assert (clip.ids == -1).all()
