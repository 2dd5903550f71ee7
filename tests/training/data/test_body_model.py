"""A body: read from the published layout, and joints that move as rigid bodies do."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from langpose_rt.errors import ConfigError
from tests.training.data.test_amass_babel import JOINTS_H, VERTICES, write_body
from training.data import body_model
from training.data.body_model import BodyModel, read_body_model

FRAMES = 5


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "male" / "model.npz"
    write_body(path)
    return path


@pytest.fixture
def body(path: Path) -> BodyModel:
    return read_body_model(path)


@pytest.fixture
def regressor(rng: np.random.Generator) -> np.ndarray:
    weights = rng.uniform(0, 1, (17, VERTICES))
    return weights / weights.sum(1, keepdims=True)


def poses(rng: np.random.Generator, frames: int = FRAMES) -> np.ndarray:
    return rng.standard_normal((frames, 3 * JOINTS_H)) * 0.1


def test_a_body_at_rest_is_its_template(body: BodyModel, regressor: np.ndarray) -> None:
    joints = body.joints(np.zeros((1, 3 * JOINTS_H)), np.zeros((1, 3)), np.zeros(16), regressor)
    np.testing.assert_allclose(joints[0], regressor @ body.template.numpy(), atol=1e-5)
    assert joints.dtype == np.float32


def test_a_shape_moves_the_template_along_its_direction(
    body: BodyModel, regressor: np.ndarray, rng: np.random.Generator
) -> None:
    betas = rng.standard_normal(16)
    joints = body.joints(np.zeros((1, 3 * JOINTS_H)), np.zeros((1, 3)), betas, regressor)
    expected = regressor @ (body.template.numpy() + body.shapes.numpy() @ betas)
    np.testing.assert_allclose(joints[0], expected, atol=1e-5)


def test_a_place_is_added_to_every_joint_of_its_frame(
    body: BodyModel, regressor: np.ndarray, rng: np.random.Generator
) -> None:
    angles, trans_m = poses(rng), rng.standard_normal((FRAMES, 3))
    here = body.joints(angles, np.zeros((FRAMES, 3)), np.zeros(16), regressor)
    there = body.joints(angles, trans_m, np.zeros(16), regressor)
    np.testing.assert_allclose(there - here, np.repeat(trans_m[:, None], 17, 1), atol=1e-5)


def test_turning_the_root_turns_the_whole_body_about_the_root(
    body: BodyModel, regressor: np.ndarray, rng: np.random.Generator
) -> None:
    angles = poses(rng)
    turned = angles.copy()
    turn = Rotation.from_rotvec([0.3, -1.1, 0.7])
    own = Rotation.from_rotvec(angles[:, :3])
    turned[:, :3] = (turn * own).as_rotvec()
    nowhere, betas = np.zeros((FRAMES, 3)), np.zeros(16)
    plain, moved = (body.joints(a, nowhere, betas, regressor) for a in (angles, turned))
    root = body.joint_regressor.numpy()[0] @ body.template.numpy()
    np.testing.assert_allclose(moved - root, (plain - root) @ turn.as_matrix().T, atol=1e-4)


def test_shape_numbers_that_the_model_does_not_have_are_left_out(
    body: BodyModel, regressor: np.ndarray, rng: np.random.Generator
) -> None:
    angles, nowhere, betas = poses(rng), np.zeros((FRAMES, 3)), rng.standard_normal(40)
    long, short = (body.joints(angles, nowhere, b, regressor) for b in (betas, betas[:16]))
    np.testing.assert_array_equal(long, short)
    few = body.joints(angles, nowhere, betas[:3], regressor)
    padded = np.concatenate([betas[:3], np.zeros(13)])
    np.testing.assert_allclose(few, body.joints(angles, nowhere, padded, regressor), atol=1e-5)


@pytest.mark.parametrize("at_once", [1, 2, 5, 100])
def test_frames_in_pieces_are_frames_at_once(
    body: BodyModel, regressor: np.ndarray, rng: np.random.Generator,
    monkeypatch: pytest.MonkeyPatch, at_once: int,
) -> None:  # fmt: skip
    angles, trans_m = poses(rng), rng.standard_normal((FRAMES, 3))
    whole = body.joints(angles, trans_m, np.zeros(16), regressor)
    monkeypatch.setattr(body_model, "_FRAMES_AT_ONCE", at_once)
    np.testing.assert_allclose(
        body.joints(angles, trans_m, np.zeros(16), regressor), whole, atol=1e-5
    )


def test_what_is_read_is_what_was_written(path: Path) -> None:
    body = read_body_model(path)
    with np.load(path) as file:
        np.testing.assert_allclose(body.template, file["v_template"], rtol=1e-6)
        bends = file["posedirs"]
    assert body.parents.tolist() == [-1, *range(JOINTS_H - 1)], "the root has no parent"
    assert body.poses.shape == (9 * (JOINTS_H - 1), 3 * VERTICES)
    np.testing.assert_allclose(body.poses[7].reshape(VERTICES, 3), bends[:, :, 7], rtol=1e-6)
    assert all(
        tensor.dtype == torch.float32 for tensor in (body.template, body.weights, body.shapes)
    )


def test_bends_of_joints_move_the_vertices_by_their_rotation_less_identity(
    body: BodyModel, regressor: np.ndarray, rng: np.random.Generator
) -> None:
    without = replace(body, poses=torch.zeros_like(body.poses))
    rest, nowhere = np.zeros((1, 3 * JOINTS_H)), np.zeros((1, 3))
    bent = poses(rng, 1)
    for angles, same in ((rest, True), (bent, False)):
        one, other = (b.joints(angles, nowhere, np.zeros(16), regressor) for b in (body, without))
        assert np.allclose(one, other, atol=1e-6) is same


@pytest.mark.parametrize("missing", ["v_template", "kintree_table", "posedirs"])
def test_a_model_that_lacks_an_array_says_what_is_expected(path: Path, missing: str) -> None:
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files if name != missing}
    np.savez(path, **arrays)
    with pytest.raises(ConfigError, match=rf"cannot read .*{missing}.*expected model\.npz of SMPL"):
        read_body_model(path)


@pytest.mark.parametrize(
    "content", [None, b"", b"no archive", b"PK\x03\x04cut"], ids=["missing", "empty", "text", "cut"]
)
def test_a_file_that_is_no_model_is_one_sentence(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "model.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"cannot read .*model\.npz: .*; expected model\.npz"):
        read_body_model(path)
