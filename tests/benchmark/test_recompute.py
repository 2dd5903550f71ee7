"""Recomputing the window: the timed graph is the causal encoder. No time is asserted."""

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch

from langpose_rt.benchmark import recompute
from langpose_rt.benchmark.macs import step_macs, window_macs
from langpose_rt.errors import ModelError
from langpose_rt.manifest import read_manifest
from langpose_rt.model.attention import Rotary
from langpose_rt.model.checkpoint import load
from langpose_rt.runtime.torch import CHECKPOINT_NAME
from tests.commands import SMALL, exported_checkpoint

Timed = tuple[ort.InferenceSession, dict[str, np.ndarray]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported_checkpoint(tmp_path_factory.getbasetemp())[2]


@pytest.fixture(scope="module")
def timed(folder: Path) -> Timed:
    """The window as it is timed."""
    model, _ = load(folder / CHECKPOINT_NAME)
    return recompute._window_session(model)


def test_both_are_timed_over_the_whole_ring(
    folder: Path, timed: Timed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recompute, "_window_session", lambda _: timed)
    ratio = recompute.recompute_ratio(folder, read_manifest(folder), repeats=3)
    assert ratio.frames == SMALL.window
    assert ratio.time_ratio == pytest.approx(ratio.window_ms / ratio.step_ms)
    assert ratio.mac_ratio == window_macs(SMALL, SMALL.window) / step_macs(SMALL)


def test_the_timed_graph_is_the_causal_encoder_for_one_person(folder: Path, timed: Timed) -> None:
    model, _ = load(folder / CHECKPOINT_NAME)
    session, feed = timed[0], dict(timed[1])
    assert {value.shape[0] for value in feed.values()} == {1}
    later = np.triu(np.ones((SMALL.window, SMALL.window), bool), 1)
    np.testing.assert_array_equal(feed["bias"][0] < 0, later)
    random = np.random.default_rng(0)
    feed["rows"] = random.standard_normal(feed["rows"].shape).astype(np.float32)
    given = {name: torch.from_numpy(value) for name, value in feed.items()}
    with torch.inference_mode():
        expected = model.encoder.over_clip(
            given["rows"], given["extras"], Rotary(given["cos"], given["sin"]), given["bias"]
        )[:, -1].flatten(1)
    np.testing.assert_allclose(session.run(None, feed)[0], expected.numpy(), atol=1e-4)


def test_a_folder_without_its_checkpoint_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no checkpoint at"):
        recompute.recompute_ratio(tmp_path, read_manifest(folder))
