"""JointAttention: equal to torch's own, and a step against the ring equal to the whole clip."""

import math

import pytest
import torch
from torch import nn

from langpose_rt.model.attention import (
    JointAttention,
    Mlp,
    Rotary,
    SpatialPart,
    TemporalAttention,
    TemporalPart,
    rotate,
)

WIDTH, HEADS, HALF = 16, 2, 4
MASKED = -1e4


def phases(*batch: int, seed: int = 0) -> Rotary:
    angle = 6 * torch.rand(*batch, HALF, generator=torch.Generator().manual_seed(seed))
    return Rotary(angle.cos(), angle.sin())


def tokens(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, WIDTH, generator=torch.Generator().manual_seed(seed))


def seeded(module: type[nn.Module], *sizes: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return module(*sizes).eval()


def causal(frames: int) -> torch.Tensor:
    return torch.full((frames, frames), MASKED).triu(1)[None]


def torchs_own(attention: JointAttention) -> nn.MultiheadAttention:
    """`nn.MultiheadAttention` with the same weights."""
    own = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True).eval()
    with torch.no_grad():
        own.in_proj_weight.copy_(attention.qkv.weight)
        own.in_proj_bias.copy_(attention.qkv.bias)
        own.out_proj.weight.copy_(attention.out.weight)
        own.out_proj.bias.copy_(attention.out.bias)
    return own


def test_rotation_is_multiplication_by_a_complex_number_of_length_one() -> None:
    x, rotary = tokens(5)[:, : 2 * HALF], phases(5)
    as_complex = torch.complex(x[:, :HALF], x[:, HALF:])
    expected = as_complex * torch.complex(rotary.cos, rotary.sin)
    torch.testing.assert_close(rotate(x, rotary), torch.cat((expected.real, expected.imag), dim=-1))
    torch.testing.assert_close(rotate(x, rotary).norm(dim=-1), x.norm(dim=-1))


def test_products_of_rotated_vectors_depend_on_the_difference_of_their_phases_alone() -> None:
    query, key = tokens(2)[:, : 2 * HALF]
    first, second = torch.rand(2, HALF)

    def product(shift: float) -> torch.Tensor:
        turned = (
            rotate(x, Rotary((angle + shift).cos(), (angle + shift).sin()))
            for x, angle in ((query, first), (key, second))
        )
        one, other = turned
        return one @ other

    torch.testing.assert_close(product(0.0), product(2.5))
    assert abs(product(0.0) - query @ key) > 1e-3


def test_attention_over_joints_is_torchs_multi_head_attention() -> None:
    attention, x = seeded(JointAttention, WIDTH, HEADS), tokens(3, 17)
    with torch.no_grad():
        expected, _ = torchs_own(attention)(x, x, x, need_weights=False)
        torch.testing.assert_close(attention(x), expected, atol=1e-6, rtol=1e-5)


