"""Bone input: what is missing to a bone's own length is how far it points into the picture."""

import pytest
import torch

from langpose_rt.config import ModelConfig
from langpose_rt.errors import ConfigError
from langpose_rt.geometry.skeleton import BONES, INPUT_BONES, REFERENCE_BONES_M
from langpose_rt.model.bone_features import BONE_CHANNELS, BoneFeatures
from langpose_rt.model.encoder import Encoder

ARM = BONES.index((11, 12))
FOREARM = BONES.index((12, 13))


def rows_with_arm(depth_share: float) -> torch.Tensor:
    """The reference body's left upper arm along x, a share of it pointing into the picture."""
    rows = torch.zeros(17, 3)
    rows[[11, 12], 2] = 1
    rows[12, 0] = float(REFERENCE_BONES_M[ARM]) * (1 - depth_share**2) ** 0.5
    return rows


def channels(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Extent, length and depth of every pair."""
    found = BoneFeatures()(rows)
    pairs = len(INPUT_BONES)
    extent, length, depth = found.split((2 * pairs, pairs, pairs))
    return extent.unflatten(0, (pairs, 2)), length, depth


@pytest.mark.parametrize("depth_share", [0.0, 0.3, 0.8, 1.0])
def test_depth_is_what_the_bone_lost_in_the_picture(depth_share: float) -> None:
    extent, length, depth = channels(rows_with_arm(depth_share))
    assert depth[ARM].item() == pytest.approx(depth_share, abs=0.011)
    assert length[ARM].item() == pytest.approx((1 - depth_share**2) ** 0.5, abs=0.011)
    assert extent[ARM, 0].item() == pytest.approx((1 - depth_share**2) ** 0.5, abs=1e-6)


def test_a_bone_that_looks_too_long_has_no_depth_and_keeps_a_finite_slope() -> None:
    rows = rows_with_arm(0.0)
    rows[12, 0] *= 3
    rows.requires_grad_()
    _, _, depth = channels(rows)
    depth.sum().backward()
    assert depth[ARM].item() == pytest.approx(0.01)
    assert rows.grad is not None
    assert torch.isfinite(rows.grad).all()


def test_a_pair_with_a_missing_joint_says_nothing() -> None:
    rows = rows_with_arm(0.5)
    rows[12] = 0
    extent, _, depth = channels(rows)
    assert extent.abs().max() == 0
    assert depth.abs().max() == 0
    rows[13] = torch.tensor([0.4, 0.2, 1.0])
    assert channels(rows)[2][FOREARM] == 0


def test_it_reads_frame_tokens_of_anchored_rows_only() -> None:
    plain, with_bones = (Encoder(ModelConfig(bone_input=given)) for given in (False, True))
    wider = with_bones.embed.weight.shape[1] - plain.embed.weight.shape[1]  # type: ignore[union-attr, operator]
    assert wider == BONE_CHANNELS
    with pytest.raises(ConfigError, match="one token a frame"):
        ModelConfig(bone_input=True, tokens="joint")
    with pytest.raises(ConfigError, match="anchored"):
        ModelConfig(bone_input=True, input="screen")
