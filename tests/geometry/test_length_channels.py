"""Frame inputs of bone lengths: what they say, what a mirror shows, and how many a model takes."""

import numpy as np
import pytest

from langpose_rt.geometry.length_channels import (
    extras_with_channels,
    flipped_extras,
    length_channels,
)
from langpose_rt.geometry.skeleton import FLIP_INDICES, REFERENCE_BONES_M


def people(*factors: float) -> np.ndarray:
    """Bodies of other sizes than the reference, with other left than right thighs."""
    bones_m = np.outer(factors, REFERENCE_BONES_M)
    bones_m[:, 1] *= 1.1
    return bones_m


def test_the_reference_body_is_zeros_and_known() -> None:
    channels = length_channels(REFERENCE_BONES_M[None])
    np.testing.assert_allclose(channels, [[0.0] * 16 + [1.0]], atol=1e-6)


def test_size_does_not_count_and_proportions_do() -> None:
    small, tall = length_channels(people(0.5, 1.2))
    np.testing.assert_allclose(small, tall, atol=1e-6)
    assert small[1] == pytest.approx(0.33, abs=0.01), "the longer thigh, four times its logarithm"
    assert small[0] < 0, "everything else is short for this stature"


@pytest.mark.parametrize("length_m", [np.nan, 0.0, -0.2, np.inf])
def test_one_unknown_length_makes_a_body_unknown_and_leaves_the_next_person_alone(
    length_m: float,
) -> None:
    bones_m = people(1.0, 1.0)
    bones_m[0, 7] = length_m
    unknown, known = length_channels(bones_m)
    assert not unknown.any()
    assert known[-1] == 1


def test_nobody_has_no_inputs() -> None:
    assert length_channels(np.zeros((0, 16))).shape == (0, 17)


def test_a_mirror_swaps_left_and_right_bones() -> None:
    order, sign = flipped_extras(24)
    own = np.concatenate([np.arange(1.0, 8.0), length_channels(people(1.0))[0]])
    mirrored_bones_m = people(1.0)[:, FLIP_INDICES[1:] - 1]
    expected = [-1, 2, 3, -4, 5, 6, 7, *length_channels(mirrored_bones_m)[0]]
    np.testing.assert_allclose(own[order] * sign, expected, atol=1e-6)
    np.testing.assert_array_equal(order[order], np.arange(24))


def test_a_mirror_of_a_frame_without_lengths_changes_signs_only() -> None:
    order, sign = flipped_extras(7)
    np.testing.assert_array_equal(order, np.arange(7))
    np.testing.assert_array_equal(sign, [-1, 1, 1, -1, 1, 1, 1])


def test_a_model_gets_the_inputs_it_takes_and_unknown_lengths_where_there_are_none() -> None:
    extras = np.ones((2, 24), np.float32)
    assert np.shares_memory(extras_with_channels(extras, 24), extras)
    np.testing.assert_array_equal(extras_with_channels(extras, 7), np.ones((2, 7)))
    widened = extras_with_channels(extras[:, :7], 24)
    np.testing.assert_array_equal(widened, [[1.0] * 7 + [0.0] * 17] * 2)
    assert widened.dtype == np.float32


def test_impossible_proportions_stay_in_range() -> None:
    bones_m = REFERENCE_BONES_M.copy()
    bones_m[[12, 15]] = 0.01, 1.5
    channels = length_channels(bones_m[None])
    assert np.abs(channels).max() <= 2.8 + 1e-6
