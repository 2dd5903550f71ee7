"""Real clips: the network alone answers as the whole pipeline does without its filter."""

import json
from pathlib import Path

import pytest

from langpose_rt.config import ModelConfig
from langpose_rt.errors import ConfigError
from langpose_rt.formats.clip import DEMO_CLIP
from langpose_rt.formats.clip_npz import clip_to_npz
from langpose_rt.formats.readers import read_clip
from langpose_rt.model.checkpoint import load
from langpose_rt.model.langpose import seeded
from langpose_rt.runtime.backend import DEFAULT_MODEL
from tests.commands import part_of_demo_clip, run_here
from training.evaluation.real_clips import lift_clip, real_curves

WEIGHTS = DEFAULT_MODEL / "model.safetensors"


def test_scores_are_those_of_the_pipeline_without_its_filter() -> None:
    ((_, ((name, scores),)),) = real_curves(load(WEIGHTS)[0], [DEMO_CLIP])
    done = run_here("evaluate", DEMO_CLIP, "--smoothing", "off", "--ray-refinement", "0", "--json")
    (expected,) = json.loads(done.out).values()
    assert name == str(DEMO_CLIP)
    for figure in ("mpjpe_mm", "p_mpjpe_mm", "jitter_mm"):
        assert scores[figure] == pytest.approx(expected[figure], rel=0.02), figure


def test_a_taller_person_has_longer_bones() -> None:
    model = load(WEIGHTS)[0]
    usual, tall = (part_of_demo_clip(5, person_height_m=height) for height in (1.7, 2.04))
    assert lift_clip(model, tall) == pytest.approx(1.2 * lift_clip(model, usual), abs=1e-5)


def test_a_clip_without_truth_is_named(tmp_path: Path) -> None:
    path = tmp_path / "plain.npz"
    clip_to_npz(path, part_of_demo_clip(5, pose3d=None, valid=None, valid_joints=None, joints=None))
    assert read_clip(path).pose3d is None
    with pytest.raises(ConfigError, match=r'plain.npz: found no "pose3d"'):
        list(real_curves(load(WEIGHTS)[0], [path]))


def test_models_that_read_the_screen_are_refused_and_no_clips_are_no_curve() -> None:
    model = seeded(ModelConfig(input="screen", width=16, heads=2, depth=1), 0)
    assert list(real_curves(model, [])) == []
    with pytest.raises(ConfigError, match="anchored input"):
        list(real_curves(model, [DEMO_CLIP]))
