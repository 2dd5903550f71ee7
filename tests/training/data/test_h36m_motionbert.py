"""MotionBERT's pickle, written here in its published layout."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from langpose_rt.errors import ConfigError
from training.data.h36m_motionbert import read_h36m_motionbert

VIDEOS = (
    ("s_09_act_02_subact_01_ca_01", "54138969", 5),
    ("s_09_act_02_subact_01_ca_02", "55011271", 3),
    ("s_11_act_16_subact_02_ca_01", "54138969", 4),
)


def content() -> dict[str, dict[str, object]]:
    rng = np.random.default_rng(0)
    count = sum(frames for *_, frames in VIDEOS)
    repeated = [(source, camera) for source, camera, frames in VIDEOS for _ in range(frames)]
    image = rng.standard_normal((count, 17, 3)).astype(np.float32)
    factor = rng.uniform(3, 5, count).astype(np.float32)
    train: dict[str, object] = {
        "joint_2d": rng.uniform(0, 1000, (count, 17, 2)).astype(np.float32),
        "confidence": rng.uniform(0, 1, (count, 17, 1)).astype(np.float32),
        "joint3d_image": image,
        "camera_name": [camera for _, camera in repeated],
        "source": [source for source, _ in repeated],
    }
    more = {
        "action": ["Directions"] * 8 + ["WalkTogether"] * 4,
        "2.5d_factor": factor,
        "joints_2.5d_image": image * factor[:, None, None],
    }
    return {"train": train, "test": train | more}


def written(folder: Path, value: object) -> Path:
    path = folder / "h36m_sh_conf_cam_source_final.pkl"
    path.write_bytes(pickle.dumps(value))
    return path


def test_videos_come_apart_where_source_or_camera_changes(tmp_path: Path) -> None:
    stored = content()
    videos = read_h36m_motionbert(written(tmp_path, stored), "test")
    assert [(v.source, len(v.scores)) for v in videos] == [(s, n) for s, _, n in VIDEOS]
    assert [v.size_px for v in videos] == [(1000, 1002), (1000, 1000), (1000, 1002)]
    assert [v.action for v in videos] == ["Directions", "Directions", "WalkTogether"]
    for key, name in (("joint_2d", "joints_px"), ("joint3d_image", "pose_image_px")):
        joined = np.concatenate([getattr(video, name) for video in videos])
        np.testing.assert_array_equal(joined, stored["test"][key])
    second = videos[1]
    assert second.pose_mm is not None
    assert second.mm_per_px is not None
    scaled = second.pose_image_px * second.mm_per_px[:, None, None]
    np.testing.assert_allclose(second.pose_mm, scaled, rtol=1e-5)


def test_the_training_split_has_no_mm_and_scores_may_be_absent(tmp_path: Path) -> None:
    stored = content()
    del stored["train"]["confidence"]
    video = read_h36m_motionbert(written(tmp_path, stored), "train")[0]
    assert (video.pose_mm, video.mm_per_px, video.action) == (None, None, "")
    assert (video.scores == 1).all()
    assert video.scores.shape == (5, 17)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("joint_2d", None, 'no "joint_2d"'),
        ("joint_2d", np.zeros((12, 16, 2)), "expected (12, 17, 2)"),
        ("2.5d_factor", np.zeros(11), "expected (12,)"),
        ("confidence", np.zeros((12, 16)), "expected (12, 17)"),
        ("camera_name", ["1"] * 12, 'names camera "1"'),
    ],
)
def test_a_wrong_layout_is_one_sentence(
    tmp_path: Path, key: str, value: object, expected: str
) -> None:
    stored = content()
    if value is None:
        del stored["test"][key]
    else:
        stored["test"][key] = value
    with pytest.raises(ConfigError) as said:
        read_h36m_motionbert(written(tmp_path, stored), "test")
    assert expected in str(said.value)
    assert "\n" not in str(said.value)


def test_a_missing_split_and_another_file_are_said(tmp_path: Path) -> None:
    for value in ({"train": {}}, [1, 2]):
        with pytest.raises(ConfigError, match='no "test"'):
            read_h36m_motionbert(written(tmp_path, value), "test")
    with pytest.raises(ConfigError, match="MotionBERT"):
        read_h36m_motionbert(tmp_path / "none.pkl", "test")