def test_queries_keys_and_values_are_split_by_head() -> None:
    attention, x = seeded(JointAttention, WIDTH, HEADS), tokens(3, 17)
    joint = attention.qkv(x)
    for number, part in enumerate(attention.split(x)):
        assert part.shape == (3, 17, HEADS, WIDTH // HEADS)
        own = joint[..., number * WIDTH : (number + 1) * WIDTH]
        torch.testing.assert_close(part.flatten(-2), own)


@pytest.mark.parametrize("masked", [False, True], ids=["everywhere", "causal"])
def test_attention_over_time_is_torchs_for_every_token_alone(masked: bool) -> None:
    attention, x = seeded(TemporalAttention, WIDTH, HEADS), tokens(2, 6, 3)
    bias = causal(6) if masked else None
    with torch.no_grad():
        mixed = attention.over_clip(x, None, bias)
        for token in range(3):
            own = x[:, :, token]
            expected, _ = torchs_own(attention)(
                own, own, own, attn_mask=None if bias is None else bias[0], need_weights=False
            )
            torch.testing.assert_close(mixed[:, :, token], expected, atol=1e-6, rtol=1e-5)


def test_a_phase_shared_by_all_frames_changes_nothing() -> None:
    attention, x = seeded(TemporalAttention, WIDTH, HEADS), tokens(2, 6, 3)
    same = Rotary(*(part[:, None].expand(-1, 6, -1) for part in phases(2)))
    with torch.no_grad():
        torch.testing.assert_close(
            attention.over_clip(x, same, causal(6)), attention.over_clip(x, None, causal(6)),
            atol=1e-5, rtol=1e-5,
        )  # fmt: skip


@pytest.mark.parametrize("part", [TemporalAttention, TemporalPart], ids=["attention", "part"])
@pytest.mark.parametrize("width_of_ring", [6, 9], ids=["as long as the clip", "longer"])
def test_frame_by_frame_against_a_ring_equals_the_whole_clip(
    part: type[nn.Module], width_of_ring: int
) -> None:
    sizes = (WIDTH, HEADS) if part is TemporalAttention else (WIDTH, HEADS, 32)
    module, frames = seeded(part, *sizes), 6
    x, rotary = tokens(2, frames, 3), phases(2, frames)
    keys, values = torch.zeros(2, 2, width_of_ring, 3 * WIDTH).unbind()
    with torch.no_grad():
        offline = module.over_clip(x, rotary, causal(frames))
        for frame in range(frames):
            bias = torch.full((2, width_of_ring), MASKED)
            bias[:, :frame] = 0
            own = Rotary(*(phase[:, frame] for phase in rotary))
            streamed, key, value = module.step(x[:, frame], own, (keys, values), bias)
            torch.testing.assert_close(streamed, offline[:, frame], atol=1e-5, rtol=1e-5)
            keys[:, frame], values[:, frame] = key, value


def test_what_lies_in_a_masked_cell_is_never_seen() -> None:
    attention, x = seeded(TemporalAttention, WIDTH, HEADS), tokens(2, 1)
    bias = torch.tensor([[0.0, MASKED, 0.0]]).expand(2, -1)
    ring = torch.randn(2, 2, 3, WIDTH)
    spoiled = ring.clone()
    spoiled[:, :, 1] = 50.0
    with torch.no_grad():
        clean, dirty = (
            attention.step(x, phases(2), (cells[0], cells[1]), bias)[0] for cells in (ring, spoiled)
        )
    torch.testing.assert_close(clean, dirty)


def test_against_an_empty_ring_a_frame_sees_its_own_value() -> None:
    attention, x = seeded(TemporalAttention, WIDTH, HEADS), tokens(2, 3)
    ring = torch.zeros(2, 4, 3 * WIDTH)
    with torch.no_grad():
        mixed, key, value = attention.step(x, phases(2), (ring, ring), torch.full((2, 4), MASKED))
        _, _, own = attention.split(x)
        torch.testing.assert_close(mixed, attention.out(own.flatten(-2)))
    torch.testing.assert_close(value, own.flatten(1))
    assert key.shape == (2, 3 * WIDTH)


def test_the_key_that_is_remembered_is_rotated_and_the_value_is_not() -> None:
    attention, x, rotary = seeded(TemporalAttention, WIDTH, HEADS), tokens(2, 3), phases(2)
    ring = torch.zeros(2, 1, 3 * WIDTH)
    with torch.no_grad():
        _, key, value = attention.step(x, rotary, (ring, ring), torch.zeros(2, 1))
        _, plain, own = attention.split(x)
        wide = Rotary(*(phase[:, None, None] for phase in rotary))
        torch.testing.assert_close(key, rotate(plain, wide).flatten(1))
        torch.testing.assert_close(value, own.flatten(1))


def test_an_mlp_is_two_layers_around_a_gelu() -> None:
    mlp, x = seeded(Mlp, WIDTH, 24), tokens(4)
    hidden = x @ mlp[0].weight.T + mlp[0].bias
    hidden = 0.5 * hidden * (1 + torch.erf(hidden / math.sqrt(2)))
    torch.testing.assert_close(mlp(x), hidden @ mlp[2].weight.T + mlp[2].bias)


def test_joints_of_one_frame_are_mixed_and_frames_are_not() -> None:
    part, x = seeded(SpatialPart, WIDTH, HEADS, 32), tokens(2, 5, 17)
    changed = x.clone()
    changed[1, 3, 4, 0] += 1  # the norm would take a change of all channels away
    with torch.no_grad():
        touched = (part(x) - part(changed)).abs().amax(-1) > 1e-7
    assert touched[1, 3].all()
    touched[1, 3] = False
    assert not touched.any()


def test_a_part_whose_last_layers_are_zero_passes_its_input_on() -> None:
    spatial = seeded(SpatialPart, WIDTH, HEADS, 32)
    temporal = seeded(TemporalPart, WIDTH, HEADS, 32)
    for part in (spatial, temporal):
        for layer in (part.attention.out, part.mlp[2]):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
    x = tokens(2, 6, 3)
    torch.testing.assert_close(spatial(x), x)
    torch.testing.assert_close(temporal.over_clip(x, phases(2, 6), causal(6)), x)


def test_temporal_attention_cannot_be_called_as_attention_over_joints() -> None:
    attention = TemporalAttention(8, 2)
    with pytest.raises(NotImplementedError):
        attention(torch.zeros(1, 3, 8))
