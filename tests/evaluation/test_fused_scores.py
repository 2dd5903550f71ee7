"""Scores of fused poses: absolute errors, people found, ids kept."""

from dataclasses import replace

import numpy as np
import pytest

from langpose_rt.errors import ConfigError
from langpose_rt.evaluation.fused_scores import scores_of_fused
from langpose_rt.formats.clip import Clip
from langpose_rt.formats.lifted_npz import PoseSequence
from langpose_rt.geometry.camera import Camera
from tests.fusion.rigs import MS, body, ring
from tests.fusion.walks import clips_of_walk, walk

FRAMES = 20
RIG = ring(2)
FIRST = walk(np.arange(FRAMES) / 30)
SECOND = np.tile(body(2.5, 0.0), (FRAMES, 1, 1))


def seen_from(camera: Camera, joints: np.ndarray) -> np.ndarray:
    T = camera.T_world_camera
    assert T is not None
    return np.asarray((joints - T[:3, 3]) @ T[:3, :3], np.float32)


def clips(second: np.ndarray = SECOND) -> dict[str, Clip]:
    found = clips_of_walk(RIG)
    return {
        name: replace(
            clip,
            keypoints=clip.keypoints[:FRAMES],
            t_ns=clip.t_ns[:FRAMES],
            ids=clip.ids[:FRAMES],
            pose3d=seen_from(RIG[name], one),
        )
        for (name, clip), one in zip(found.items(), (FIRST, second), strict=True)
    }


def fused(*people: np.ndarray, off_m: float = 0.0) -> PoseSequence:
    joints = np.stack(people, 1) + np.array([0.0, off_m, 0.0])
    poses = PoseSequence.empty(clips()["cam0"].t_ns, len(people))
    poses.root[:], poses.pose[:] = joints[:, :, 0], joints - joints[:, :, :1]
    poses.ids[:] = np.arange(len(people))
    return replace(poses, frame="world")


def test_two_people_with_truth_in_a_clip_each_are_found_and_measured() -> None:
    scores = scores_of_fused(fused(SECOND, FIRST, off_m=0.02), clips(), RIG)
    assert (scores.people, scores.poses, scores.found, scores.ids) == (2, 2 * FRAMES, 1.0, 2)
    assert scores.mpjpe_mm == pytest.approx(20, abs=0.1)
    assert scores.median_mm == pytest.approx(20, abs=0.1)
    assert scores.p_mpjpe_mm == pytest.approx(0, abs=0.1)
    assert scores.to_dict()["people"] == 2


def test_one_person_in_two_clips_counts_once() -> None:
    assert scores_of_fused(fused(FIRST), clips(FIRST), RIG).people == 1


def test_who_is_not_there_is_missed_and_a_new_id_is_counted() -> None:
    poses = fused(FIRST, SECOND)
    poses.ids[:5, 1] = -1
    poses.ids[12:, 0] = 9
    scores = scores_of_fused(poses, clips(), RIG)
    assert scores.found == pytest.approx(35 / 40)
    assert scores.ids == 3


def test_truth_lies_on_lines_between_frames_and_clocks_are_set() -> None:
    late = {name: replace(clip, t_ns=clip.t_ns + 50 * MS) for name, clip in clips().items()}
    poses = fused(FIRST, SECOND)
    assert scores_of_fused(poses, late, RIG).mpjpe_mm > 5
    scores = scores_of_fused(poses, late, RIG, {"cam0": 0.05, "cam1": 0.05})
    assert scores.mpjpe_mm == pytest.approx(0, abs=0.5)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda clip: replace(clip, pose3d=None), 'no clip has "pose3d"; expected'),
        (
            lambda clip: replace(clip, pose3d=clip.pose3d - clip.pose3d[:, :1]),
            "the 3D of camera cam0 is relative to the hip; fused poses are compared",
        ),
        (
            lambda clip: replace(clip, pose3d=clip.pose3d + np.float32(30)),
            "nobody was found within 0.5 m of the 3D of the clips",
        ),
    ],
)
def test_truth_that_cannot_be_compared_is_one_sentence(change, sentence: str) -> None:  # type: ignore[no-untyped-def]
    changed = {name: change(clip) for name, clip in clips().items()}
    with pytest.raises(ConfigError, match=sentence):
        scores_of_fused(fused(FIRST), changed, RIG)
