"""`lift`: the file it writes, and errors for invalid ones."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from langpose_rt.formats.clip_npz import clip_to_npz
from langpose_rt.formats.lifted_npz import lifted_from_npz
from tests.commands import part_of_demo_clip, python, run_here


def test_the_file_has_the_shapes_of_the_clip(model: Path, clip_file: Path, tmp_path: Path) -> None:
    done = run_here("lift", clip_file, "-o", tmp_path / "out.npz", "--model", model, "--json")
    assert (done.code, done.err) == (0, "")
    said = json.loads(done.out)
    assert (said["frames"], said["persons"], said["poses"]) == (20, 1, 20)
    with np.load(tmp_path / "out.npz") as file:
        shapes = {name: file[name].shape for name in file}
        assert np.isfinite(file["pose"]).all()
        np.testing.assert_array_equal(file["pose"][:, :, 0], 0)
    assert shapes == {
        "pose": (20, 1, 17, 3), "root": (20, 1, 3), "sigma_m": (20, 1, 17), "ids": (20, 1),
        "t_ns": (20,), "gravity": (3,), "level_src": (), "frame": (),
    }  # fmt: skip


def test_who_is_not_there_is_nan_and_stays_in_the_column(model: Path, tmp_path: Path) -> None:
    clip = part_of_demo_clip(20)
    two = np.concatenate([clip.keypoints, clip.keypoints + np.array([25, 0, 0])], 1).astype(
        np.float32
    )
    two[:6, 0] = 0  # the person of column 0 comes later than that of column 1
    np.savez(tmp_path / "two.npz", kp2d=two, format=clip.skeleton.name, size=clip.size, fps=60.0)
    out = tmp_path / "out.npz"
    assert run_here("lift", tmp_path / "two.npz", "-o", out, "--model", model).code == 0
    lifted = lifted_from_npz(out)
    assert lifted.ids.tolist() == [[-1, 1]] * 6 + [[0, 1]] * 14
    assert np.isnan(lifted.pose[:6, 0]).all()
    assert np.isnan(lifted.root[:6, 0]).all()
    assert np.isnan(lifted.sigma_m[:6, 0]).all()
    assert np.isfinite(lifted.pose[:, 1]).all()


@pytest.mark.parametrize("frames", [1, 20])
def test_a_clip_without_anybody_gives_nobody(model: Path, tmp_path: Path, frames: int) -> None:
    clip = part_of_demo_clip(frames)
    nothing = np.full_like(clip.keypoints, np.nan)
    np.savez(tmp_path / "nan.npz", kp2d=nothing, format=clip.skeleton.name, size=clip.size, fps=60)
    done = run_here("lift", tmp_path / "nan.npz", "-o", tmp_path / "out.npz", "--model", model)
    assert done.code == 0
    assert "no person was seen" in done.out
    lifted = lifted_from_npz(tmp_path / "out.npz")
    assert lifted.pose.shape == (frames, 1, 17, 3)
    assert np.isnan(lifted.pose).all()
    assert (lifted.ids == -1).all()


def test_openpose_json_becomes_columns_of_tracked_people(model: Path, tmp_path: Path) -> None:
    clip = part_of_demo_clip(5)
    folder = tmp_path / "json"
    folder.mkdir()
    for index, frame in enumerate(clip.keypoints):
        people = [{"pose_keypoints_2d": person.ravel().tolist()} for person in frame]
        (folder / f"f_{index:04}.json").write_text(json.dumps({"people": people}))
    size = f"{clip.size[0]}x{clip.size[1]}"
    words = ("--size", size, "--fps", 60, "--format", clip.skeleton.name, "--model", model)
    assert run_here("lift", folder, "-o", tmp_path / "out.npz", *words).code == 0
    lifted = lifted_from_npz(tmp_path / "out.npz")
    assert lifted.ids.tolist() == [[0]] * 5


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--size", "axb"), "--size is 'axb'; expected WIDTHxHEIGHT such as 1920x1080"),
        (("--size", "1920"), "expected WIDTHxHEIGHT"),
        (("--format", "zzz"), 'keypoint format "zzz" is not known; use one of'),
        (("--fps", "nan"), "found nan frames per second; expected 1 to 1000"),
        (("--lookahead-ms", "-1"), "lookahead_ms is -1; expected 0 to 2000"),
        (("--smoothing", "much"), "unknown smoothing 'much'; expected one of off, low, high"),
        (("--fov", "500"), "field of view is 500.0 degrees; expected"),
        (("--backend", "abacus"), "unknown backend 'abacus'; expected one of"),
        (("--precision", "int8"), "unknown precision 'int8'; expected fp32, or fp16 for"),
        (("--model", "/nowhere"), "no model at /nowhere"),
        (("--out", "/nowhere/x.npz"), "there is no folder /nowhere for the poses"),
        (("--out", "."), ". is a folder; give the name of the poses with --out"),
    ],
)
def test_a_wrong_option_is_one_sentence(
    model: Path, clip_file: Path, tmp_path: Path, words: tuple[str, ...], sentence: str
) -> None:
    done = run_here("lift", clip_file, "--model", model, "-o", tmp_path / "out.npz", *words)
    assert done.code == 2
    assert sentence in done.sentence
    assert not (tmp_path / "out.npz").exists()


def test_a_wrong_file_is_one_sentence(clip_file: Path, tmp_path: Path) -> None:
    whole = clip_file.read_bytes()
    (tmp_path / "damaged.npz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.npz").write_text("hello")
    clip = part_of_demo_clip(1)
    said = {"format": clip.skeleton.name, "size": clip.size, "fps": 60}
    np.savez(tmp_path / "empty.npz", kp2d=np.zeros((0, 25, 3)), **said)
    np.savez(tmp_path / "nobody.npz", kp2d=np.zeros((4, 0, 25, 3)), **said)
    np.savez(tmp_path / "huge_id.npz", kp2d=clip.keypoints, ids=[[2**60]], **said)
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "walk_000000000000_keypoints.json").write_text('{"people": []}')
    for name, sentence in {
        "missing.npz": "does not exist",
        "damaged.npz": "is damaged or no npz file",
        "text.npz": "is damaged or no npz file",
        "empty.npz": "found 0 frames of 1 persons; expected at least one of each",
        "nobody.npz": "found 4 frames of 0 persons; expected at least one of each",
        "huge_id.npz": "ids must be -1 or from 0 to 2^53 - 1",
        "": "has no .json files",
        "frames": "OpenPose JSON has no image size and no frame rate; say them with --size",
    }.items():
        done = run_here("lift", tmp_path / name, "-o", tmp_path / "out.npz")
        assert done.code == 2, name
        assert sentence in done.sentence


def test_lift_needs_neither_torch_nor_onnx(model: Path, clip_file: Path, tmp_path: Path) -> None:
    words = ["lift", str(clip_file), "-o", str(tmp_path / "out.npz"), "--model", str(model)]
    done = python(f"{NO_TORCH}\nfrom langpose_rt.cli.main import main\nsys.exit(main({words}))")
    assert done.code == 0, done.err


def test_a_damaged_model_is_one_sentence(model: Path, clip_file: Path, tmp_path: Path) -> None:
    for file in model.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    lifter = tmp_path / "lifter.onnx"
    lifter.write_bytes(lifter.read_bytes()[:-50])
    done = run_here("lift", clip_file, "-o", tmp_path / "out.npz", "--model", tmp_path)
    assert done.code == 2
    assert "is damaged: its hash is" in done.sentence


def test_what_lift_writes_can_be_read_by_anyone(model: Path, tmp_path: Path) -> None:
    clip_to_npz(tmp_path / "one.npz", part_of_demo_clip(1))
    assert run_here("lift", tmp_path / "one.npz", "-o", tmp_path / "o", "--model", model).code == 0
    with np.load(tmp_path / "o", allow_pickle=False) as file:
        assert file["pose"].shape == (1, 1, 17, 3)


NO_TORCH = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "onnx", "onnxscript", "transformers"}:
            raise AssertionError(f"{name} was imported")

sys.meta_path.insert(0, Blocker())
"""


