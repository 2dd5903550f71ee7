"""The reader of the mocap folder, on files in the published layout."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from langpose_rt.errors import ConfigError
from training.data.mocap import (
    HELD_OUT,
    MOST_SUBJECT_SHARE,
    SOURCE_SHARES,
    Mocap,
    is_commercial,
    mirrored_text,
    read_mocap,
)
from training.data.pose_groups import pose_groups


def test_joints_are_hip_plus_scaled_pose(mocap_folder: Path, mocap: Mocap) -> None:
    clip = mocap.clips[1]
    assert (clip.name, clip.action, clip.fps, clip.frames) == ("cmu_train_1", "walk", 60.0, 150)
    with np.load(mocap_folder / "train_cmu.npz") as file:
        truth = file["pose"][200:350] * 1e-4 + file["root"][200:350, None]
    own = mocap.joints_m[clip.start : clip.start + clip.frames]
    np.testing.assert_allclose(own, truth, atol=1e-6)
    assert own.dtype == np.float32


def test_splits_are_kept_apart(mocap_folder: Path, mocap: Mocap) -> None:
    validation = read_mocap(mocap_folder, "val")
    assert {clip.name.split("_")[1] for clip in validation.clips} == {"val"}
    assert not np.array_equal(validation.joints_m, mocap.joints_m)


def test_commercial_only_leaves_out_nc_licences_and_says_the_rest(mocap_folder: Path) -> None:
    kept = read_mocap(mocap_folder, "train", commercial_only=True)
    assert kept.sources == ("cmu", "deepmimic")
    assert set(kept.licences) == {"cmu", "deepmimic"}
    assert all(is_commercial(licence) for licence in kept.licences.values())
    assert not is_commercial("CC BY-NC 4.0 (c) 2021 Sony Interactive Entertainment")


def test_sources_can_be_chosen(mocap_folder: Path) -> None:
    assert read_mocap(mocap_folder, "train", sources=["bandai1"]).sources == ("bandai1",)


def test_clips_are_chosen_by_source_and_action_not_by_their_number(mocap: Mocap) -> None:
    chances = mocap.clip_probabilities
    by_source = {
        source: chances[[clip.source == source for clip in mocap.clips]].sum()
        for source in mocap.sources
    }
    assert chances.sum() == pytest.approx(1)
    assert by_source["cmu"] / by_source["deepmimic"] == pytest.approx(
        SOURCE_SHARES["cmu"] / SOURCE_SHARES["deepmimic"]
    )
    walk, jump = chances[0] + chances[1], chances[2]
    assert walk / jump == pytest.approx((350 / 120) ** 0.5)
    assert chances[0] / chances[1] == pytest.approx(200 / 150)


@pytest.mark.parametrize("lost", ["index.json", "train_cmu.npz"])
def test_a_missing_file_is_named_with_what_was_expected(
    mocap_folder: Path, tmp_path: Path, lost: str
) -> None:
    shutil.copytree(mocap_folder, tmp_path / "m")
    (tmp_path / "m" / lost).unlink()
    with pytest.raises(ConfigError, match=f"{lost}.*expected"):
        read_mocap(tmp_path / "m", "train")


def test_a_file_with_other_keys_is_named(mocap_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(mocap_folder, tmp_path / "m")
    np.savez(tmp_path / "m" / "train_cmu.npz", joints=np.zeros(3))
    with pytest.raises(ConfigError, match=r"train_cmu\.npz.*pose int16"):
        read_mocap(tmp_path / "m", "train")


@pytest.mark.parametrize("text", ["not json", json.dumps({"clips": []}), "[]"])
def test_a_wrong_index_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "index.json").write_text(text)
    with pytest.raises(ConfigError, match=r"index\.json"):
        read_mocap(tmp_path, "train")


def test_an_empty_choice_is_refused(mocap_folder: Path) -> None:
    with pytest.raises(ConfigError, match="no clip"):
        read_mocap(mocap_folder, "train", sources=["nobody"])


def test_a_mirrored_sentence_exchanges_the_sides_and_nothing_else() -> None:
    assert mirrored_text("wave the Left hand, turn right") == "wave the right hand, turn left"
    assert mirrored_text("spin clockwise") == "spin counterclockwise"
    assert mirrored_text("a bright, leftover walk") == "a bright, leftover walk"


def test_the_texts_of_a_mocap_hold_every_clip_and_its_mirror_image(mocap: Mocap) -> None:
    clips = (replace(mocap.clips[0], text="raise the left hand"), *mocap.clips[1:3])
    told = replace(mocap, clips=clips)
    assert told.texts == ("jump", "raise the left hand", "raise the right hand", "walk")


def test_subjects_of_the_second_benchmark_are_never_trained_on(
    mocap_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(mocap_folder, tmp_path / "m")
    trials = {"clips": {"cmu_train_1": {"trial": "86_01"}, "cmu_val_1": {"trial": "86_02"}}}
    (tmp_path / "m" / "trial_map.json").write_text(json.dumps(trials))
    train = read_mocap(tmp_path / "m", "train")
    assert "cmu_train_1" not in [clip.name for clip in train.clips]
    assert len(train.clips) == 4
    assert [clip.name for clip in read_mocap(tmp_path / "m", HELD_OUT).clips] == ["cmu_train_1"]
    assert len(read_mocap(tmp_path / "m", "val").clips) == 5


def test_no_subject_is_more_than_its_share_of_the_clips(mocap: Mocap) -> None:
    subjects = ["a", "b", "c", "d", "unknown"]
    few = [replace(clip, subject=name) for clip, name in zip(mocap.clips, subjects, strict=True)]
    many = [replace(mocap.clips[4], subject=f"x{n}", source="other") for n in range(60)]
    crowd = replace(mocap, clips=(*few, *many))
    plain = replace(crowd, clips=tuple(replace(c, subject="unknown") for c in crowd.clips))
    before, after = plain.clip_probabilities, crowd.clip_probabilities
    assert before[0] > MOST_SUBJECT_SHARE
    assert after[0] / after[-1] == pytest.approx(MOST_SUBJECT_SHARE / before[-1])
    assert after[4] / after[-1] == pytest.approx(before[4] / before[-1])


def test_recovered_trials_tell_the_subject(mocap_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(mocap_folder, tmp_path / "m")
    trials = {"clips": {"cmu_train_1": {"trial": "29_01", "degrees": 0.2, "split": "train"}}}
    (tmp_path / "m" / "trial_map.json").write_text(json.dumps(trials))
    clips = read_mocap(tmp_path / "m", "train").clips
    assert [clip.subject for clip in clips[:3]] == ["01", "cmu_29", "01"]
    (tmp_path / "m" / "trial_map.json").write_text("[1]")
    with pytest.raises(ConfigError, match=r"trial_map\.json.*expected"):
        read_mocap(tmp_path / "m", "train")


def test_moments_of_a_group_show_its_pose(mocap: Mocap) -> None:
    joints_m = mocap.joints_m.copy()
    fallen = slice(mocap.clips[1].start, mocap.clips[1].start + mocap.clips[1].frames)
    joints_m[fallen] = joints_m[fallen][..., [2, 1, 0]]
    clips = (replace(mocap.clips[0], text="boxing"), *mocap.clips[1:])
    lying = replace(mocap, joints_m=joints_m, clips=clips)
    found = {group.group: group for group in lying.moments}
    assert {"boxing", "lying"} <= set(found)
    assert set(found["boxing"].clip) == {0}
    assert len(found["boxing"].clip) == 34
    assert set(found["lying"].clip) == {1}
    for group in lying.moments:
        assert group.chance.sum() == pytest.approx(1)
    own = mocap.clips[1]
    frames = [own.start + round(moment_s * own.fps) for moment_s in found["lying"].moment_s]
    assert pose_groups(joints_m[frames])["lying"].all()
