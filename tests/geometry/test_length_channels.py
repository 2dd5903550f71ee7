import numpy as np
import pytest

from langpose_rt.geometry.length_channels import length_channels
from langpose_rt.geometry.skeleton import REFERENCE_BONES_M


@pytest.mark.parametrize("size", [0.6, 1.0, 1.2])
def test_the_reference_body_of_any_size_differs_in_nothing(size: float) -> None:
    channels = length_channels(size * REFERENCE_BONES_M[None])
    np.testing.assert_allclose(channels[0, :-1], 0, atol=1e-6)
    assert channels[0, -1] == 1


def test_a_longer_forearm_shows_in_its_own_channel_alone() -> None:
    bones_m = REFERENCE_BONES_M.copy()
    bones_m[12] *= 1.1
    (channels,) = length_channels(bones_m[None])
    assert channels[12] == pytest.approx(4 * np.log(1.1), rel=1e-4)
    np.testing.assert_allclose(np.delete(channels[:-1], 12), 0, atol=1e-6)


@pytest.mark.parametrize("wrong", [np.nan, 0.0, -0.2, np.inf])
def test_a_person_with_an_unknown_length_is_unknown(wrong: float) -> None:
    bones_m = np.tile(REFERENCE_BONES_M, (2, 1))
    bones_m[0] *= np.linspace(0.8, 1.2, 16)
    bones_m[1, 5] = wrong
    channels = length_channels(bones_m)
    assert (channels[1] == 0).all()
    assert channels[0, -1] == 1
    assert (channels[0, :-1] != 0).any()


def test_impossible_proportions_stay_in_range() -> None:
    bones_m = REFERENCE_BONES_M.copy()
    bones_m[[12, 15]] = 0.01, 1.5
    channels = length_channels(bones_m[None])
    assert np.abs(channels).max() <= 2.8 + 1e-6
