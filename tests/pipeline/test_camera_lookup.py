"""The camera model of a frame: sent, calibrated or assumed."""

from dataclasses import replace

import numpy as np
import pytest

from langpose_rt.errors import ConfigError, MessageError
from langpose_rt.geometry.camera import Camera, Intrinsics, pixel_to_ray
from langpose_rt.pipeline.camera_lookup import CameraLookup
from langpose_rt.protocol.messages import RigCamera
from tests.fakes import SIZE, keypoint_message, person_px

TURN = np.array([[0.0, 0, 1, 4], [1, 0, 0, 5], [0, 1, 0, 6], [0, 0, 0, 1]])
CALIBRATED = Camera(
    name="cam0",
    intrinsics=Intrinsics.from_matrix(
        [[900, 0, 640], [0, 910, 350], [0, 0, 1]], *SIZE, dist=(0.1, 0.01, 0, 0)
    ),
    T_world_camera=TURN,
    gravity=np.array([0.0, 1.0, 0.0]),
)


def test_without_any_knowledge_sixty_degrees_are_assumed_and_flagged() -> None:
    found = CameraLookup({}).camera_model_of(keypoint_message())
    assert found.intrinsics == Intrinsics.from_fov(*SIZE, 60.0, assumed=True)
    assert found.T_world_camera is None
    assert np.isnan(found.gravity).all()


def test_a_field_of_view_that_was_given_is_not_an_assumption() -> None:
    found = CameraLookup({}, fov_deg=80.0).camera_model_of(keypoint_message())
    assert found.intrinsics == Intrinsics.from_fov(*SIZE, 80.0, assumed=False)
    with pytest.raises(ConfigError, match="field of view"):
        CameraLookup({}, fov_deg=500.0)


@pytest.mark.parametrize("name", ["cam0", "rig0/cam0"])
def test_a_calibrated_camera_is_found_by_its_name(name: str) -> None:
    found = CameraLookup({name: CALIBRATED}).camera_model_of(keypoint_message())
    assert found.intrinsics == CALIBRATED.intrinsics
    np.testing.assert_array_equal(found.gravity, [0, 1, 0])
    other = CameraLookup({name: CALIBRATED}).camera_model_of(keypoint_message(camera="cam1"))
    assert other.intrinsics.assumed


def test_the_camera_of_this_rig_comes_before_one_of_the_same_name() -> None:
    own = Camera(name="cam0", intrinsics=Intrinsics.from_fov(*SIZE, 33.0))
    found = CameraLookup({"cam0": CALIBRATED, "rig0/cam0": own}).camera_model_of(keypoint_message())
    assert found.intrinsics == own.intrinsics


@pytest.mark.parametrize(
    ("wh", "words"),
    [(SIZE[::-1], "the image was turned"), ((SIZE[1], SIZE[1]), "cropped or stretched")],
)
def test_an_image_of_another_shape_than_its_calibration_is_refused(
    wh: tuple[int, int], words: str
) -> None:
    with pytest.raises(MessageError, match=words) as refused:
        CameraLookup({"cam0": CALIBRATED}).camera_model_of(replace(keypoint_message(), wh=wh))
    assert refused.value.reason == "bad_camera"


def test_what_the_rig_sends_comes_before_the_files() -> None:
    sent = RigCamera(k=(700.0, 701.0, 630.0, 340.0), gravity=(0.0, 0.6, 0.8))
    message = keypoint_message(cam=sent)
    found = CameraLookup({"cam0": CALIBRATED}).camera_model_of(message)
    assert (found.intrinsics.fx_px, found.intrinsics.dist) == (700, ())
    np.testing.assert_allclose(found.gravity, [0, 0.6, 0.8], rtol=1e-6)
    np.testing.assert_array_equal(found.T_world_camera, TURN)


def test_undistorted_keypoints_are_not_undistorted_again() -> None:
    message = keypoint_message(cam=RigCamera(undistorted=True))
    found = CameraLookup({"cam0": CALIBRATED}).camera_model_of(message)
    assert found.intrinsics.dist == ()
    assert found.intrinsics.fx_px == 900


def test_an_image_that_was_scaled_keeps_its_rays() -> None:
    message = keypoint_message()
    object.__setattr__(message, "wh", (640, 360))
    found = CameraLookup({"cam0": CALIBRATED}).camera_model_of(message)
    full = person_px((0.3, 0, 4))[None, :, :2]
    np.testing.assert_allclose(
        pixel_to_ray(full / 2, found.intrinsics),
        pixel_to_ray(full, CALIBRATED.intrinsics),
        atol=1e-6,
    )


def test_a_lens_that_cannot_be_costs_the_message() -> None:
    message = keypoint_message(cam=RigCamera(k=(-1.0, 1.0, 0.0, 0.0)))
    with pytest.raises(MessageError, match="bad_camera"):
        CameraLookup({}).camera_model_of(message)


def test_gravity_is_the_rigs_then_the_calibrations_then_that_of_the_options() -> None:
    pitched = (0.0, 0.8, 0.6)
    sent = keypoint_message(cam=RigCamera(gravity=(1.0, 0.0, 0.0)))
    lookup = CameraLookup({"cam0": CALIBRATED}, gravity=pitched)
    assert lookup.camera_model_of(sent).gravity_in("camera") == (1, 0, 0)
    assert lookup.camera_model_of(sent).level_src == "given"
    calibrated = lookup.camera_model_of(keypoint_message())
    assert (calibrated.gravity_in("camera"), calibrated.level_src) == ((0, 1, 0), "calibration")
    assert calibrated.gravity_in("world") == (0, 0, 1), "turned as the joints are"
    unknown = lookup.camera_model_of(keypoint_message(camera="cam1"))
    assert unknown.level_src == "given"
    assert unknown.gravity_in("camera") == pytest.approx(pitched)
    nobody = CameraLookup({}).camera_model_of(keypoint_message())
    assert (nobody.gravity_in("camera"), nobody.level_src) == (None, "none")
    assert nobody.gravity_in("camera", (0.0, 0.0, 1.0)) == (0, 0, 1), "an estimate"


def test_a_camera_spelled_another_way_is_the_calibrated_one() -> None:
    lookup = CameraLookup({"cam_00": CALIBRATED})
    assert lookup.camera_model_of(keypoint_message()).intrinsics == CALIBRATED.intrinsics


def test_the_sentence_about_an_unknown_camera_lists_the_calibrated_ones() -> None:
    lookup = CameraLookup({"left": CALIBRATED, "right": CALIBRATED})
    assert 'the calibration has left, right, and no "cam0"' in lookup.assumption("cam0")
    assert "the calibration has" not in CameraLookup({}).assumption("cam0")
    flat = replace(CALIBRATED, T_world_camera=None)
    assert "the calibration has right; its poses" in CameraLookup(
        {"left": flat, "right": CALIBRATED}
    ).no_world("left")


def test_a_size_for_all_cameras_is_behind_those_of_the_calibration() -> None:
    assert CameraLookup({}).sizes == {}
    sizes = CameraLookup({"cam0": CALIBRATED}, size=(64, 48)).sizes
    assert sizes == {"cam0": SIZE, "": (64, 48)}
