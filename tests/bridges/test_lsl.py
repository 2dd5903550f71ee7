"""Samples and times of the LSL stream."""

from dataclasses import replace

import numpy as np
import pytest

from langpose_rt.bridges.lsl import CHANNELS, lsl_time_s, sample_of_person
from tests.protocol.samples import pose_sample


def test_a_sample_is_absolute_and_in_the_order_of_its_names() -> None:
    message = pose_sample(2)
    sample = dict(zip(CHANNELS, sample_of_person(message, 1).tolist(), strict=True))
    assert message.root is not None
    x, y, z = (message.poses[1, 13, :3] + message.root[1]).tolist()
    assert message.frame == "world"
    assert [sample[f"LWrist_{name}"] for name in "XYZ"] == [x, y, z]
    assert sample["LWrist_sigma"] == message.poses[1, 13, 3]
    assert len(sample) == 69
    assert sample["person"] == message.ids[1], "who it is"


def test_a_person_without_a_place_is_relative_to_the_hip() -> None:
    message = replace(pose_sample(1), root=None)
    np.testing.assert_array_equal(
        sample_of_person(message, 0), [*message.poses[0].reshape(-1), message.ids[0]]
    )


def test_a_sample_has_z_up_where_gravity_is_known_and_as_a_level_camera_has_elsewhere() -> None:
    message = replace(pose_sample(1), root=None, frame="camera")
    (x, y, z), down = message.poses[0, 13, :3].tolist(), (0.0, 0.8, 0.6)
    sample = dict(zip(CHANNELS, sample_of_person(message, 0).tolist(), strict=True))
    assert [sample[f"LWrist_{name}"] for name in "XYZ"] == pytest.approx([-z, x, -y])
    tilted = sample_of_person(replace(message, gravity=down, level_src="given"), 0)
    sample = dict(zip(CHANNELS, tilted.tolist(), strict=True))
    assert sample["LWrist_Z"] == pytest.approx(-0.8 * y - 0.6 * z)
    assert sample["LWrist_sigma"] == message.poses[0, 13, 3]


def test_a_time_keeps_its_age_on_the_other_clock() -> None:
    now_ns = 1_700_000_000_000_000_000
    assert lsl_time_s(now_ns - 250_000_000, now_ns=now_ns, now_lsl_s=12.0) == 11.75
