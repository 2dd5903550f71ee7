"""Accepted and rejected numbers of a rig's camera."""

import math

import msgspec
import pytest

from langpose_rt.errors import MessageError
from langpose_rt.protocol.camera_info import RigCamera, camera_checked
from tests.protocol.samples import RIGID

SIZE = (1920, 1080)
GOOD = RigCamera(
    k=(1400.0, 1400.0, 960.0, 540.0), dist=(0.1,) * 5, T_wc=RIGID, gravity=(0.0, 1.0, 0.0)
)
NAN, INF = float("nan"), float("inf")


def test_a_real_camera_stays_as_it_is() -> None:
    assert camera_checked(GOOD, SIZE) == GOOD
    assert camera_checked(RigCamera(), SIZE) == RigCamera()
    assert camera_checked(None, SIZE) is None


def test_gravity_gets_unit_length() -> None:
    camera = camera_checked(RigCamera(gravity=(0.0, 9.81, 0.0)), SIZE)
    assert camera is not None
    assert camera.gravity == pytest.approx((0, 1, 0))


def changed(place: int, value: float) -> tuple[float, ...]:
    return tuple(value if index == place else number for index, number in enumerate(RIGID))


@pytest.mark.parametrize(
    "change",
    [
        {"k": (0.0, 1400.0, 960.0, 540.0)},
        {"k": (1400.0, -1400.0, 960.0, 540.0)},
        {"k": (NAN, 1400.0, 960.0, 540.0)},
        {"k": (1400.0, INF, 960.0, 540.0)},
        {"k": (1400.0, 1400.0, NAN, 540.0)},
        {"k": (1400.0, 1400.0, 960.0, 1e6)},
        {"k": (1.0, 1.0, 960.0, 540.0)},
        {"dist": (0.1, 0.1)},
        {"dist": (NAN,) * 5},
        {"dist": (INF,) * 4},
        {"dist": (1e30,) * 4},
        {"T_wc": changed(3, NAN)},
        {"T_wc": changed(3, INF)},
        {"T_wc": changed(3, 1e9)},
        {"T_wc": changed(2, -1.0)},
        {"T_wc": changed(2, 1000.0)},
        {"T_wc": changed(12, 1.0)},
        {"T_wc": changed(15, 0.0)},
        {"T_wc": (0.0,) * 16},
        {"gravity": (0.0, 0.0, 0.0)},
        {"gravity": (0.0, NAN, 0.0)},
        {"gravity": (0.0, INF, 0.0)},
    ],
)
def test_a_camera_that_cannot_be_is_refused(change: dict[str, tuple[float, ...]]) -> None:
    with pytest.raises(MessageError) as refused:
        camera_checked(msgspec.structs.replace(GOOD, **change), SIZE)
    assert refused.value.reason == "bad_camera"


def test_focal_lengths_are_measured_in_image_sizes() -> None:
    tiny = RigCamera(k=(90.0, 90.0, 48.0, 32.0))
    assert camera_checked(tiny, (96, 64)) == tiny
    for field_of_view_deg in (10, 60, 170):
        focal_px = 960 / math.tan(math.radians(field_of_view_deg / 2))
        camera_checked(RigCamera(k=(focal_px, focal_px, 960.0, 540.0)), SIZE)
