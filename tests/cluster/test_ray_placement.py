"""Lifters placed by Ray: an actor that dies is started again, and no pose passes through it."""

import importlib.util
import sys
from pathlib import Path

import pytest

from langpose_rt.cluster.config import ClusterConfig
from langpose_rt.cluster.front import Front
from langpose_rt.cluster.ray_placement import LifterActor, RayPlacement
from langpose_rt.errors import ConfigError
from langpose_rt.server.config import ServerConfig
from tests.cluster.traffic import traffic
from tests.peers import wait_until

START_S = 120.0
needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None,
    reason='Ray is not installed: pip install "langpose-rt[cluster]"',
)


def test_the_actor_runs_a_lifter_and_says_where(model: Path) -> None:
    actor = LifterActor("lifter-0", ["--model", str(model)], loopback=True)
    try:
        wait_until(lambda: actor.address() is not None)
        assert str(actor.address()).startswith("tcp://127.0.0.1:")
    finally:
        actor.stop()
    assert actor.address() is None


def test_without_ray_the_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"langpose-rt\[cluster\]"):
        RayPlacement(1, [])


@needs_ray
@pytest.mark.filterwarnings("default")
def test_an_actor_that_is_killed_comes_back_and_its_streams_go_on_elsewhere(model: Path) -> None:
    options = ["--model", str(model), "--max-wait-ms", "10000"]
    placement = RayPlacement(2, options)
    front = Front(
        placement,
        ClusterConfig(lifters=2, lost_after_ms=2000.0),
        ServerConfig(port=0, http_port=None),
    )
    front.start()
    try:
        assert front.wait_for_lifters(2, START_S)
        rigs = [f"rig{number}" for number in range(4)]
        with traffic(front.ports.keypoints, front.ports.poses, rigs, 20.0) as run:
            run.run_for(3.0)
            victim = front.table.owner(rigs[0], "cam0")
            assert victim is not None
            placement.kill(victim)
            wait_until(lambda: front.table.owner(rigs[0], "cam0") not in (None, victim))
            run.run_for(1.0)
        assert [run.missing(rig) for rig in rigs] == [[]] * len(rigs)
        assert front.wait_for_lifters(2, START_S), "Ray did not start it again"
    finally:
        front.stop()