def test_a_clip_that_cannot_be_true_is_one_sentence(model: Path, tmp_path: Path) -> None:
    clip = part_of_demo_clip(20)
    for unit, ns in (("microseconds", 1_000), ("milliseconds", 1_000_000)):
        clip_to_npz(tmp_path / f"{unit}.npz", replace(clip, t_ns=clip.t_ns // ns))
        done = run_here(
            "lift", tmp_path / f"{unit}.npz", "-o", tmp_path / "o.npz", "--model", model
        )
        assert done.code == 2
        assert f"they look like {unit}; expected nanoseconds" in done.sentence
    assert not (tmp_path / "o.npz").exists()


def test_what_is_odd_is_used_and_noted_in_a_line_each(model: Path, tmp_path: Path) -> None:
    results = [
        {"image_id": f"{n}.jpg", "keypoints": person[0].ravel().tolist()}
        for n, person in enumerate(part_of_demo_clip(9).keypoints[:, :, :17])
    ]
    (tmp_path / "alphapose.json").write_text(json.dumps(results))
    words = ("lift", tmp_path / "alphapose.json", "--size", "1088x1920", "--fps", "60000/1001")
    done = run_here(*words, "-o", tmp_path / "o.npz", "--model", model)
    assert done.code == 0
    said, *notes = done.out.splitlines()
    assert re.fullmatch(r".*o.npz: 9 frames, 1 person, 9 poses in \d+\.\d s", said)
    assert notes[0].startswith("note: 17 keypoints are taken for coco17; if they are h36m17, say")
    assert notes[1].startswith("note: the lens is assumed to see 60 degrees")
    assert notes[2:] == ["note: gravity is not known: say it with --camera-pitch-deg or --gravity"]
    again = json.loads(run_here(*words, "-o", tmp_path / "o.npz", "--model", model, "--json").out)
    assert [f"note: {note}" for note in again["notes"]] == notes
    t_ns = lifted_from_npz(tmp_path / "o.npz").t_ns
    assert t_ns.tolist() == [round(n * 1001e9 / 60000) for n in range(9)]


CALIBRATION = """
[cam1]
size = [1088, 1920]
matrix = [[1681.0, 0.0, 533.0], [0.0, 1681.0, 948.0], [0.0, 0.0, 1.0]]
distortions = [0.0, 0.0, 0.0, 0.0]
[cam2]
size = [1920, 1088]
matrix = [[1681.0, 0.0, 948.0], [0.0, 1681.0, 533.0], [0.0, 0.0, 1.0]]
distortions = [0.0, 0.0, 0.0, 0.0]
"""


def test_a_calibration_gives_the_lens_of_its_camera(
    model: Path, clip_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "calib.toml").write_text(CALIBRATION)
    words = ("lift", clip_file, "-o", tmp_path / "o.npz", "--model", model)
    words = (*words, "--cameras", tmp_path / "calib.toml")
    assert "has cam1, cam2; say which with --camera NAME" in run_here(*words).sentence
    wrong = run_here(*words, "--camera", "left")
    assert 'has no camera "left"; it has cam1, cam2; say which' in wrong.sentence
    assert "the image was turned" in run_here(*words, "--camera", "Cam_02").sentence
    assert "the image was turned" in run_here(*words, "--camera", "cam2").sentence
    done = run_here(*words, "--camera", "cam1", "--json")
    assert (done.code, json.loads(done.out)["notes"]) == (0, [])


def test_the_file_that_is_read_is_never_written_over(model: Path, clip_file: Path) -> None:
    before = clip_file.read_bytes()
    done = run_here("lift", clip_file, "-o", clip_file, "--model", model)
    assert (done.code, clip_file.read_bytes()) == (2, before)
    assert "is the file that is read; choose another -o" in done.sentence


def test_a_calibration_is_never_written_over(model: Path, clip_file: Path, tmp_path: Path) -> None:
    calibration = tmp_path / "calibration.npz"
    calibration.write_text("[cam]")
    done = run_here("lift", clip_file, "--cameras", calibration, "-o", calibration)
    assert (done.code, calibration.read_text()) == (2, "[cam]")


@pytest.mark.parametrize("name", ["out.npy", "out.mp4", "out.mcap", "out.json", "out.toml"])
def test_poses_are_written_as_npz_only(
    model: Path, clip_file: Path, tmp_path: Path, name: str
) -> None:
    done = run_here("lift", clip_file, "-o", tmp_path / name, "--model", model)
    assert done.code == 2
    assert done.sentence.endswith("this command writes npz files; choose -o out.npz")


@pytest.mark.parametrize("name", ["out.trc", "out.C3D", "out.csv"])
def test_poses_are_never_written_under_the_name_of_another_format(
    model: Path, clip_file: Path, tmp_path: Path, name: str
) -> None:
    done = run_here("lift", clip_file, "-o", tmp_path / name, "--model", model)
    assert done.code == 2
    assert "writes npz files; choose -o out.npz, then 'langpose-rt convert" in done.sentence


TRIAL = Path(__file__).parents[2] / "data" / "pose2sim_two_people"


@pytest.fixture
def trial(tmp_path: Path) -> list[Path]:
    """Twelve frames of two cameras of the two-person trial."""
    files = []
    with np.load(TRIAL.with_suffix(".npz")) as arrays:
        for name in ("cam_02", "cam_04"):
            files.append(tmp_path / f"{name}.npz")
            people = arrays[name][:12]
            np.savez(files[-1], kp2d=people, format="body25b", size=(1088, 1920), fps=60.0,
                     ids=np.full(people.shape[:2], -1))  # fmt: skip
    return files


def test_clips_of_several_cameras_become_people_in_world_axes(
    trial: list[Path], tmp_path: Path
) -> None:
    cameras, out = TRIAL.with_suffix(".toml"), tmp_path / "fused.npz"
    words = ("--cameras", cameras, "--fuse", *trial, "-o", out, "--json")
    done = run_here("lift", *words)
    assert done.code == 0, done.err
    assert json.loads(done.out)["frames"] == 12
    fused = lifted_from_npz(out)
    assert fused.frame == "world"
    truth = np.load(TRIAL.with_suffix(".npz"))["trc"][:, 11].mean(1)
    last = fused.root[11, fused.ids[11] >= 0]
    away = np.linalg.norm(last[None, :, :2] - truth[:, None, :2], axis=-1)
    assert (away.min(1) < 0.25).all(), "both people are where the published triangulation has them"
    assert run_here("convert", out, "-o", tmp_path / "a.bvh", "--person", 0).code == 0


def halved(calibration: str) -> str:
    def half(match: re.Match[str]) -> str:
        return f"translation = [ {', '.join(str(float(x) / 2) for x in match[1].split(','))}]"

    return re.sub(r"translation = \[(.*?)\]", half, calibration)


@pytest.mark.parametrize(("changed", "told"), [(str, False), (halved, True)])
def test_short_clips_of_cameras_that_do_not_agree_are_told(
    trial: list[Path], tmp_path: Path, changed: Callable[[str], str], told: bool
) -> None:
    cameras, out = tmp_path / "calib.toml", tmp_path / "fused.npz"
    cameras.write_text(changed(TRIAL.with_suffix(".toml").read_text()))
    done = run_here("lift", "--cameras", cameras, "--fuse", *trial, "-o", out, "--json")
    notes = " ".join(json.loads(done.out)["notes"])
    assert ("of the poses rest on more than one camera" in notes) == told, notes


def test_several_files_need_to_be_fused_and_fusing_needs_a_calibration(
    trial: list[Path], tmp_path: Path
) -> None:
    several = run_here("lift", *trial, "-o", tmp_path / "out.npz")
    assert several.code == 2
    assert "found 2 files; expected one, or --fuse and the --cameras" in several.err
    unplaced = run_here("lift", "--fuse", *trial, "-o", tmp_path / "out.npz")
    assert unplaced.code == 2
    assert "--fuse needs the calibration of the cameras; say --cameras calib.toml" in unplaced.err
