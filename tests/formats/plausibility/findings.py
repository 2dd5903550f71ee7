"""Clips of real people, and what a check says of numbers."""

from pathlib import Path

from langpose_rt.formats.clip import DEMO_CLIP
from langpose_rt.formats.plausibility.finding import Finding
from langpose_rt.formats.readers import read_clip

CAM04_CLIP = Path(__file__).parents[2] / "data" / "pose2sim_balancing_cam04.npz"
REAL = [read_clip(DEMO_CLIP), read_clip(CAM04_CLIP)]
SIZE = (1088, 1920)


def impossible(found: Finding | None) -> str:
    assert found is not None
    assert found.impossible
    return found.detail


def odd(found: Finding | None) -> str:
    assert found is not None
    assert not found.impossible
    return found.detail
