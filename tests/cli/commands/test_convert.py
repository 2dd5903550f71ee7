"""`convert`: every ending, choices that must be made, and what it refuses."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from langpose_rt.cli.commands.convert import _names_of
from langpose_rt.formats.clip import DEMO_CLIP
from langpose_rt.formats.fused_npz import FusedSequence, fused_to_npz, poses_from_npz
from langpose_rt.formats.lifted_npz import (
    PoseSequence,
    lifted_from_npz,
    lifted_from_tracks,
    lifted_to_npz,
)
from langpose_rt.formats.readers import read_clip
from langpose_rt.formats.track import Track
from langpose_rt.geometry.level_axes import gravity_of_pitch
from langpose_rt.geometry.skeleton import JOINTS
from tests.commands import run_here
from tests.formats.test_bvh import kinematics
from tests.formats.walker import swinging, track_of
from tests.recording.test_tracks import recorded_walk

NAMED = ((3, "bob"), (1 << 52, "Zo\u00eb/1"))


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two streams, one with two people."""
    path = tmp_path_factory.mktemp("convert") / "walk.mcap"
    recorded_walk(path)
    return path


def test_people_whom_a_tracker_names_keep_their_names(tmp_path: Path) -> None:
    tracks = [replace(track_of(swinging(20)), person=n, name=name) for n, name in NAMED]
    lifted_to_npz(tmp_path / "a.npz", lifted_from_tracks(tracks))
    assert run_here("convert", tmp_path / "a.npz", "-o", tmp_path / "b.trc", "--all").code == 0
    assert sorted(path.name for path in tmp_path.glob("*.trc")) == [
        "b-file-clip-Zo\u00eb_1.trc", "b-file-clip-bob.trc",
    ]  # fmt: skip
    done = run_here("convert", tmp_path / "a.npz", "-o", tmp_path / "c.trc", "--person", "bob")
    assert done.code == 0, done.err
    done = run_here("convert", tmp_path / "a.npz", "-o", tmp_path / "c.trc", "--person", "nobody")
    assert "it has file/clip with bob, Zo\u00eb/1" in done.err


@pytest.mark.parametrize("ending", ["trc", "c3d", "bvh"])
def test_one_person_becomes_one_file_at_a_fixed_rate(
    recording: Path, tmp_path: Path, ending: str
) -> None:
    out = tmp_path / f"a.{ending}"
    done = run_here(
        "convert", recording, "-o", out, "--stream", "rig0/cam0", "--person", 5, "--json"
    )
    assert done.code == 0, done.err
    assert json.loads(done.out) == [{"out": str(out), "persons": 1, "frames": 10, "rate_hz": 50.0}]
    assert out.stat().st_size > 500
    assert list(tmp_path.iterdir()) == [out], "nothing unfinished is left"


def test_all_makes_a_file_of_everybody_at_the_given_rate(recording: Path, tmp_path: Path) -> None:
    done = run_here("convert", recording, "-o", tmp_path / "a.trc", "--all", "--rate", 25)
    assert done.code == 0, done.err
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["a-rig0-cam0-4.trc", "a-rig0-cam0-5.trc", "a-rig1-cam0-0.trc"]
    assert "a-rig0-cam0-4.trc: 1 person, 5 frames at 25 Hz" in done.out


def test_csv_takes_everybody_and_npz_one_stream_that_converts_again(
    recording: Path, tmp_path: Path
) -> None:
    csv, npz = tmp_path / "a.csv", tmp_path / "a.npz"
    assert run_here("convert", recording, "-o", csv).out == f"{csv}: 3 people, 30 poses\n"
    assert run_here("convert", recording, "-o", npz, "--stream", "rig0/cam0").code == 0
    lifted = lifted_from_npz(npz)
    assert lifted.ids.tolist() == [[4, 5]] * 10
    np.testing.assert_array_equal(lifted.pose[:, :, 0], 0)
    again = run_here("convert", npz, "-o", tmp_path / "b.trc", "--person", 4)
    assert again.code == 0, again.err


def lean_deg(joints: np.ndarray, up: np.ndarray) -> np.ndarray:
    """Angle of the trunk to the way up."""
    trunk = joints[:, JOINTS.index("Thorax")] - joints[:, 0]
    return np.degrees(np.arccos(trunk @ up / np.linalg.norm(trunk, axis=-1)))


