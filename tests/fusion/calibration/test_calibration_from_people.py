from dataclasses import replace

import numpy as np
import pytest

from langpose_rt.errors import ConfigError
from langpose_rt.fusion.calibration.calibration_from_people import CalibrationOptions, calibrate
from langpose_rt.geometry.skeleton import REFERENCE_STATURE_M
from tests.fusion.rigs import ring
from tests.fusion.walks import clips_of_walk


def test_four_cameras_are_found_to_centimetres_on_the_floor_with_z_up() -> None:
    found = calibrate(clips_of_walk(), CalibrationOptions(height_m=REFERENCE_STATURE_M))
    true = ring(4)
    apart = [
        np.stack([c.T_world_camera[:3, 3] for c in cameras.values()])  # type: ignore[index]
        for cameras in (found.cameras, true)
    ]
    gaps = [np.linalg.norm(p[:, None] - p[None], axis=-1) for p in apart]
    np.testing.assert_allclose(gaps[0], gaps[1], atol=0.06)
    # heights over the floor; the walker's ankles are 85 mm above it and 0 in the truth
    np.testing.assert_allclose(apart[0][:, 2], apart[1][:, 2] + 0.085, atol=0.05)
    for camera in found.cameras.values():
        assert camera.gravity is not None
        assert camera.gravity[1] > 0.8
    assert max(found.residual_px.values()) < 4
    assert found.bone_spread < 0.05
    assert found.walked_m == pytest.approx(2.2, abs=0.2)


def test_a_measured_distance_gives_the_metres() -> None:
    options = CalibrationOptions(height_m=2.0, distance=("cam0", "cam2", 7.5))
    centres = {
        name: camera.T_world_camera[:3, 3]  # type: ignore[index]
        for name, camera in calibrate(clips_of_walk(), options).cameras.items()
    }
    assert np.linalg.norm(centres["cam0"] - centres["cam2"]) == pytest.approx(7.5)


def test_a_distance_that_nobody_can_have_measured_is_refused() -> None:
    with pytest.raises(ConfigError, match=r'from "a" to "a" is 3 m; expected two cameras'):
        CalibrationOptions(distance=("a", "a", 3.0))
    with pytest.raises(ConfigError, match=r"is 0 m; expected two cameras, and metres above 0"):
        CalibrationOptions(distance=("a", "b", 0.0))
    with pytest.raises(ConfigError, match=r'no camera "left" to measure .* there are cam0, cam1'):
        calibrate(clips_of_walk(), CalibrationOptions(distance=("left", "cam1", 3.0)))


def test_a_camera_that_sees_little_is_told() -> None:
    clips = clips_of_walk()
    clips["cam3"].keypoints[50:] = 0
    clips["cam3"] = replace(clips["cam3"], ids=np.where(np.arange(240)[:, None] < 50, 0, -1))
    clips["cam3"].keypoints[239] = clips["cam2"].keypoints[239]
    clips["cam3"].ids[239] = 0
    advice = calibrate(clips).advice
    assert any("camera cam3 saw" in sentence for sentence in advice)


def test_one_camera_is_refused() -> None:
    with pytest.raises(ConfigError, match="found 1 camera; expected at least 2"):
        calibrate(dict([next(iter(clips_of_walk().items()))]))


def test_somebody_who_stands_still_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"got around 0\.\d m only|fit one geometry"):
        calibrate(clips_of_walk(still=True))


def test_a_camera_that_sees_nobody_is_named() -> None:
    clips = clips_of_walk()
    clips["cam1"].keypoints[:] = 0
    with pytest.raises(ConfigError, match='camera "cam1" sees nobody'):
        calibrate(clips)


def test_clips_of_different_times_are_refused() -> None:
    clips = clips_of_walk()
    clips["cam0"] = replace(clips["cam0"], t_ns=clips["cam0"].t_ns + 10**11)
    with pytest.raises(ConfigError, match=r"have 0.0 s in common"):
        calibrate(clips)


def test_an_impossible_height_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"is 170 m tall; expected 0\.8 to 2\.5 m"):
        CalibrationOptions(height_m=170.0)
