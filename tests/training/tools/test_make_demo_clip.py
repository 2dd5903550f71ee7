"""The demo clip: made of the trial's arrays, and of nothing that was not triangulated."""

import sys
from pathlib import Path

import numpy as np
import pytest

from langpose_rt.formats.readers import read_clip
from training.tools import make_demo_clip


def trial(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    valid = np.ones((10, 17), bool)
    valid[:8, 9] = False
    pose = np.where(valid[..., None], rng.normal(size=(10, 17, 3)), np.nan).astype(np.float32)
    return {
        "kp2d_body25b": rng.uniform(1, 900, (10, 25, 3)).astype(np.float32),
        "gt3d_loo_cam": pose,
        "gt3d_loo_valid": valid,
        "K": np.array([[900.0, 0, 544], [0, 900, 960], [0, 0, 1]]),
        "dist": np.array([0.01, 0.0, 0.0, 0.0]),
        "R": np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]),
        "size": np.array([1088.0, 1920.0]),
        "fps": np.array(60),
    }


def test_both_clips_are_written_with_their_licence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "original").mkdir()
    (tmp_path / "original" / "LICENSE").write_text("as it came")
    for name, seed in (("cam01", 1), ("cam04", 4)):
        np.savez(tmp_path / f"{name}.npz", **trial(seed))  # type: ignore[arg-type]
    demo, test = tmp_path / "demo" / "demo.npz", tmp_path / "test" / "test.npz"
    monkeypatch.setattr(make_demo_clip, "DEMO_CLIP", demo)
    monkeypatch.setattr(make_demo_clip, "TEST_CLIP", test)
    monkeypatch.setattr(sys, "argv", ["make_demo_clip", str(tmp_path)])
    make_demo_clip.main()
    for path, seed in ((demo, 1), (test, 4)):
        clip, source = read_clip(path), trial(seed)
        np.testing.assert_array_equal(clip.keypoints[:, 0], source["kp2d_body25b"])
        np.testing.assert_array_equal(clip.pose3d, source["gt3d_loo_cam"])
        np.testing.assert_array_equal(clip.gravity, [0, 1, 0])
        assert clip.joints == tuple(joint for joint in range(17) if joint != 9)
        assert clip.valid is not None
        assert clip.valid.all()
        assert (path.parent / "LICENSE").read_text() == "as it came"
