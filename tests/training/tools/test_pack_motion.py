"""Motion packed for another machine: what is kept, at which rate, and that the trainer reads it."""

import json
from pathlib import Path

import numpy as np
import pytest

from training.data.mocap import HELD_OUT, read_mocap
from training.synthesis.batches import DataConfig, batch_from_seed
from training.tools.pack_motion import RATE_HZ, main, thinned


@pytest.fixture
def packed(mocap_folder: Path, tmp_path: Path) -> Path:
    out = tmp_path / "packed"
    assert main(["--mocap", str(mocap_folder), "--out", str(out)]) == 0
    return out


def test_every_commercial_clip_is_there_at_half_its_frames(
    packed: Path, mocap_folder: Path
) -> None:
    before = read_mocap(mocap_folder, "train", commercial_only=True)
    after = read_mocap(packed, "train")
    assert [clip.name for clip in after.clips] == [clip.name for clip in before.clips]
    assert after.licences == before.licences
    for old, new in zip(before.clips, after.clips, strict=True):
        assert new.fps == RATE_HZ
        assert new.frames == (old.frames + 1) // 2
        kept = before.joints_m[old.start : old.start + old.frames : 2]
        found = after.joints_m[new.start : new.start + new.frames]
        assert np.abs(found - kept).max() <= 0.6e-3


def test_validation_motion_is_what_it_was(packed: Path, mocap_folder: Path) -> None:
    before, after = (read_mocap(folder, "val") for folder in (mocap_folder, packed))
    assert before.clips == after.clips
    np.testing.assert_array_equal(before.joints_m, after.joints_m)


def test_the_trainer_makes_batches_of_it(packed: Path) -> None:
    mocap = read_mocap(packed, "train", commercial_only=True)
    batch = batch_from_seed(mocap, DataConfig(clips=3, frames=20), 0, 0)
    assert batch.rows.shape == (3, 20, 17, 3)
    assert np.isfinite(batch.pose).all()


def test_held_out_people_stay_held_out(mocap_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "with_one"
    folder.mkdir()
    for path in mocap_folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    index = json.loads((folder / "index.json").read_text())
    apart = next(c for c in index["clips"] if (c["split"], c["source"]) == ("train", "cmu"))
    (folder / "trial_map.json").write_text(json.dumps({"clips": {apart["id"]: {"trial": "86_01"}}}))
    assert main(["--mocap", str(folder), "--out", str(tmp_path / "out")]) == 0
    assert [clip.name for clip in read_mocap(tmp_path / "out", HELD_OUT).clips] == [apart["id"]]
    names = [clip.name for clip in read_mocap(tmp_path / "out", "train").clips]
    assert apart["id"] not in names


@pytest.mark.parametrize(("fps", "expected"), [(60.0, 30.0), (30.0, 30.0), (120.0, 30.0)])
def test_frames_are_left_out_but_none_is_invented(fps: float, expected: float) -> None:
    pose = np.arange(13 * 51, dtype=np.int16).reshape(13, 17, 3)
    root_m = np.zeros((13, 3), np.float32)
    kept, roots, rate = thinned(pose, root_m, fps)
    assert rate == expected
    step = int(fps / expected)
    np.testing.assert_array_equal(kept, pose[::step])
    assert len(roots) == len(kept)


def test_too_much_is_refused_and_nothing_is_left(
    mocap_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "packed"
    words = ["--mocap", str(mocap_folder), "--out", str(out), "--most-mib", "0.001"]
    assert main(words) == 2
    assert "more than --most-mib 0.001" in capsys.readouterr().err
    assert not out.exists()


def test_a_folder_that_exists_or_has_no_index_is_one_sentence(
    mocap_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--mocap", str(mocap_folder), "--out", str(tmp_path)]) == 2
    assert f"{tmp_path} exists" in capsys.readouterr().err
    assert main(["--mocap", str(tmp_path), "--out", str(tmp_path / "x")]) == 2
    assert "cannot read" in capsys.readouterr().err
