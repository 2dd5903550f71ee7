"""Attention over joints and over time are different modules; neither can be called as the other."""

import pytest
import torch

from langpose_rt.model.attention import SpatialPart, TemporalAttention


def test_temporal_attention_cannot_be_called_as_attention_over_joints() -> None:
    attention = TemporalAttention(8, 2)
    with pytest.raises(NotImplementedError):
        attention(torch.zeros(1, 3, 8))


def test_joint_attention_mixes_the_joints_of_a_frame_and_no_other_frame() -> None:
    torch.manual_seed(0)
    part = SpatialPart(8, 2, 16).eval()
    x = torch.randn(2, 3, 5, 8)
    changed = x.clone()
    changed[0, 1, 4, 0] += 1
    with torch.no_grad():
        touched = (part(x) - part(changed)).abs().amax(-1) > 0
    assert touched[0, 1].all()
    assert touched.sum() == 5
