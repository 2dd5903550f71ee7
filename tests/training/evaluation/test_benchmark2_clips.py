"""The second benchmark is drawn once, by pose group, under every condition."""

from dataclasses import replace

import numpy as np
import pytest

from training.data.mocap import Mocap
from training.evaluation.benchmark2_clips import (
    CLIPS,
    CONDITIONS,
    FRAMES,
    OTHER,
    Benchmark2Clip,
    benchmark2_hash,
    draw_benchmark2,
    joined,
)


@pytest.fixture(scope="module")
def boxing(mocap: Mocap) -> Mocap:
    """A mocap whose second clip boxes and whose fourth one climbs."""
    clips = list(mocap.clips)
    clips[1], clips[3] = replace(clips[1], text="boxing"), replace(clips[3], text="climb")
    return replace(mocap, clips=tuple(clips))


@pytest.fixture(scope="module")
def clips(boxing: Mocap) -> list[Benchmark2Clip]:
    return draw_benchmark2(boxing)


def test_the_hash_is_stable_and_changes_with_any_bit(
    boxing: Mocap, clips: list[Benchmark2Clip]
) -> None:
    assert benchmark2_hash(clips) == benchmark2_hash(draw_benchmark2(boxing))
    rays = clips[2].footage.rays.copy()
    rays[0, 3, 4] += np.float32(1e-6)
    changed = replace(clips[2], footage=replace(clips[2].footage, rays=rays))
    assert benchmark2_hash([*clips[:2], changed, *clips[3:]]) != benchmark2_hash(clips)


def test_every_group_that_occurs_is_asked_under_every_condition(
    clips: list[Benchmark2Clip],
) -> None:
    asked = {(clip.group, clip.condition) for clip in clips}
    groups = {group for group, _ in asked}
    assert {"boxing", "climbing"} <= groups
    assert asked == {(group, condition) for group in groups for condition in CONDITIONS}
    assert len([one for one in clips if one.group == "boxing"]) <= CLIPS * len(CONDITIONS)
    assert 0 < np.mean([clip.recombined for clip in clips]) < 0.5


def test_clean_clips_are_exact_and_gravity_is_known_where_it_is_said(
    clips: list[Benchmark2Clip],
) -> None:
    for clip in clips:
        assert clip.footage.rays.shape == (1, FRAMES, 17, 2)
        assert np.isfinite(clip.footage.gravity).all() == ("gravity" in clip.condition)
    clean = [clip for clip in clips if clip.condition == "clean"]
    assert all(np.isin(clip.footage.scores, (0, 1)).all() for clip in clean)
    noisy = [clip for clip in clips if clip.condition == "noisy"]
    assert any((clip.footage.scores == 0).any() for clip in noisy)


def test_frames_are_in_their_groups_or_in_the_other_one(clips: list[Benchmark2Clip]) -> None:
    for clip in clips:
        grouped = np.any([own for name, own in clip.members.items() if name != OTHER], axis=0)
        np.testing.assert_array_equal(grouped, ~clip.members[OTHER])


def test_splits_are_joined_end_to_end(mocap: Mocap) -> None:
    both = joined([mocap, mocap])
    assert len(both.clips) == 2 * len(mocap.clips)
    for own, again in zip(mocap.clips, both.clips[len(mocap.clips) :], strict=True):
        np.testing.assert_array_equal(
            mocap.joints_m[own.start : own.start + own.frames],
            both.joints_m[again.start : again.start + again.frames],
        )
