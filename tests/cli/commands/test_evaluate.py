"""`evaluate`: the error of the very poses that `lift` gives, and what a clip must have."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from langpose_rt.cli.commands.evaluate import first_person
from langpose_rt.formats.clip import FUSION_DEMO
from langpose_rt.formats.clip_npz import clip_to_npz
from langpose_rt.formats.lifted_npz import lifted_from_npz
from tests.commands import part_of_demo_clip, run_here


@pytest.mark.parametrize("options", [(), ("--lookahead-ms", "60", "--smoothing", "off")])
def test_a_clip_whose_truth_is_what_lift_gives_has_no_error(
    model: Path, clip_file: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    words = ("--model", model, *options)
    assert run_here("lift", clip_file, "-o", tmp_path / "out.npz", *words).code == 0
    truth = lifted_from_npz(tmp_path / "out.npz").pose[:, 0]
    clip = part_of_demo_clip(20, pose3d=truth, valid=None, valid_joints=None, joints=None)
    clip_to_npz(tmp_path / "perfect.npz", clip)
    done = run_here("evaluate", tmp_path / "perfect.npz", "--json", *words)
    assert (done.code, done.err) == (0, "")
    (scores,) = json.loads(done.out).values()
    assert scores["frames"] == 20
    for name in ("mpjpe_mm", "p_mpjpe_mm", "n_mpjpe_mm", "velocity_error_mm_s"):
        assert scores[name] == pytest.approx(0, abs=0.01), name
    assert scores["constant_mpjpe_mm"] > 1


def test_a_shifted_truth_shows_as_exactly_that_error(
    model: Path, clip_file: Path, tmp_path: Path
) -> None:
    run_here("lift", clip_file, "-o", tmp_path / "out.npz", "--model", model)
    truth = lifted_from_npz(tmp_path / "out.npz").pose[:, 0].astype(np.float64)
    truth[:, 16, 0] += 0.17  # one joint of 17 is 170 mm off
    clip = part_of_demo_clip(20, pose3d=truth, valid=None, valid_joints=None, joints=None)
    clip_to_npz(tmp_path / "off.npz", clip)
    done = run_here("evaluate", tmp_path / "off.npz", "--json", "--model", model)
    (scores,) = json.loads(done.out).values()
    assert scores["mpjpe_mm"] == pytest.approx(10.0, abs=0.01)


def test_the_table_names_every_clip(model: Path, clip_file: Path) -> None:
    done = run_here("evaluate", clip_file, "--model", model)
    assert done.out.startswith(f"{clip_file}: 20 frames\n  MPJPE ")
    assert "P-MPJPE, never moving" in done.out
    assert "mm    MPJPE after the best rotation, scale and shift\n" in done.out


def test_figures_that_one_frame_cannot_have_are_null_in_json(model: Path, tmp_path: Path) -> None:
    clip_to_npz(tmp_path / "one.npz", part_of_demo_clip(1))
    done = run_here("evaluate", tmp_path / "one.npz", "--json", "--model", model)
    assert done.code == 0
    (scores,) = json.loads(done.out, parse_constant=pytest.fail).values()
    assert scores["velocity_error_mm_s"] is None
    assert scores["mpjpe_mm"] > 0


def test_every_clip_is_checked_before_any_is_lifted(clip_file: Path, tmp_path: Path) -> None:
    clip = part_of_demo_clip(3)
    clip_to_npz(tmp_path / "bare.npz", replace(clip, pose3d=None, valid=None, valid_joints=None))
    clip_to_npz(tmp_path / "empty.npz", replace(clip, keypoints=np.zeros_like(clip.keypoints)))
    for name, sentence in {
        "bare.npz": 'found no "pose3d"; expected (F,17,3) metres in camera axes',
        "empty.npz": "column 0 of the keypoints has no person",
        "missing.npz": "does not exist",
    }.items():
        # a model that does not exist would be the complaint, were it opened first
        done = run_here("evaluate", clip_file, tmp_path / name, "--model", "/nowhere")
        assert done.code == 2
        assert f"{tmp_path / name}" in done.sentence
        assert sentence in done.sentence


def test_nothing_to_compare_names_the_clip(model: Path, tmp_path: Path) -> None:
    clip = part_of_demo_clip(3, valid=np.zeros(3, bool))
    clip_to_npz(tmp_path / "invalid.npz", clip)
    done = run_here("evaluate", tmp_path / "invalid.npz", "--model", model)
    assert done.code == 2
    assert "invalid.npz: no frame has both a lifted pose and valid 3D" in done.sentence


def test_only_the_person_of_column_0_is_lifted() -> None:
    clip = part_of_demo_clip(3)
    crowd = replace(
        clip,
        keypoints=np.repeat(clip.keypoints, 3, 1),
        ids=np.tile([5, -1, 2], (3, 1)),
        bones_m=np.full((3, 16), 0.25),
    )
    alone = first_person(crowd)
    assert alone.keypoints.shape[1] == 1
    assert alone.ids.tolist() == [[0]] * 3
    assert alone.bones_m is not None
    assert alone.bones_m.shape == (1, 16)


@pytest.mark.parametrize(
    ("scale", "sentence"),
    [(1000.0, "it looks like millimetres; expected metres"), (np.nan, '"pose3d" holds no number'),
     (0.0, 'all joints of "pose3d" are in one place')],
)  # fmt: skip
def test_truth_that_cannot_be_is_one_sentence(
    model: Path, tmp_path: Path, scale: float, sentence: str
) -> None:
    clip = part_of_demo_clip(9)
    assert clip.pose3d is not None
    clip_to_npz(tmp_path / "clip.npz", replace(clip, pose3d=clip.pose3d * scale))
    done = run_here("evaluate", tmp_path / "clip.npz", "--model", model)
    assert done.code == 2
    assert sentence in done.sentence


def test_clips_of_several_cameras_are_fused_and_scored_in_world_axes(tmp_path: Path) -> None:
    files = []
    for name in ("cam_01", "cam_03"):
        with np.load(FUSION_DEMO / f"{name}.npz") as arrays:
            frames = len(arrays["t_ns"])
            short = {
                key: array[:10] if array.ndim and len(array) == frames else array
                for key, array in arrays.items()
            }
        files.append(tmp_path / f"{name}.npz")
        np.savez(files[-1], **short)
    words = ("--cameras", FUSION_DEMO / "calib.toml", "--fuse", *files)
    done = run_here("evaluate", *words, "--json")
    assert done.code == 0, done.err
    scores = json.loads(done.out)
    assert (scores["people"], scores["ids"]) == (1, 1)
    assert scores["found"] > 0.8
    assert scores["median_mm"] < 80
    (note,) = scores["notes"]
    assert note.startswith("cam_01: 8% of the keypoints are outside the image")
    shown = run_here("evaluate", *words).out
    assert shown.count("note: ") == 1
    assert "1 person by 2 cameras" in shown
    assert "MPJPE, absolute" in shown
