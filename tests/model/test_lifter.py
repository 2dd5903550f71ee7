"""The lifter: a root at zero, bounded sigmas, a lag that is told, and both sides of a mirror."""

import pytest
import torch

from langpose_rt.config import ModelConfig
from langpose_rt.model.flip import Flip
from langpose_rt.model.lifter import LAG_CHANNELS, LOG_SIGMA_RANGE, Lifter, lag_channels

SIZES = {"width": 16, "heads": 2, "depth": 1, "window": 4, "representation": 8}
KINDS = {
    "frame": ModelConfig(**SIZES),
    "joint": ModelConfig(**SIZES, tokens="joint", streams=2),
    "mirrored": ModelConfig(**SIZES, mirrored=True),
    "bidirectional": ModelConfig(
        **SIZES, input="screen", tokens="joint", streams=2, causal=False
    ),
}  # fmt: skip
EVERY = pytest.mark.parametrize("kind", KINDS)


def lifter(kind: str) -> Lifter:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Lifter(KINDS[kind]).eval()


def features(kind: str, *batch: int, seed: int = 0) -> torch.Tensor:
    config, random = KINDS[kind], torch.Generator().manual_seed(seed)
    channels = config.representation * config.sides
    return torch.randn(*batch, config.token_count, channels, generator=random)


def test_channels_of_a_lag_are_zero_now_and_rise_with_it() -> None:
    lags_s = torch.tensor([0.0, 0.02, 0.1, 0.5, 2.0])
    channels = lag_channels(lags_s)
    assert channels.shape == (5, LAG_CHANNELS)
    assert not channels[0].any()
    assert (channels.diff(dim=0) >= 0).all()
    assert (channels <= 1).all()
    for number, scale in enumerate((0.25, 0.5, 1, 2, 4, 8, 16, 32)):
        torch.testing.assert_close(channels[:, number], torch.tanh(lags_s * scale))


def test_a_lag_of_one_frame_and_one_of_two_are_told_apart() -> None:
    one, two = lag_channels(torch.tensor([1 / 120, 2 / 120]))
    assert (one - two).abs().max() > 0.1


@EVERY
@pytest.mark.parametrize("batch", [(3,), (2, 5)], ids=str)
def test_every_shape_of_batch_gives_17_joints_with_the_root_at_zero(
    kind: str, batch: tuple[int, ...]
) -> None:
    newest, answered = features(kind, *batch), features(kind, *batch, seed=1)
    pose, log_sigma = lifter(kind)(newest, answered, torch.zeros(batch))
    assert pose.shape == (*batch, 17, 3)
    assert log_sigma.shape == (*batch, 17)
    assert not pose[..., 0, :].any()
    assert (log_sigma[..., 0] == LOG_SIGMA_RANGE[0]).all()
    assert pose[..., 1:, :].abs().amax(-1).all()


@EVERY
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_sigma_stays_within_its_range_whatever_the_weights_say(kind: str, sign: int) -> None:
    one = lifter(kind)
    torch.nn.init.constant_(one.to_log_sigma.bias, sign * 100.0)
    feature = features(kind, 4)
    _, log_sigma = one(feature, feature, torch.zeros(4))
    expected = LOG_SIGMA_RANGE[sign > 0]
    assert (log_sigma[:, 1:] == expected).all()
    assert (log_sigma[:, 0] == LOG_SIGMA_RANGE[0]).all()


@EVERY
def test_people_of_a_batch_get_what_they_would_get_alone(kind: str) -> None:
    one = lifter(kind)
    newest, answered, lag_s = features(kind, 5), features(kind, 5, seed=1), torch.rand(5)
    together = one(newest, answered, lag_s)
    for row in range(5):
        alone = one(newest[row : row + 1], answered[row : row + 1], lag_s[row : row + 1])
        for all_of_them, own in zip(together, alone, strict=True):
            torch.testing.assert_close(all_of_them[row : row + 1], own)


@pytest.mark.parametrize("kind", ["frame", "joint", "mirrored"])
def test_a_causal_lifter_reads_the_newest_the_answered_and_the_lag(kind: str) -> None:
    one, feature, other = lifter(kind), features(kind, 1), features(kind, 1, seed=1)
    now, later = torch.zeros(1), torch.full((1,), 0.2)
    plain, _ = one(feature, feature, now)
    for changed in ((other, feature, now), (feature, other, now), (feature, feature, later)):
        assert (one(*changed)[0] - plain).abs().max() > 1e-4


def test_a_bidirectional_lifter_reads_the_answered_frame_alone() -> None:
    one = lifter("bidirectional")
    feature, other = features("bidirectional", 1), features("bidirectional", 1, seed=1)
    plain, _ = one(feature, feature, torch.zeros(1))
    torch.testing.assert_close(one(other, feature, torch.ones(1))[0], plain)
    assert (one(feature, other, torch.zeros(1))[0] - plain).abs().max() > 1e-4


def test_with_joint_tokens_a_joint_is_read_off_its_own_token_and_the_root() -> None:
    one = lifter("joint")
    feature = features("joint", 1)
    changed = feature.clone()
    changed[:, 5] += 1
    pose, other = (one(given, given, torch.zeros(1))[0] for given in (feature, changed))
    touched = ((pose - other).abs().amax(-1) > 1e-7)[0]
    assert touched.tolist() == [joint == 5 for joint in range(17)]


def test_a_mirrored_lifter_is_the_mean_of_its_two_sides() -> None:
    mirrored, plain, mirror = lifter("mirrored"), lifter("frame"), Flip()
    plain.load_state_dict(mirrored.state_dict(), strict=False)
    newest, answered = features("mirrored", 3), features("mirrored", 3, seed=1)
    lag_s = torch.rand(3)
    pose, log_sigma = mirrored(newest, answered, lag_s)
    own, image = (
        plain(newest[..., side], answered[..., side], lag_s) for side in (slice(8), slice(8, 16))
    )
    torch.testing.assert_close(pose, (own[0] + mirror.joints(image[0])) / 2)
    torch.testing.assert_close(log_sigma, (own[1] + mirror.scalars(image[1])) / 2)


def test_sides_that_trade_places_give_the_mirrored_pose() -> None:
    mirrored, mirror = lifter("mirrored"), Flip()
    newest = features("mirrored", 3)
    traded = newest.roll(8, dims=-1)
    pose, _ = mirrored(newest, newest, torch.zeros(3))
    image, _ = mirrored(traded, traded, torch.zeros(3))
    torch.testing.assert_close(image, mirror.joints(pose))
