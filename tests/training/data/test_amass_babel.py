"""AMASS, BABEL and a body, written here in their published layouts and a tenth of their size."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from langpose_rt.errors import ConfigError
from training.data.amass_babel import amass_path, main, segments_from_babel
from training.data.body_model import read_body_model
from training.data.mocap import read_mocap

VERTICES, JOINTS_H = 60, 52
FRAMES = 240


def write_body(path: Path) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    weights = rng.uniform(0, 1, (VERTICES, JOINTS_H)) ** 8
    regressor = rng.uniform(0, 1, (JOINTS_H, VERTICES)) ** 8
    body = {
        "v_template": rng.standard_normal((VERTICES, 3)),
        "shapedirs": rng.standard_normal((VERTICES, 3, 16)) * 0.01,
        "posedirs": rng.standard_normal((VERTICES, 3, 9 * (JOINTS_H - 1))) * 0.001,
        "J_regressor": regressor / regressor.sum(1, keepdims=True),
        "weights": weights / weights.sum(1, keepdims=True),
        "kintree_table": np.array([[2**32 - 1, *range(JOINTS_H - 1)], range(JOINTS_H)]),
    }
    path.parent.mkdir(parents=True)
    np.savez(path, **body)
    return body


def write_amass(path: Path, *, rate_hz: float = 120.0) -> None:
    rng = np.random.default_rng(1)
    path.parent.mkdir(parents=True)
    arrays = {
        "poses": rng.standard_normal((FRAMES, 156)) * 0.1,
        "trans": rng.standard_normal((FRAMES, 3)),
        "betas": rng.standard_normal(16),
        "dmpls": np.zeros((FRAMES, 8)),
        "gender": np.array("male"),
        "mocap_framerate": np.array(rate_hz),
    }
    np.savez(path, **arrays)


def label(raw: str, category: list[str] | None, **times: float) -> dict[str, object]:
    return {"raw_label": raw, "proc_label": raw, "seg_id": "s", "act_cat": category} | times


BABEL = {
    "1": {
        "babel_sid": 1, "feat_p": "CMU/CMU/01/01_01_poses.npz", "dur": 2.0, "seq_ann": None,
        "frame_ann": {
            "babel_lid": "a",
            "labels": [
                label("walks left", ["walk"], start_t=0.0, end_t=1.2),
                label("transition", ["transition"], start_t=1.2, end_t=2.0),
                label("blinks", ["blink"], start_t=1.9, end_t=2.0),
                label("stops", None, start_t=1.2, end_t=2.5),
            ],
        },
    },
    "2": {
        "babel_sid": 2, "feat_p": "DFaust67/DFaust_67/50002/50002_x_poses.npz", "dur": 2.0,
        "seq_ann": {"babel_lid": "b", "labels": [label("jumps", ["jump"])]}, "frame_ann": None,
    },
}  # fmt: skip


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    write_body(tmp_path / "smplh" / "male" / "model.npz")
    np.save(tmp_path / "regressor.npy", np.random.default_rng(2).uniform(0, 0.02, (17, VERTICES)))
    write_amass(tmp_path / "amass" / "CMU" / "01" / "01_01_poses.npz")
    write_amass(tmp_path / "amass" / "DFaust" / "50002" / "50002_x_poses.npz", rate_hz=60.0)
    (tmp_path / "babel").mkdir()
    for name in ("train", "val"):
        (tmp_path / "babel" / f"{name}.json").write_text(json.dumps(BABEL))
    return tmp_path


def flags(folder: Path) -> list[str]:
    names = {
        "--amass": "amass", "--babel": "babel", "--body-models": "smplh",
        "--regressor": "regressor.npy", "--out": "mocap",
    }  # fmt: skip
    return [word for flag, name in names.items() for word in (flag, str(folder / name))]


def test_segments_become_clips_that_the_trainer_reads(folders: Path) -> None:
    assert main(flags(folders)) == 0
    mocap = read_mocap(folders / "mocap", "train")
    assert [(c.text, c.action, c.frames, c.fps) for c in mocap.clips] == [
        ("walks left", "walk", 72, 60.0),
        ("stops", "stops", 48, 60.0),
        ("jumps", "jump", 120, 60.0),
    ]
    assert "walks right" in mocap.texts
    with np.load(folders / "mocap" / "train_amass.npz") as file:
        assert len(file["pose"]) == FRAMES // 2 + FRAMES
    with pytest.raises(ConfigError, match="no clip"):
        read_mocap(folders / "mocap", "train", commercial_only=True)


def test_a_body_turns_and_moves_as_one_with_its_root(tmp_path: Path) -> None:
    arrays = write_body(tmp_path / "male" / "model.npz")
    body = read_body_model(tmp_path / "male" / "model.npz")
    regressor = np.eye(17, VERTICES)
    poses, trans_m = np.zeros((2, 156)), np.zeros((2, 3))
    turn = np.array([0.2, -0.4, 0.9])
    poses[1, :3], trans_m[1] = turn, (1.0, 2.0, 3.0)
    rest, moved = body.joints(poses, trans_m, np.zeros(16), regressor)
    np.testing.assert_allclose(rest, arrays["v_template"][:17], atol=1e-5)
    root = arrays["J_regressor"][0] @ arrays["v_template"]
    expected = (rest - root) @ Rotation.from_rotvec(turn).as_matrix().T + root + trans_m[1]
    np.testing.assert_allclose(moved, expected, atol=1e-4)


def test_extra_files_hold_lists_of_annotations(tmp_path: Path) -> None:
    entry = {
        "feat_p": "CMU/CMU/01/01_01_poses.npz", "dur": 2.0, "seq_anns": None,
        "frame_anns": [
            {"labels": [label("walks", ["walk"], start_t=0, end_t=1)]},
            {"labels": [label("strolls", ["walk"], start_t=0, end_t=2)]},
        ],
    }  # fmt: skip
    path = tmp_path / "extra_train.json"
    path.write_text(json.dumps({"1": entry}))
    assert [segment.text for segment in segments_from_babel(path)] == ["walks", "strolls"]


def test_babels_paths_lead_into_amass() -> None:
    assert amass_path("CMU/CMU/141/141_05_poses.npz") == "CMU/141/141_05_poses.npz"
    renamed = amass_path("BMLrub/BioMotionLab_NTroje/rub001/0001_poses.npz")
    assert renamed == "BMLrub/rub001/0001_poses.npz"


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        ("babel/train.json", "BABEL"),
        ("smplh/male/model.npz", "SMPL-H"),
        ("regressor.npy", "(17, vertices)"),
        ("amass/CMU/01/01_01_poses.npz", "AMASS npz"),
    ],
)
def test_a_wrong_file_is_one_sentence(
    folders: Path, capsys: pytest.CaptureFixture[str], broken: str, expected: str
) -> None:
    (folders / broken).write_bytes(b"{}?")
    assert main(flags(folders)) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert expected in error
