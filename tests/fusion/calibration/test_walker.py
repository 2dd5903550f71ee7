from dataclasses import replace

import numpy as np

from langpose_rt.fusion.calibration.walker import views_from_clips
from langpose_rt.geometry.skeleton import FLIP_INDICES
from tests.fusion.walks import clips_of_walk


def test_a_view_is_interpolated_and_empty_in_gaps() -> None:
    clip = clips_of_walk(noise_px=0.0)["cam0"]
    view = views_from_clips({"cam0": clip})[0][0]
    middle = 0.5 * (view.t_s[10] + view.t_s[11])
    rays, change, scores = view.at(np.array([view.t_s[10], middle, view.t_s[-1] + 1]))
    np.testing.assert_allclose(rays[0], view.rays[10], atol=1e-9)
    np.testing.assert_allclose(rays[1], 0.5 * (view.rays[10] + view.rays[11]), atol=1e-9)
    slope = (view.rays[11] - view.rays[10]) / (view.t_s[11] - view.t_s[10])
    np.testing.assert_allclose(change[1], slope, atol=1e-6)
    assert (scores[:2] > 0).all()
    assert (scores[2] == 0).all()


def test_a_noisy_track_is_smoothed_and_a_missing_joint_stays_missing() -> None:
    exact = clips_of_walk(noise_px=0.0)["cam0"]
    noisy = clips_of_walk(noise_px=6.0)["cam0"]
    noisy.keypoints[20, 0, 9] = 0
    lens = noisy.intrinsics
    assert lens is not None
    wanted, found = (views_from_clips({"cam0": c})[0][0] for c in (exact, noisy))
    there = found.scores > 0
    assert not there[20, 9]
    off = (found.rays - wanted.rays)[there] * lens.fx_px
    assert np.std(off) < 0.6 * 6.0
    assert np.abs(off[np.isfinite(off)]).max() < 6.0 * 5


def test_whoever_walks_about_comes_before_whoever_stands() -> None:
    clip = clips_of_walk()["cam0"]
    stands = np.repeat(clip.keypoints[:1], len(clip.t_ns), 0)
    both = replace(
        clip,
        keypoints=np.concatenate([stands, clip.keypoints], 1),
        ids=np.full((len(clip.t_ns), 2), -1, np.int64),
    )
    first, second = views_from_clips({"cam0": both})[0]
    assert np.ptp(first.rays[:, 0, 0]) > 5 * np.ptp(second.rays[:, 0, 0])


def test_mirroring_a_view_twice_changes_nothing() -> None:
    view = views_from_clips({"cam0": clips_of_walk()["cam0"]})[0][0]
    once = view.mirrored()
    np.testing.assert_allclose(once.rays[:, FLIP_INDICES, 0], -view.rays[..., 0])
    np.testing.assert_array_equal(once.mirrored().rays, view.rays)


def test_another_focal_length_narrows_the_rays() -> None:
    view = views_from_clips({"cam0": clips_of_walk()["cam0"]})[0][0]
    longer = view.refocused(2.0)
    np.testing.assert_allclose(longer.rays, view.rays / 2)
    assert longer.intrinsics.fx_px == 2 * view.intrinsics.fx_px
