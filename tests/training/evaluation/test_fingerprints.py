"""Clips are known again on every processor, and no other draw is taken for them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from training.data.mocap import read_mocap
from training.evaluation.benchmark_clips import draw_benchmark
from training.evaluation.fingerprints import Fingerprint, fingerprint, is_same
from training.synthesis.batches import Footage

ROUNDED = ("rays", "scores", "pose_camera_m")


@pytest.fixture(scope="module")
def footages(mocap_folder: Path) -> list[Footage]:
    return [clip.footage for clip in draw_benchmark(read_mocap(mocap_folder, "val"))]


def of(footages: list[Footage], *, version: str = "bench", first: str = "0") -> Fingerprint:
    names = [first, *map(str, range(1, len(footages)))]
    return fingerprint(version, 7, names, footages)


def test_the_clips_are_the_same_where_a_processor_rounds_differently(
    footages: list[Footage],
) -> None:
    up = np.float32(np.inf)
    rounded = [
        replace(one, **{name: np.nextafter(getattr(one, name), up) for name in ROUNDED})
        for one in footages
    ]
    assert is_same(of(rounded), of(footages))


@pytest.mark.parametrize("field", ["rays", "scores", "time_ns", "pose_camera_m", "stature_m"])
def test_another_number_is_another_draw(footages: list[Footage], field: str) -> None:
    changed = getattr(footages[1], field).copy()
    changed.flat[-1] += 1
    other = [footages[0], replace(footages[1], **{field: changed}), *footages[2:]]
    assert not is_same(of(other), of(footages))


def test_other_clips_names_and_versions_are_another_draw(footages: list[Footage]) -> None:
    assert not is_same(of(footages[1:]), of(footages))
    assert not is_same(of(footages, first="walk"), of(footages))
    assert not is_same(of(footages, version="bench-2"), of(footages))
