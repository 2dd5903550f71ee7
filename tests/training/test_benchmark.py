"""The benchmark command, and that its lookahead is the live one."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from langpose_rt.config import ModelConfig
from langpose_rt.model import checkpoint
from langpose_rt.model.langpose import seeded
from training.benchmark import CONSTANT, main
from training.data.mocap import read_mocap
from training.evaluation.benchmark_answers import answers
from training.evaluation.benchmark_clips import BenchmarkClip, draw_benchmark
from training.synthesis.batches import anchor_clips

TINY = ModelConfig(depth=1, width=16, heads=2, representation=16, embedding=4)
SINGLE = ModelConfig(depth=1, width=16, heads=2, representation=16, embedding=4, window=0)


@pytest.fixture
def clip(mocap_folder: Path) -> BenchmarkClip:
    return draw_benchmark(read_mocap(mocap_folder, "val", sources=["cmu"]))[0]


def test_lag_0_answers_every_frame_as_the_model_does(clip: BenchmarkClip) -> None:
    model = seeded(TINY, 0).eval()
    (found,) = answers(model, clip, [0.0])
    batch = anchor_clips(clip.footage)
    with torch.no_grad():
        pose, _ = model(*(torch.from_numpy(x) for x in (batch.rows, batch.extras, batch.time_ns)))
    np.testing.assert_array_equal(found.frames, np.arange(batch.time_ns.shape[1]))
    expected = pose[0].numpy() @ batch.rotation[0]
    np.testing.assert_allclose(found.pose_camera, expected, atol=1e-5)


def test_lookahead_waits_for_the_first_frame_that_is_late_enough(clip: BenchmarkClip) -> None:
    asked = []

    model = seeded(TINY, 0).eval()
    model.lifter.register_forward_hook(lambda _module, inputs, _output: asked.append(inputs[2]))
    (found,) = answers(model, clip, [0.13])
    time_s = clip.footage.time_ns[0] * 1e-9
    lag_s = asked[0].numpy()
    assert (lag_s >= 0.13 - 1e-6).all()
    longest_step_s = np.diff(time_s).max()
    assert (lag_s < 0.13 + longest_step_s).all()
    last = time_s[found.frames[-1]]
    assert time_s[-1] - last >= 0.13
    assert len(found.frames) < len(time_s)


def test_the_report_names_version_hash_sources_and_both_baselines(
    mocap_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = []
    for name, config in (("live", TINY), ("single", SINGLE)):
        paths.append(str(tmp_path / f"{name}.safetensors"))
        checkpoint.save(Path(paths[-1]), seeded(config, 0), {})
    assert main([*paths, "--mocap", str(mocap_folder), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["version"] == "langpose-bench-1"
    assert len(report["hash"]) == 64
    assert report["comparable"] is False
    assert set(report["results"]) == {*paths, CONSTANT}
    lags = {"lag 0", "lag 130 ms"}
    assert set(report["results"][paths[0]]) == lags | {f"{lag}, 2D kept" for lag in lags}
    assert set(report["results"][paths[1]]) == {"lag 0", "lag 0, 2D kept"}
    row = report["results"][paths[0]]["lag 0"]
    assert set(row) == {"cmu", "deepmimic", "bandai1", "macro"}
    assert row["macro"]["mpjpe_mm"] > row["macro"]["p_mpjpe_mm"] > 0


def test_the_table_says_when_it_is_not_the_published_benchmark(
    mocap_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--mocap", str(mocap_folder), "--macro-only"]) == 0
    printed = capsys.readouterr().out
    assert "not the published one" in printed
    assert "macro" in printed
    assert "cmu" not in printed


def test_a_missing_checkpoint_is_one_line(
    mocap_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main([str(tmp_path / "none.safetensors"), "--mocap", str(mocap_folder)])
    assert code == 2
    assert capsys.readouterr().err.count("\n") == 1
