"""The loop: it learns, and a run that was killed goes on as if it had not been."""

import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from langpose_rt.config import ModelConfig
from langpose_rt.errors import ConfigError
from langpose_rt.model import checkpoint
from training.data.mocap import Mocap
from training.synthesis.batches import DataConfig, batch_from_seed
from training.trainer.config import TrainConfig
from training.trainer.interrupts import StopRequest
from training.trainer.loader import BatchLoader, MakeBatch
from training.trainer.loop import (
    STATE_FILE,
    WEIGHTS_FILE,
    Progress,
    RunState,
    resume_run,
    share_of_peak_at,
    start_from,
    start_run,
    tensors_from_batch,
    train,
)

TINY = ModelConfig(depth=1, width=32, heads=2, representation=32, embedding=8, window=8)
CONFIG = TrainConfig(
    steps=12,
    log_every=4,
    save_every=5,
    validate_every=100,
    seed=3,
    data=DataConfig(clips=4, frames=16),
)


def makes(mocap: Mocap, config: TrainConfig) -> MakeBatch:
    return partial(batch_from_seed, mocap, config.data, config.seed)


def go(mocap: Mocap, out: Path, config: TrainConfig, state: RunState) -> list[Progress]:
    out.mkdir(exist_ok=True)
    loader = BatchLoader(makes(mocap, config), first=state.step, workers=0)
    return list(train(state, loader, config, out=out, card={"seed": config.seed}))


def test_a_run_learns(mocap: Mocap, tmp_path: Path) -> None:
    config = replace(CONFIG, steps=60, log_every=5, save_every=1000, learning_rate=3e-3)
    told = go(mocap, tmp_path, config, start_run(TINY, config))
    assert told[-1].values["position"] < 0.75 * told[0].values["position"]
    assert told[-1].share == 1
    assert all(math.isfinite(value) for item in told for value in item.values.values())


def test_a_killed_run_goes_on_bit_for_bit(mocap: Mocap, tmp_path: Path) -> None:
    whole = start_run(TINY, CONFIG)
    go(mocap, tmp_path / "whole", CONFIG, whole)

    killed = start_run(TINY, CONFIG)
    (tmp_path / "cut").mkdir()
    loader = BatchLoader(makes(mocap, CONFIG), workers=0)
    for item in train(killed, loader, CONFIG, out=tmp_path / "cut", card={}):
        if item.step == 8:
            break
    again = start_run(TINY, CONFIG)
    resume_run(again, tmp_path / "cut")
    assert again.step == 5
    go(mocap, tmp_path / "cut", CONFIG, again)

    assert again.step == whole.step == 12
    for one, other in (
        (whole.model, again.model),
        (whole.averaged, again.averaged),
    ):
        for name, value in one.state_dict().items():
            assert torch.equal(value, other.state_dict()[name]), name
    one_file = torch.load(tmp_path / "whole" / STATE_FILE, weights_only=True)
    other_file = torch.load(tmp_path / "cut" / STATE_FILE, weights_only=True)
    parts = zip(one_file["optimiser"].values(), other_file["optimiser"].values(), strict=True)
    for one, other in ((a["state"], b["state"]) for a, b in parts):
        assert one
        assert_same_moments(one, other)


def test_a_run_that_is_asked_to_stop_saves_the_step_it_is_at(mocap: Mocap, tmp_path: Path) -> None:
    state, stop = start_run(TINY, CONFIG), StopRequest()
    loader = BatchLoader(makes(mocap, CONFIG), workers=0)
    for item in train(state, loader, CONFIG, out=tmp_path, card={}, stop=stop):
        stop.asked = item.step >= 3
    again = start_run(TINY, CONFIG)
    resume_run(again, tmp_path)
    assert again.step == state.step < CONFIG.steps
    assert again.step % CONFIG.save_every, "no step that is saved anyhow"
    for name, value in state.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name


@pytest.mark.parametrize(("save_minutes", "saved"), [(1e-9, 4), (60.0, None), (0.0, None)])
def test_a_run_is_also_saved_by_the_clock(
    mocap: Mocap, tmp_path: Path, save_minutes: float, saved: int | None
) -> None:
    config = replace(CONFIG, log_every=5, save_every=1000, save_minutes=save_minutes)
    loader = BatchLoader(makes(mocap, config), workers=0)
    run = train(start_run(TINY, config), loader, config, out=tmp_path, card={})
    assert [next(run).step, next(run).step] == [1, 5]
    path = tmp_path / WEIGHTS_FILE
    assert (checkpoint.load(path)[1]["step"] if path.exists() else None) == saved


def assert_same_moments(one: dict[int, dict], other: dict[int, dict]) -> None:
    for key, moments in one.items():
        for name, value in moments.items():
            assert torch.equal(value, other[key][name])