def joints_of(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Joints (metres) and the way up of a written file."""
    if path.suffix == ".trc":
        rows = [line.split("\t")[2:] for line in path.read_text().splitlines()[6:]]
        return np.array(rows, float).reshape(len(rows), 17, 3) / 1000, np.array([0.0, 1.0, 0.0])
    if path.suffix == ".c3d":
        import ezc3d

        points = ezc3d.c3d(str(path))["data"]["points"][:3]
        return points.transpose(2, 1, 0) / 1000, np.array([0.0, 0.0, 1.0])
    if path.suffix == ".bvh":
        # the bone from Hips to Spine and on; of a straight trunk the pelvis leans as the hips say
        found, names = kinematics(path, 100), ("Hips", "Neck")
        joints = np.zeros((100, 17, 3))
        joints[:, 0], joints[:, JOINTS.index("Thorax")] = (found[name] for name in names)
        return joints, np.array([0.0, 1.0, 0.0])
    with path.open() as file:
        lines = list(csv.DictReader(file))
    axes = [[[float(row[f"{j}_{a}"]) for a in "xyz"] for j in JOINTS] for row in lines]
    assert {row["frame"] for row in lines} == {"level"}
    return np.array(axes), np.array([0.0, 0.0, 1.0])


@pytest.mark.parametrize("ending", ["trc", "c3d", "csv", "bvh"])
def test_people_stand_as_they_stood_before_a_tilted_camera(tmp_path: Path, ending: str) -> None:
    clip = read_clip(DEMO_CLIP)
    assert clip.pose3d is not None
    assert clip.gravity is not None
    truth = lean_deg(clip.pose3d, -clip.gravity)
    as_if_level = lean_deg(clip.pose3d, np.array([0.0, -1.0, 0.0]))
    assert as_if_level.mean() - truth.mean() > 15, "the camera is tilted"
    x, y, z = clip.gravity.tolist()
    whole = np.where(np.isnan(clip.pose3d), clip.pose3d[:, 8:9] + 0.1, clip.pose3d)  # no nose
    lifted = replace(lifted_of(whole, clip.t_ns), gravity=(x, y, z), level_src="given")
    lifted_to_npz(tmp_path / "true.npz", lifted)
    out = tmp_path / f"true.{ending}"
    assert run_here("convert", tmp_path / "true.npz", "-o", out).code == 0
    joints, up = joints_of(out)
    np.testing.assert_allclose(lean_deg(joints, up), truth, atol=2.5 if ending == "bvh" else 0.05)


def test_lifting_keeps_the_gravity_of_the_clip_for_the_file(tmp_path: Path) -> None:
    clip, npz = read_clip(DEMO_CLIP), tmp_path / "a.npz"
    assert clip.pose3d is not None
    assert clip.gravity is not None
    assert run_here("lift", DEMO_CLIP, "-o", npz).code == 0
    assert lifted_from_npz(npz).level_src == "given"
    assert run_here("convert", npz, "-o", tmp_path / "a.trc").code == 0
    pose = lifted_from_npz(npz).pose[:, 0]
    found = lean_deg(*joints_of(tmp_path / "a.trc"))
    np.testing.assert_allclose(found, lean_deg(pose, -clip.gravity), atol=0.05)
    assert abs(found - lean_deg(clip.pose3d, -clip.gravity)).mean() < 12, "of one camera"
    as_if_level = lean_deg(pose, np.array([0.0, -1.0, 0.0]))
    assert as_if_level.mean() - found.mean() > 15


def test_a_tilt_that_is_said_at_conversion_levels_a_file_that_knows_none(tmp_path: Path) -> None:
    npz, level = tmp_path / "a.npz", swinging(5)
    lifted_to_npz(npz, lifted_of(level, 20_000_000 * np.arange(5)))
    done = run_here("convert", npz, "-o", tmp_path / "a.trc")
    assert "the camera is taken for level; say it with --camera-pitch-deg" in done.err
    pitched = run_here("convert", npz, "-o", tmp_path / "b.trc", "--camera-pitch-deg", 30)
    assert "level" not in pitched.err
    before, up = joints_of(tmp_path / "a.trc")
    after, _ = joints_of(tmp_path / "b.trc")
    np.testing.assert_allclose(lean_deg(after, up), lean_deg(level, -np.array(
        gravity_of_pitch(30.0))), atol=0.1)  # fmt: skip
    assert abs(lean_deg(after, up) - lean_deg(before, up)).max() > 5
    same = run_here("convert", npz, "-o", tmp_path / "c.trc", "--gravity", "0,0.8660254,0.5")
    assert same.code == 0, same.err
    np.testing.assert_allclose(joints_of(tmp_path / "c.trc")[0], after, atol=2e-5)
    downward = run_here("convert", npz, "-o", tmp_path / "d.trc", "--gravity", "-0.1,0.9,0.3")
    assert downward.code == 0, "a number below zero is no option"
    both = run_here(
        "convert", npz, "-o", tmp_path / "e.trc", "--gravity", "0,1,0", "--camera-pitch-deg", 3
    )
    assert (both.code, "got both --gravity and" in both.sentence) == (2, True)


def test_csv_keeps_the_recorded_axes_on_request(tmp_path: Path) -> None:
    npz, joints = tmp_path / "a.npz", swinging(3)
    lifted = lifted_of(joints, 20_000_000 * np.arange(3))
    lifted_to_npz(npz, replace(lifted, gravity=gravity_of_pitch(20.0), level_src="given"))
    assert run_here("convert", npz, "-o", tmp_path / "a.csv", "--axes", "recorded").code == 0
    with (tmp_path / "a.csv").open() as file:
        row = next(csv.DictReader(file))
    assert row["frame"] == "camera"
    assert float(row["Hip_z"]) == pytest.approx(joints[0, 0, 2], abs=1e-4)


def lifted_of(joints: np.ndarray, t_ns: np.ndarray) -> PoseSequence:
    """Poses of one person in camera axes."""
    return lifted_from_tracks([track_of(joints, t_ns)])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("-o", "a.xyz"), "a.xyz ends in none of .trc .c3d .bvh .csv .npz"),
        (("-o", "a.trc"), "--all: rig0/cam0 with 4, 5; rig1/cam0 with 0"),
        (("-o", "a.npz"), "an npz holds one stream; choose with --stream: rig0/cam0 with 4, 5"),
        (("-o", "a.trc", "--stream", "x/y"), "has no stream x/y; it has rig0/cam0 with 4, 5"),
        (("-o", "a.trc", "--person", "9"), "has no person 9; it has rig0/cam0"),
        (("-o", "nowhere/a.trc"), "there is no folder nowhere"),
        (("-o", "a.trc", "--all", "--rate", "0"), "--rate is 0; expected"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...], sentence: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    done = run_here("convert", recording, *words)
    assert done.code == 2
    assert sentence in done.sentence
    assert list(tmp_path.iterdir()) == []


def test_keypoints_are_refused_with_the_command_that_lifts_them(
    clip_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "json").mkdir()
    (tmp_path / "people.json").write_text("[]")
    for given in (clip_file, tmp_path / "json", tmp_path / "people.json"):
        done = run_here("convert", given, "-o", tmp_path / "a.bvh")
        assert done.code == 2
        assert (
            f"holds 2D keypoints; lift them with 'langpose-rt lift {given} -o" in done.sentence
        ), "the command works as it stands, from the folder it was printed in"


def test_files_that_hold_no_poses_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.mcap").write_text("no")
    (tmp_path / "a.npz").write_text("no")
    for name in ("a.mcap", "a.npz", "nothing.mcap"):
        done = run_here("convert", tmp_path / name, "-o", tmp_path / "out.csv")
        assert done.code == 2
        assert str(tmp_path / name) in done.sentence


def test_people_of_a_recording_share_one_time_origin_in_every_format(tmp_path: Path) -> None:
    early, late = walk("rig0/cam0", 1, 0), walk("rig0/cam0", 2, 10)
    lifted_to_npz(tmp_path / "two.npz", lifted_from_tracks([early, late]))
    frames = {}
    for ending in ("c3d", "bvh", "trc", "csv"):
        out = tmp_path / f"late.{ending}"
        done = run_here("convert", tmp_path / "two.npz", "-o", out, "--person", 2, "--json")
        assert done.code == 0, done.err
        frames[ending] = json.loads(done.out)[0]["frames"]
    assert frames == {"c3d": 30, "bvh": 30, "trc": 20, "csv": 20}
    rows = (tmp_path / "late.trc").read_text().splitlines()
    assert float(rows[6].split("\t")[1]) == pytest.approx(0.2)
    assert float((tmp_path / "late.csv").read_text().splitlines()[1].split(",")[3]) == 0.2


def walk(stream: str, person: int, first: int, frame: str = "camera") -> Track:
    t_ns = 20_000_000 * np.arange(first, first + 20)
    sigma_m = np.full((20, 17), 0.02)
    joints = swinging(20)
    return Track(
        stream=stream, person=person, t_ns=t_ns, joints=joints, sigma_m=sigma_m, frame=frame
    )


def test_two_streams_never_write_one_file() -> None:
    tracks = [walk("a-b/c", 1, 0), walk("a/b-c", 1, 0), walk("A/B-c", 1, 0)]
    names = [path.name for path in _names_of(tracks, Path("out.trc"))]
    assert names == ["out-a-b-c-1.trc", "out-a-b-c-1-2.trc", "out-A-B-c-1-3.trc"]


def test_the_file_that_is_read_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "poses.npz"
    lifted_to_npz(path, lifted_from_tracks([walk("rig0/cam0", 1, 0)]))
    before = path.read_bytes()
    done = run_here("convert", path, "-o", path)
    assert (done.code, path.read_bytes()) == (2, before)
    assert "is the file that is read; choose another -o" in done.sentence


@pytest.mark.parametrize("ending", ["trc", "c3d", "bvh", "csv", "npz"])
def test_names_of_any_language_work_in_every_format(tmp_path: Path, ending: str) -> None:
    path = tmp_path / "poses.npz"
    lifted_to_npz(path, lifted_from_tracks([walk("rig0/cam0", 1, 0)]))
    out = tmp_path / f"カメラ é.{ending}"
    assert run_here("convert", path, "-o", out).code == 0
    assert out.stat().st_size > 500


def test_which_way_is_up_in_world_axes_can_be_given_and_is_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracks = [walk("rig0/cam0", 1, 0, frame="world")]
    monkeypatch.setattr("langpose_rt.cli.commands.convert._tracks", lambda *_: tracks)
    done = run_here("convert", "walk.mcap", "-o", tmp_path / "a.trc")
    assert done.err == "note: z is taken for up in world axes; say another with --up\n"
    assert run_here("convert", "walk.mcap", "-o", tmp_path / "b.trc", "--up", "-z").err == ""
    a, b = (np.genfromtxt(tmp_path / f"{name}.trc", skip_header=6)[:, 3] for name in "ab")
    np.testing.assert_allclose(a, -b, atol=1e-3)


def test_all_that_fusion_knows_goes_from_npz_to_npz(tmp_path: Path) -> None:
    source, out = tmp_path / "fused.npz", tmp_path / "out.npz"
    names = tuple(f"joint{number}" for number in range(20))
    cameras = ("left", "right")
    fused = FusedSequence.of_nobody(
        np.arange(3) * 20_000_000, 2, joint_names=names, cameras=cameras
    )
    rng = np.random.default_rng(0)
    fused.ids[:] = 4, 7
    for name in ("pose", "root", "sigma_m", "joints", "covariance_m2", "residual_px", "lengths_m"):
        array = getattr(fused, name)
        array[:] = rng.normal(size=array.shape)
    fused.views[:], fused.held_ns[:], fused.seen_by[:] = 3, 0, True
    fused_to_npz(source, fused)
    assert run_here("convert", source, "-o", out, "--person", 7, "--up", "y").code == 0
    found = poses_from_npz(out)
    assert isinstance(found, FusedSequence)
    assert (found.ids.tolist(), found.frame) == ([[7]] * 3, "world")
    assert (found.gravity, found.level_src) == ((0.0, -1.0, 0.0), "given")
    assert (found.joint_names, found.cameras) == (names, cameras)
    for name in ("pose", "joints", "covariance_m2", "views", "residual_px", "lengths_m", "seen_by"):
        np.testing.assert_array_equal(getattr(found, name), getattr(fused, name)[:, 1:])
