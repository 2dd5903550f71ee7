"""Batches: repeatable, and consistent with the geometry they claim."""

from dataclasses import fields, replace

import numpy as np
import pytest

from langpose_rt.geometry.length_channels import length_channels
from langpose_rt.geometry.skeleton import bone_lengths, stature_m
from training.data.mocap import Mocap
from training.synthesis.batches import (
    Batch,
    DataConfig,
    anchor_clips,
    batch_from_seed,
    draw_motion,
    film,
    screen_from_pixels,
)
from training.synthesis.cameras import CameraConfig
from training.synthesis.detector_noise import NoiseConfig
from training.synthesis.masks import MaskConfig
from training.synthesis.motion_windows import TimeConfig, draw_times

SMALL = DataConfig(clips=12, frames=24)

EXACT = replace(
    SMALL,
    redefined=0.0,
    derived=0.0,
    lens_wrong=0.0,
    lens_assumed=0.0,
    noise=NoiseConfig(clean=1.0, scoreless=1.0, swap_share=0.0),
    masks=MaskConfig(whole=1.0),
    cameras=CameraConfig(off_centre=0.2, nearest_m=4.0),
)


def assert_same(one: Batch, other: Batch) -> None:
    for item in fields(Batch):
        np.testing.assert_array_equal(getattr(one, item.name), getattr(other, item.name))


def test_a_batch_depends_on_seed_and_number_alone(mocap: Mocap) -> None:
    batch = batch_from_seed(mocap, SMALL, 3, 5)
    batch_from_seed(mocap, SMALL, 3, 6)
    assert_same(batch, batch_from_seed(mocap, SMALL, 3, 5))
    for seed, number in ((4, 5), (3, 6)):
        other = batch_from_seed(mocap, SMALL, seed, number)
        assert not np.array_equal(batch.rows, other.rows)


def test_every_number_is_finite_and_float32(mocap: Mocap) -> None:
    for number in range(4):
        batch = batch_from_seed(mocap, replace(SMALL, clips=64), 0, number)
        for name in ("rows", "extras", "pose", "rotation", "stature_m"):
            assert getattr(batch, name).dtype == np.float32
            assert np.isfinite(getattr(batch, name)).all()


def test_hidden_joints_are_zero_rows_and_seen_ones_have_a_score(mocap: Mocap) -> None:
    batch = batch_from_seed(mocap, replace(SMALL, clips=64), 0, 0)
    assert 0.5 < batch.seen.mean() < 0.95
    assert (batch.rows[~batch.seen] == 0).all()
    assert (batch.rows[batch.seen][:, 2] > 0).all()


def test_the_answer_is_the_body_whose_shadow_the_rows_are(mocap: Mocap) -> None:
    """With exact detections: pose in anchored axes at some depth projects onto the rows."""
    batch = batch_from_seed(mocap, EXACT, 0, 0)
    for clip in range(12):
        pose = batch.pose[clip, 10].astype(np.float64)
        rows = batch.rows[clip, 10].astype(np.float64)
        seen = rows[:, 2] > 0
        # x * s * (Z + z) = X + x_pose is linear in X, Y and Z for a row scale s; s from extras.
        size = np.exp(batch.extras[clip, 10, 2]) / 4.0
        rays = rows[seen, :2] * size
        left = np.zeros((2 * seen.sum(), 3))
        left[0::2, 0] = left[1::2, 1] = 1
        left[0::2, 2], left[1::2, 2] = -rays[:, 0], -rays[:, 1]
        right = np.empty(2 * seen.sum())
        right[0::2] = rays[:, 0] * pose[seen, 2] - pose[seen, 0]
        right[1::2] = rays[:, 1] * pose[seen, 2] - pose[seen, 1]
        root = np.linalg.lstsq(left, right, rcond=None)[0]
        np.testing.assert_allclose(left @ root, right, atol=2e-3)
        assert root[2] > 1


def test_answers_are_in_body_units(mocap: Mocap) -> None:
    batch = batch_from_seed(mocap, SMALL, 0, 0)
    np.testing.assert_allclose(stature_m(bone_lengths(batch.pose[:, 0])), 1.70, rtol=1e-3)
    np.testing.assert_allclose(batch.pose[:, :, 0], 0, atol=1e-6)
    assert np.ptp(batch.stature_m) > 0.1


def test_rotations_turn_the_answer_back_into_camera_axes(mocap: Mocap) -> None:
    rng = np.random.default_rng(0)
    time_ns = draw_times(rng, 6, 20, TimeConfig())
    joints_m, _ = draw_motion(rng, mocap, np.arange(6) % 5, time_ns, EXACT)
    footage = film(rng, joints_m, time_ns, np.zeros(6, np.int64), EXACT)
    batch = anchor_clips(footage)
    metres = (batch.stature_m / 1.70)[:, None, None, None]
    back = batch.pose @ batch.rotation * metres
    np.testing.assert_allclose(back, footage.pose_camera_m, atol=1e-5)


def test_gravity_is_known_in_the_asked_share_and_turned_with_the_person(mocap: Mocap) -> None:
    batch = batch_from_seed(mocap, replace(EXACT, clips=100, gravity_known=0.5), 0, 0)
    known = batch.extras[:, 0, 6] == 1
    assert known.mean() == pytest.approx(0.5, abs=0.15)
    np.testing.assert_allclose(np.linalg.norm(batch.extras[known, :, 3:6], axis=-1), 1, atol=1e-4)
    assert (batch.extras[~known, :, 3:6] == 0).all()
    down = batch.extras[known, 0, 3:6]
    head = batch.pose[known, 0, 10]
    assert ((down * head).sum(-1) < 0).mean() > 0.9