def test_the_saved_weights_are_the_averaged_ones_with_their_card(
    mocap: Mocap, tmp_path: Path
) -> None:
    state = start_run(TINY, CONFIG)
    go(mocap, tmp_path, CONFIG, state)
    model, card = checkpoint.load(tmp_path / WEIGHTS_FILE)
    assert card == {"seed": 3, "step": 12}
    for name, value in state.averaged.state_dict().items():
        assert torch.equal(value, model.state_dict()[name])
    latest = state.model.state_dict()
    assert any(not torch.equal(value, latest[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(("steps", "told_at"), [(3, [1, 3]), (9, [1, 4, 8, 9])])
def test_the_first_and_the_last_step_are_told_too(
    mocap: Mocap, tmp_path: Path, steps: int, told_at: list[int]
) -> None:
    config = replace(CONFIG, steps=steps)
    told = go(mocap, tmp_path, config, start_run(TINY, config))
    assert [item.step for item in told] == told_at
    assert all(item.frames_per_s > 0 for item in told)


def test_validation_joins_the_log(mocap: Mocap, tmp_path: Path) -> None:
    config = replace(CONFIG, validate_every=6)
    loader = BatchLoader(makes(mocap, config), workers=0)
    told = list(
        train(
            start_run(TINY, config),
            loader,
            config,
            out=tmp_path,
            card={},
            validate=lambda model: {"val": float(model.training)},
        )
    )
    assert [item.step for item in told if "val" in item.values] == [6, 12]
    assert told[-1].values["val"] == 0


def test_a_run_by_the_clock_ends_when_its_minutes_are_used(mocap: Mocap, tmp_path: Path) -> None:
    config = replace(CONFIG, steps=0, minutes=1.0)
    state = start_run(TINY, config)
    state.used_s = 60.0
    go(mocap, tmp_path, config, state)
    assert state.step == 0


def test_a_gradient_that_is_not_finite_changes_nothing(mocap: Mocap, tmp_path: Path) -> None:
    state = start_run(TINY, CONFIG)
    with torch.no_grad():
        state.model.lifter.to_pose.bias[4] = float("inf")
    before = {name: value.clone() for name, value in state.model.state_dict().items()}
    go(mocap, tmp_path, replace(CONFIG, steps=2), state)
    for name, value in state.model.state_dict().items():
        assert torch.equal(value, before[name])


def test_the_learning_rate_rises_then_falls_as_a_cosine() -> None:
    config = replace(CONFIG, warm_up=0.1)
    rates = [share_of_peak_at(share, config) for share in (0.0, 0.05, 0.1, 0.55, 1.0)]
    assert rates == pytest.approx([0.01, 0.5, 1.0, 0.505, 0.01])


def test_another_models_state_is_refused(mocap: Mocap, tmp_path: Path) -> None:
    go(mocap, tmp_path, replace(CONFIG, steps=1), start_run(TINY, CONFIG))
    other = start_run(replace(TINY, window=4), CONFIG)
    with pytest.raises(ConfigError, match="another model config"):
        resume_run(other, tmp_path)


@pytest.mark.parametrize("kept", [0, 4, 1000, -10])
def test_a_torn_state_is_refused(mocap: Mocap, tmp_path: Path, kept: int) -> None:
    go(mocap, tmp_path, replace(CONFIG, steps=1), start_run(TINY, CONFIG))
    whole = (tmp_path / STATE_FILE).read_bytes()
    (tmp_path / STATE_FILE).write_bytes(whole[:kept])
    with pytest.raises(ConfigError, match="cannot resume"):
        resume_run(start_run(TINY, CONFIG), tmp_path)


def test_a_run_can_begin_with_the_weights_of_another(mocap: Mocap, tmp_path: Path) -> None:
    first = start_run(TINY, CONFIG)
    go(mocap, tmp_path, replace(CONFIG, steps=3), first)
    second = start_run(TINY, replace(CONFIG, seed=9))
    assert start_from(second, tmp_path / WEIGHTS_FILE) == []
    assert second.step == 0
    for name, value in first.averaged.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name])
        assert torch.equal(value, second.averaged.state_dict()[name])
    with pytest.raises(ConfigError, match="another model config"):
        start_from(start_run(replace(TINY, window=4), CONFIG), tmp_path / WEIGHTS_FILE)


def test_training_is_without_the_mirror_image_and_its_weights_answer_with_it(
    mocap: Mocap, tmp_path: Path
) -> None:
    plain, mirrored = (
        start_run(replace(TINY, mirrored=mirrored), CONFIG) for mirrored in (False, True)
    )
    go(mocap, tmp_path / "plain", replace(CONFIG, steps=2), plain)
    go(mocap, tmp_path / "mirrored", replace(CONFIG, steps=2), mirrored)
    own, _ = checkpoint.load(tmp_path / "plain" / WEIGHTS_FILE)
    both, _ = checkpoint.load(tmp_path / "mirrored" / WEIGHTS_FILE)
    assert (own.config.mirrored, both.config.mirrored) == (False, True)
    for name, value in own.state_dict().items():
        assert torch.equal(value, both.state_dict()[name])
    start_from(start_run(TINY, CONFIG), tmp_path / "mirrored" / WEIGHTS_FILE)


def test_weights_from_before_bone_input_answer_as_they_did(mocap: Mocap, tmp_path: Path) -> None:
    first = start_run(TINY, CONFIG)
    go(mocap, tmp_path, replace(CONFIG, steps=3), first)
    second = start_run(replace(TINY, name="x-nc", bone_input=True), replace(CONFIG, seed=9))
    start_from(second, tmp_path / WEIGHTS_FILE)
    batch = tensors_from_batch(batch_from_seed(mocap, CONFIG.data, 0, 0), torch.device("cpu"))
    inputs = (batch.rows, batch.extras, batch.time_ns)
    with torch.no_grad():
        assert torch.allclose(first.averaged(*inputs)[0], second.model(*inputs)[0], atol=1e-6)
    go(mocap, tmp_path, replace(CONFIG, steps=1), second)
    with pytest.raises(ConfigError, match="--bone-input true"):
        start_from(start_run(TINY, CONFIG), tmp_path / WEIGHTS_FILE)
