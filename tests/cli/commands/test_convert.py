"""`convert`: every ending, choices that must be made, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest

from langpose_rt.cli.commands.convert import _names_of
from langpose_rt.formats.lifted_npz import lifted_from_npz, lifted_from_tracks, lifted_to_npz
from langpose_rt.formats.track import Track
from tests.commands import run_here
from tests.formats.walker import swinging
from tests.recording.test_tracks import recorded_walk


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two streams, one with two people."""
    path = tmp_path_factory.mktemp("convert") / "walk.mcap"
    recorded_walk(path)
    return path


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
    assert "a-rig0-cam0-4.trc: 1 person(s), 5 frames at 25 Hz" in done.out


def test_csv_takes_everybody_and_npz_one_stream_that_converts_again(
    recording: Path, tmp_path: Path
) -> None:
    csv, npz = tmp_path / "a.csv", tmp_path / "a.npz"
    assert run_here("convert", recording, "-o", csv).out == f"{csv}: 3 person(s), 30 frames\n"
    assert run_here("convert", recording, "-o", npz, "--stream", "rig0/cam0").code == 0
    lifted = lifted_from_npz(npz)
    assert lifted.ids.tolist() == [[4, 5]] * 10
    np.testing.assert_array_equal(lifted.pose[:, :, 0], 0)
    again = run_here("convert", npz, "-o", tmp_path / "b.trc", "--person", 4)
    assert again.code == 0, again.err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("-o", "a.xyz"), "a.xyz ends in none of .trc .c3d .bvh .csv .npz"),
        (("-o", "a.trc"), "--all: rig0/cam0 with 4, 5; rig1/cam0 with 0"),
        (("-o", "a.npz"), "an npz holds one stream; choose with --stream: rig0/cam0 with 4, 5"),
        (("-o", "a.trc", "--stream", "x/y"), "has no x/y; it has rig0/cam0 with 4, 5"),
        (("-o", "a.trc", "--person", "9"), "has no 9; it has rig0/cam0"),
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
    monkeypatch.setattr("langpose_rt.cli.commands.convert._tracks", lambda _: tracks)
    done = run_here("convert", "walk.mcap", "-o", tmp_path / "a.trc")
    assert done.err == "note: z is taken for up in world axes; say another with --up\n"
    assert run_here("convert", "walk.mcap", "-o", tmp_path / "b.trc", "--up", "-z").err == ""
    a, b = (np.genfromtxt(tmp_path / f"{name}.trc", skip_header=6)[:, 3] for name in "ab")
    np.testing.assert_allclose(a, -b, atol=1e-3)
