"""Rendezvous hashing: even, stable, and the same everywhere."""

from collections import Counter

import pytest

from langpose_rt.cluster.ownership import Groups, owner_of
from langpose_rt.errors import ConfigError

RIGS = [f"rig{number}" for number in range(600)]
LIFTERS = ["lifter-0", "lifter-1", "lifter-2"]


def test_every_lifter_has_about_its_share() -> None:
    counts = Counter(owner_of(rig, LIFTERS) for rig in RIGS)
    assert set(counts) == set(LIFTERS)
    assert min(counts.values()) > 150


def test_the_order_of_the_lifters_does_not_matter_and_without_any_there_is_no_owner() -> None:
    assert [owner_of(r, LIFTERS) for r in RIGS] == [owner_of(r, LIFTERS[::-1]) for r in RIGS]
    assert owner_of("rig0", []) is None


def test_a_lifter_that_leaves_moves_only_its_own_streams() -> None:
    for rig in RIGS:
        before, after = owner_of(rig, LIFTERS), owner_of(rig, LIFTERS[:2])
        assert before == after or before == LIFTERS[2]


def test_the_owner_is_the_same_in_every_process_and_version() -> None:
    assert [owner_of(rig, LIFTERS) for rig in ("rig0", "rig1", "studio")] == [
        owner_of(rig, list(LIFTERS)) for rig in ("rig0", "rig1", "studio")
    ]


def test_the_rigs_of_a_volume_stay_together() -> None:
    groups = Groups(["rig0,rig1", "rig2,rig3"])
    assert groups.of("rig0") == groups.of("rig1") != groups.of("rig2")
    assert groups.of("other") == "other"


@pytest.mark.parametrize("volumes", [["rig0,"], ["rig 0"], ["rig0,rig1", "rig1,rig2"]])
def test_a_volume_that_is_none_is_one_sentence(volumes: list[str]) -> None:
    with pytest.raises(ConfigError, match="volume"):
        Groups(volumes)
