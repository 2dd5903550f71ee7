"""The native step against torch and ONNX Runtime, in company, and what it refuses."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from langpose_rt.config import ModelConfig
from langpose_rt.errors import ConfigError, ModelError
from langpose_rt.manifest import Manifest, read_manifest
from langpose_rt.model.langpose import LangPose, seeded
from langpose_rt.runtime import native
from langpose_rt.runtime.backend import DEFAULT_MODEL, Backend
from langpose_rt.runtime.native import (
    WEIGHTS_NAME,
    NativeBackend,
    instruction_sets,
    open_native,
    why_not_native,
)
from langpose_rt.runtime.parity import ParityClip, demo_parity_clip, lift_clip
from langpose_rt.runtime.registry import open_backend
from langpose_rt.runtime.ring_backend import RingBackend
from langpose_rt.runtime.torch import TorchNetwork
from tests.runtime.conftest import SMALL, exported, random_clip
from tests.runtime.test_ring_backend import run_together
from tests.window.walk import assert_same_state

SETS = instruction_sets()
built = pytest.mark.skipif(not SETS, reason="the C++ extension was not built")
every_set = pytest.mark.parametrize("instruction_set", SETS)

WIDE = ModelConfig(
    name="wide", width=96, heads=3, depth=3, window=12, mlp_ratio=3, max_age_s=0.3,
    representation=40, embedding=24, bone_input=True, mirrored=True,
)  # fmt: skip
CONFIGS = {
    "plain": SMALL,
    "mirrored": replace(SMALL, mirrored=True),
    "bones": replace(SMALL, bone_input=True),
    "mirrored, bones, odd sizes": WIDE,
    "one head, one cell": replace(SMALL, heads=1, width=10, window=1, representation=5),
    "lengths": replace(SMALL, length_input=True),
    "mirrored, bones, lengths": replace(WIDE, length_input=True),
    "screen": replace(SMALL, input="screen", mlp_ratio=1),
}


def manifest_of(config: ModelConfig) -> Manifest:
    return Manifest(
        version=1, name=config.name, made_by="test", command="test", date="2026-01-01",
        config=config.to_dict(), card={}, files={WEIGHTS_NAME: ""}, products={}, opset=20,
    )  # fmt: skip


def loud(config: ModelConfig, seed: int, *, half: bool) -> LangPose:
    """Random weights, large enough that every part of the model shows in the pose."""
    model = seeded(config, seed).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            louder = parameter * 1.5 if parameter.ndim == 2 else parameter
            parameter.copy_(louder.half().float() if half else louder)
    return model


def weights_of(model: LangPose, *, half: bool) -> native.Weights:
    dtype = torch.float16 if half else torch.float32
    return {name: value.to(dtype).numpy() for name, value in model.state_dict().items()}


def backends_of(
    config: ModelConfig, instruction_set: str, *, half: bool = True, slots: int = 4, seed: int = 0
) -> tuple[NativeBackend, RingBackend]:
    """The native step and torch, with the same weights."""
    model = loud(config, seed, half=half)
    manifest = manifest_of(config)
    return (
        NativeBackend(
            manifest, weights_of(model, half=half), slots=slots, instruction_set=instruction_set
        ),
        RingBackend(TorchNetwork(model), manifest, slots=slots),
    )


def assert_equal_clips(
    mine: Backend, theirs: Backend, clip: ParityClip, frames_back: int = 0, within: float = 1e-4
) -> None:
    for got, expected in zip(
        lift_clip(mine, clip, frames_back), lift_clip(theirs, clip, frames_back), strict=True
    ):
        np.testing.assert_allclose(got, expected, rtol=0, atol=within)


@built
@every_set
@pytest.mark.parametrize("frames_back", [0, 3])
def test_the_default_weights_give_the_poses_of_onnx_runtime(
    instruction_set: str, frames_back: int
) -> None:
    manifest = read_manifest(DEFAULT_MODEL)
    mine = open_native(
        DEFAULT_MODEL, manifest, slots=1, precision="fp32", instruction_set=instruction_set
    )
    clip = demo_parity_clip()
    assert_equal_clips(mine, open_backend(None, "onnx"), clip, frames_back, within=3e-5)


@built
@pytest.mark.parametrize("half", [True, False], ids=["half", "float32"])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_step_of_any_shape_is_that_of_the_model(config: ModelConfig, half: bool) -> None:
    clip, frames_back = random_clip(24), min(3, config.window - 1)
    _, theirs = backends_of(config, SETS[0], half=half)
    expected = lift_clip(theirs, clip, frames_back)
    for instruction_set in SETS:
        mine, _ = backends_of(config, instruction_set, half=half)
        for got, want in zip(lift_clip(mine, clip, frames_back), expected, strict=True):
            np.testing.assert_allclose(got, want, rtol=0, atol=1e-4, err_msg=instruction_set)


def config_of(heads: int, half_head: int, **sizes: object) -> ModelConfig:
    return ModelConfig(width=2 * half_head * heads, heads=heads, **sizes)


ANY_CONFIG = st.builds(
    config_of,
    heads=st.integers(1, 5),
    half_head=st.integers(1, 20),
    depth=st.integers(1, 3),
    window=st.integers(1, 6),
    mlp_ratio=st.integers(1, 4),
    representation=st.integers(1, 40),
    embedding=st.integers(1, 40),
    mirrored=st.booleans(),
    bone_input=st.booleans(),
    length_input=st.booleans(),
    max_age_s=st.floats(0.0, 1.0),
)


@built
@settings(max_examples=12)
@given(ANY_CONFIG, st.integers(1, 5), st.integers(0, 100))
def test_any_config_and_any_crowd_give_what_torch_gives(
    config: ModelConfig, persons: int, seed: int
) -> None:
    mine, theirs = backends_of(config, SETS[seed % len(SETS)], slots=5, seed=seed)
    random = np.random.default_rng(seed)
    slots = random.permutation(5)[:persons].astype(np.int32)
    clips = [random_clip(8, seed=seed + one) for one in range(persons)]
    channels = config.extra_channels
    for frame in range(8):
        rows, extras = (
            np.stack([part[frame] for part in parts])
            for parts in zip(
                *((clip.rows, clip.extras[:, :channels]) for clip in clips), strict=True
            )
        )
        time_ns = np.array([clip.time_ns[frame] for clip in clips])
        embeddings = [one.encode(rows, extras, slots, time_ns) for one in (mine, theirs)]
        np.testing.assert_allclose(*embeddings, rtol=0, atol=1e-4)
        back = random.integers(0, min(frame + 1, config.window), persons).astype(np.int32)
        lag_s = random.uniform(0, 1, persons).astype(np.float32)
        (pose, sigma), (pose_then, sigma_then) = (
            one.lift(slots, back, lag_s) for one in (mine, theirs)
        )
        np.testing.assert_allclose(pose, pose_then, rtol=0, atol=1e-4)
        np.testing.assert_allclose(sigma, sigma_then, rtol=1e-4)
    for name in ("time_ns", "head", "fill"):
        np.testing.assert_array_equal(getattr(mine.window, name), getattr(theirs.window, name))
    for name in ("keys", "values", "features"):
        ours, torchs = getattr(mine.window, name), getattr(theirs.window, name)
        np.testing.assert_allclose(ours, torchs, rtol=0, atol=1e-3)


@built
def test_every_instruction_set_gives_the_same_pose() -> None:
    poses = []
    for instruction_set in SETS:
        backend, _ = backends_of(WIDE, instruction_set)
        poses.append(lift_clip(backend, random_clip(30))[0])
    for pose in poses[1:]:
        np.testing.assert_allclose(pose, poses[0], rtol=0, atol=1e-5)


@built
@every_set
@pytest.mark.parametrize("config", [WIDE, SMALL], ids=["mirrored", "one side"])
def test_a_pose_has_the_same_bits_alone_and_in_any_company(
    config: ModelConfig, instruction_set: str
) -> None:
    most = 70
    backend, _ = backends_of(config, instruction_set, slots=most)
    clips = [random_clip(14, seed=seed) for seed in range(most)]
    clips[3].rows[:] *= 1e4
    ends = [3, 14, 5]  # of three people whose poses are compared; the others are company
    alone = [
        run_together(backend, [clip], [0], [0], [end])[0]
        for clip, end in zip(clips[:3], ends, strict=True)
    ]
    for count in (3, 4, 5, 7, 13, 33, 70):
        slots = np.random.default_rng(count).permutation(most)[:count].tolist()
        backend.reset(np.arange(most, dtype=np.int32))
        together = run_together(
            backend, clips[:count], [0] * count, slots, ends + [4] * (count - 3)
        )
        for pose, expected in zip(together[:3], alone, strict=True):
            np.testing.assert_array_equal(pose, expected, err_msg=f"{count} people")


@built
def test_persons_who_join_and_leave_get_the_poses_they_would_get_alone() -> None:
    backend, _ = backends_of(WIDE, SETS[0])
    clips = [random_clip(30, seed=seed) for seed in range(4)]
    together = run_together(backend, clips, [0, 5, 9, 31], [2, 0, 3, 2], [30, 35, 39, 61])
    for clip, pose in zip(clips, together, strict=True):
        backend.reset(np.arange(4, dtype=np.int32))
        np.testing.assert_array_equal(pose, run_together(backend, [clip], [0], [1], [30])[0])


@built
def test_a_reset_slot_equals_a_fresh_one() -> None:
    backend, _ = backends_of(WIDE, SETS[0])
    run_together(backend, [random_clip(20)], [0], [1], [20])
    assert backend.window.keys.any()
    backend.reset(np.array([1], np.int32))
    fresh, _ = backends_of(WIDE, SETS[0])
    assert_same_state(backend.window, fresh.window)


def inputs(count: int, slots: list[int]) -> tuple[np.ndarray, ...]:
    clip = random_clip(count)
    return clip.rows, clip.extras[:, : WIDE.extra_channels], np.array(slots, np.int32), clip.time_ns


@built
def test_nobody_is_no_work() -> None:
    backend, _ = backends_of(WIDE, SETS[0])
    nobody = np.zeros(0, np.int32)
    rows, extras, _, time_ns = inputs(1, [0])
    embeddings = backend.encode(rows[:0], extras[:0], nobody, time_ns[:0])
    assert embeddings.shape == (0, WIDE.embedding)
    poses, sigmas = backend.lift(nobody, nobody, np.zeros(0, np.float32))
    assert (poses.shape, sigmas.shape) == ((0, 17, 3), (0, 17))


@built
def test_wrong_slots_are_refused_before_anything_is_written() -> None:
    backend, _ = backends_of(WIDE, SETS[0])
    with pytest.raises(IndexError, match="slot 4 is outside the window of 4 slots"):
        backend.encode(*inputs(2, [0, 4]))
    with pytest.raises(ValueError, match="a slot is given twice"):
        backend.encode(*inputs(2, [1, 1]))
    assert not backend.window.fill.any()
    backend.encode(*inputs(1, [0]))
    with pytest.raises(IndexError, match="slot 0 holds 1 frames, the frame 1 back"):
        backend.lift(np.zeros(1, np.int32), np.ones(1, np.int32), np.zeros(1, np.float32))


def test_a_model_with_a_token_for_every_joint_is_one_sentence() -> None:
    joints = ModelConfig(name="joints", tokens="joint", streams=2, width=16, heads=2)
    with pytest.raises(
        ConfigError, match=r"'joints' has a token for every joint.*use '--backend onnx'"
    ):
        open_native(Path("anywhere"), manifest_of(joints), slots=1, precision="fp32")


def test_without_the_extension_the_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "native", None)
    assert instruction_sets() == ()
    assert why_not_native(manifest_of(SMALL)) == "the C++ extension was not built"
    with pytest.raises(ConfigError, match="backend native: the C\\+\\+ extension was not built"):
        open_native(Path("anywhere"), manifest_of(SMALL), slots=1, precision="fp32")


def test_half_precision_is_for_engines() -> None:
    with pytest.raises(ConfigError, match="native backend runs fp32, not fp16; use '--backend o"):
        open_backend(None, "native", precision="fp16")


@built
@pytest.mark.parametrize("change", ["causal", "window"])
def test_a_model_without_a_ring_is_refused(change: str) -> None:
    config = replace(SMALL, **{change: 0 if change == "window" else False})
    with pytest.raises(ConfigError, match="keeps no ring"):
        NativeBackend(manifest_of(config), {}, slots=1, instruction_set=SETS[0])


@built
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda w: w.pop("encoder.embed.bias"), "encoder.embed.bias is missing"),
        (lambda w: w.pop("lifter.to_pose.weight"), "lifter.to_pose.weight"),
        (
            lambda w: w.update({"encoder.norm.weight": np.zeros(3, np.float16)}),
            r"encoder.norm.weight has another shape than \[64\]",
        ),
    ],
    ids=["missing", "missing in the lifter", "shape"],
)
def test_weights_that_do_not_fit_the_config_are_named(change: object, reason: str) -> None:
    assert callable(change)
    weights = weights_of(seeded(SMALL, 0), half=True)
    change(weights)
    with pytest.raises(ModelError, match=f"does not fit its config: {reason}"):
        NativeBackend(manifest_of(SMALL), weights, slots=1, instruction_set=SETS[0])


@built
@pytest.mark.parametrize("length_input", [False, True])
def test_an_exported_folder_opens_and_a_file_that_is_no_checkpoint_does_not(
    tmp_path: Path, length_input: bool
) -> None:
    folder = exported(replace(SMALL, mirrored=True, length_input=length_input), tmp_path)
    clip = random_clip(20)
    backend = open_backend(folder, "native")
    assert isinstance(backend, Backend)
    assert_equal_clips(backend, open_backend(folder, "onnx"), clip)
    (folder / WEIGHTS_NAME).write_bytes(b"no safetensors")
    manifest = manifest_of(SMALL)
    with pytest.raises(ModelError, match=r"model.safetensors cannot be read \("):
        open_native(folder, manifest, slots=1, precision="fp32")


def test_weights_are_halved_only_where_that_loses_nothing() -> None:
    exact, inexact = np.array([[1.5, -2.0]], np.float32), np.array([[0.1, 1e6]], np.float32)
    assert native._half_if_exact(exact).dtype == np.float16
    assert native._half_if_exact(inexact).dtype == np.float32