def test_bone_lengths_are_known_in_the_asked_share_and_nearly_right(mocap: Mocap) -> None:
    config = replace(SMALL, clips=100, lengths_known=0.5, length_sd=0.03)
    batch = batch_from_seed(mocap, config, 0, 0)
    lengths = batch.extras[:, :, 7:]
    known = lengths[:, 0, -1] == 1
    assert known.mean() == pytest.approx(0.5, abs=0.15)
    assert (lengths[~known] == 0).all()
    assert (lengths[known] == lengths[known][:, :1]).all()
    true = length_channels(bone_lengths(batch.pose[:, 0]))[known]
    away = lengths[known, 0, :-1] - true[:, :-1]
    assert np.std(away) == pytest.approx(4 * 0.03, rel=0.2)
    unknown = batch_from_seed(mocap, replace(config, lengths_known=0.0), 0, 0)
    np.testing.assert_array_equal(unknown.rows, batch.rows)
    assert (unknown.extras[..., 7:] == 0).all()


def test_an_assumed_lens_makes_wide_pictures_small_and_changes_no_answer(mocap: Mocap) -> None:
    wide = replace(EXACT.cameras, narrowest_deg=90.0, widest_deg=90.0)
    config = replace(EXACT, clips=40, cameras=wide)
    exact = batch_from_seed(mocap, config, 0, 0)
    assumed = batch_from_seed(mocap, replace(config, lens_assumed=1.0), 0, 0)
    np.testing.assert_array_equal(exact.time_ns, assumed.time_ns)
    np.testing.assert_array_equal(exact.stature_m, assumed.stature_m)
    shrunk = (assumed.extras[:, -1, 2] - exact.extras[:, -1, 2]).mean()
    assert shrunk == pytest.approx(np.log(np.tan(np.radians(30))), abs=0.1)


def test_a_clip_says_what_it_shows_unless_its_motion_was_changed(mocap: Mocap) -> None:
    config = replace(SMALL, clips=60, mixed=0.0, recombined=0.0, swung=0.0)
    assert mocap.texts == ("bow", "jump", "spin", "walk")
    batch = batch_from_seed(mocap, config, 0, 0)
    source_of = {"bow": "bandai1", "jump": "cmu", "spin": "deepmimic", "walk": "cmu"}
    for text, source in zip(batch.text, batch.source, strict=True):
        assert source_of[mocap.texts[text]] == mocap.sources[source]
    changed = batch_from_seed(mocap, replace(config, swung=1.0), 0, 0)
    assert (changed.text == -1).all()
    mixed = batch_from_seed(mocap, replace(config, mixed=0.5), 0, 0)
    assert 0.3 < (mixed.text == -1).mean() < 0.7
    recombined = batch_from_seed(mocap, replace(config, recombined=1.0), 0, 0)
    assert 0.05 < (recombined.text == -1).mean() <= 1


def test_recombined_clips_move_like_no_clip_and_the_others_are_untouched(mocap: Mocap) -> None:
    rng = np.random.default_rng(0)
    time_ns = draw_times(rng, 40, 20, TimeConfig())
    plain = replace(EXACT, mixed=0.0, swung=0.0, reboned=0.0, recombined=0.0)
    chosen = np.zeros(40, np.int64)
    own_m, _ = draw_motion(np.random.default_rng(1), mocap, chosen, time_ns, plain)
    config = replace(plain, recombined=1.0)
    joints_m, text = draw_motion(np.random.default_rng(1), mocap, chosen, time_ns, config)
    changed = text == -1
    assert changed.any()
    assert not changed.all()
    np.testing.assert_allclose(bone_lengths(joints_m[:, 0]), bone_lengths(own_m[:, 0]), atol=2e-3)


def test_derived_trunk_joints_are_missing_with_the_joints_they_come_from(mocap: Mocap) -> None:
    batch = batch_from_seed(mocap, replace(SMALL, clips=64, derived=1.0), 0, 0)
    lost = ~batch.seen[..., 1] | ~batch.seen[..., 4]
    assert batch.seen[..., 0][lost].mean() < 0.5


def test_screen_rows_are_the_pixels_of_the_same_people(mocap: Mocap) -> None:
    """As MotionBERT writes it: x over half the width, y over the same, middle at zero."""
    config = replace(SMALL, lens_wrong=0.0, lens_assumed=0.0)
    anchored = batch_from_seed(mocap, config, 0, 3)
    screen = batch_from_seed(mocap, replace(config, screen=True), 0, 3)
    np.testing.assert_array_equal(screen.seen, anchored.seen)
    np.testing.assert_array_equal(screen.rows[..., 2] > 0, screen.seen)
    assert (screen.rows[~screen.seen] == 0).all()
    in_camera = anchored.pose @ anchored.rotation
    np.testing.assert_allclose(screen.pose, in_camera, atol=1e-5)
    assert (screen.rotation == np.eye(3, dtype=np.float32)).all()


def test_screen_coordinates_by_hand() -> None:
    corners = np.array([[0, 0], [1920, 1080], [960, 540]], np.float32)
    found = screen_from_pixels(corners, np.array([1920.0, 1080.0]))
    np.testing.assert_allclose(found, [[-1, -0.5625], [1, 0.5625], [0, 0]], atol=1e-6)
