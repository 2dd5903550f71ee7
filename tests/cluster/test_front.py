"""A front over real lifters and real sockets: hand-overs, deaths, control, keys, two fronts.

The lifters are started once for all tests of this file, but a test that ends one has its own.
"""

import json
import os
import secrets
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import pytest
import zmq

from langpose_rt.client.control import ControlClient
from langpose_rt.client.subscriber import PoseSubscriber
from langpose_rt.cluster.config import ClusterConfig
from langpose_rt.cluster.front import Front
from langpose_rt.cluster.placement import FixedPlacement, Placement, ProcessPlacement, key_options
from langpose_rt.cluster.supervisor import Supervisor
from langpose_rt.errors import ConfigError, LangPoseError
from langpose_rt.pipeline.config import PipelineConfig
from langpose_rt.security.key_files import key_pair_from_file, new_key_files
from langpose_rt.server import connections
from langpose_rt.server.config import ServerConfig
from tests.attackers import json_text
from tests.background import repeating
from tests.cluster.traffic import Traffic, traffic
from tests.fakes import keypoint_parts, person_px
from tests.peers import LOCAL, next_of, peers, wait_until

RIGS = [f"rig{number}" for number in range(6)]
RATE_HZ = 10.0
"""A lifter keeps 64 frames of a stream waiting: a busy machine may stop it for six seconds."""

START_S = 120.0
PATIENT = ("--max-wait-ms", "10000", "--slots", "32")
"""Nothing is shed for being late, so that every lost frame is one that the cluster lost."""

pytestmark = pytest.mark.timeout(280)


@dataclass
class Cluster:
    """A running front and its lifters."""

    front: Front
    placement: ProcessPlacement

    def owner(self, rig: str) -> str | None:
        return self.front.table.owner(rig, "cam0")

    def traffic(self, rigs: list[str]):  # type: ignore[no-untyped-def]
        return traffic(self.front.ports.keypoints, self.front.ports.poses, rigs, RATE_HZ)

    def control(self, **options: object) -> ControlClient:
        endpoint = f"tcp://{LOCAL}:{self.front.ports.control}"
        return ControlClient(endpoint, timeout_s=20.0, **options)  # type: ignore[arg-type]

    def url(self, path: str) -> str:
        return f"http://{LOCAL}:{self.front.ports.http}{path}"

    def page(self, path: str) -> str:
        with urlopen(self.url(path), timeout=20) as answer:
            return str(answer.read().decode())


@contextmanager
def front_over(placement: Placement, lifters: int, **options: object) -> Iterator[Front]:
    pipeline = PipelineConfig(name="cluster")
    server = ServerConfig(port=0, http_port=0, pipeline=pipeline, **options.pop("server", {}))  # type: ignore[arg-type]
    config = ClusterConfig(lifters=max(lifters, 1), lost_after_ms=2000.0)
    front = Front(placement, config, server, **options)  # type: ignore[arg-type]
    front.start()
    try:
        assert front.wait_for_lifters(lifters, START_S), "the lifters did not come up"
        yield front
    finally:
        front.stop()


@pytest.fixture(scope="module")
def cluster(model: Path) -> Iterator[Cluster]:
    placement = ProcessPlacement(3, ["--model", str(model), *PATIENT])
    with front_over(placement, 3) as front:
        yield Cluster(front, placement)


@pytest.fixture
def own_cluster(model: Path) -> Iterator[Cluster]:
    """A cluster whose lifters may be killed and drained."""
    placement = ProcessPlacement(2, ["--model", str(model), *PATIENT])
    with front_over(placement, 2) as front:
        yield Cluster(front, placement)


def answered_once(run: Traffic) -> None:
    """Assert that every rig's frames were answered, once, in order, alike."""
    for rig in run.rigs:
        assert run.sent[rig] > 20
        assert run.seqs(rig) == list(range(run.sent[rig])), rig
        assert run.ids(rig) == {(0, 1)}, rig
        assert run.vias(rig) == sorted(run.vias(rig)), "an old assignment after a new one"


@pytest.fixture
def alone() -> Iterator[Front]:
    """A front without a lifter: what it takes and refuses, and whom it cuts."""
    with front_over(FixedPlacement([]), 0) as front:
        yield front


@pytest.mark.skipif(sys.platform != "linux", reason="Linux counts the bytes")
def test_peers_that_send_too_much_or_are_too_many_are_cut_as_by_one_server(
    alone: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    with peers() as others:
        consumer = others.connect(zmq.XSUB, alone.ports.poses)

        def subscribe() -> None:
            for _ in range(100):
                consumer.send(b"\x01" + secrets.token_bytes(400))

        with repeating(subscribe, 0.01):
            wait_until(lambda: alone.snapshot().rejected.get("too_much_sent", 0) > 0)
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 2)
    with front_over(FixedPlacement([]), 0) as crowded, ExitStack() as opened:
        for _ in range(6):
            where = LOCAL, crowded.ports.keypoints
            opened.enter_context(socket.create_connection(where, timeout=20))
        wait_until(lambda: crowded.snapshot().rejected.get("too_many_connections", 0) >= 4)


def test_a_rig_whose_json_is_refused_has_little_of_the_time(alone: Front) -> None:
    text = json_text(300_000).replace(b"wh", b"hw")
    with peers() as others:
        rig = others.publisher(alone.ports.keypoints)
        with repeating(lambda: rig.send_multipart([b"kp2d/bad/cam0/", text]), 0.005):
            wait_until(lambda: alone.snapshot().rejected.get("over_budget", 0) > 0)


def test_a_front_that_cannot_start_ends_its_lifters(alone: Front) -> None:
    placement = FixedPlacement([])
    ended: list[bool] = []
    placement.stop = lambda: ended.append(True)  # type: ignore[method-assign]
    config = ClusterConfig(lifter=("tcp://127.0.0.1:1",))
    front = Front(placement, config, ServerConfig(port=alone.ports.keypoints, http_port=None))
    with pytest.raises(ConfigError, match="choose another --port"):
        front.run()
    assert ended == [True]


def test_a_front_is_starting_until_it_knows_the_model_of_a_lifter(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_until(lambda: cluster.front.snapshot().state == "ready")
    monkeypatch.setattr(Supervisor, "snapshots", lambda _: {})
    found = cluster.front.snapshot()
    assert (found.state, found.model.id) == ("starting", "none")


def test_rigs_and_consumers_see_one_server(cluster: Cluster) -> None:
    with cluster.traffic(RIGS) as run:
        run.run_for(2.5)
        owners = {cluster.owner(rig) for rig in RIGS}
        with cluster.control() as control:
            hello, status = control.hello(), control.status()
        metrics = cluster.page("/metrics")
        with urlopen(cluster.url("/live/2d"), timeout=20) as live:
            told = next(line for line in live if line.startswith(b'data: [{"name":'))
        with PoseSubscriber(f"tcp://{LOCAL}:{cluster.front.ports.poses}", "rig1") as poses:
            message = poses.receive(20.0)
    answered_once(run)
    assert len(owners) > 1, "all streams went to one lifter"
    assert (hello.server, hello.ports) == ("cluster", cluster.front.ports)
    assert {stream["rig"] for stream in status["streams"]} <= set(RIGS)
    assert [lifter["lifter"] for lifter in status["lifters"]] == [f"lifter-{n}" for n in range(3)]
    assert "langpose_front_frames_total" in metrics
    assert json.loads(told.removeprefix(b"data: "))[0]["name"] in {f"{rig}/cam0" for rig in RIGS}
    assert message is not None
    assert message.rig == "rig1"
    assert {topic.split(b"/")[0] for topic in run.topics} >= {b"pose3d", b"hb", b"schema"}
    assert b"hb/cluster/" in run.topics
    assert not any(topic.startswith(b"hb/lifter") for topic in run.topics)


def test_a_killed_lifter_costs_nobody_a_frame(own_cluster: Cluster) -> None:
    cluster = own_cluster
    rigs = [f"kill{number}" for number in range(5)]
    with cluster.traffic(rigs) as run:
        run.run_for(3.0)
        victim = cluster.owner(rigs[0])
        assert victim is not None
        os.kill(cluster.placement.pids[victim], signal.SIGKILL)
        wait_until(lambda: cluster.owner(rigs[0]) not in (None, victim))
        run.run_for(1.5)
    answered_once(run)
    assert cluster.front.table.counts["failovers"] > 0
    assert b"event/lifter/" in run.topics
    assert cluster.front.wait_for_lifters(2, START_S), "the lifter was not started again"


def test_a_frozen_lifter_loses_its_streams_and_answers_for_none_when_it_wakes(
    own_cluster: Cluster,
) -> None:
    """libzmq may end a process that wakes with its connections gone; it is started again then."""
    cluster = own_cluster
    rigs = [f"freeze{number}" for number in range(4)]
    with cluster.traffic(rigs) as run:
        run.run_for(3.0)
        frozen = cluster.owner(rigs[0])
        assert frozen is not None
        pid = cluster.placement.pids[frozen]
        os.kill(pid, signal.SIGSTOP)
        try:
            wait_until(lambda: cluster.owner(rigs[0]) not in (None, frozen))
            run.run_for(1.0)
        finally:
            os.kill(pid, signal.SIGCONT)
        run.run_for(1.0)
    answered_once(run)
    assert cluster.front.wait_for_lifters(2, START_S)


@pytest.mark.skipif(sys.platform != "linux", reason="lists descriptors in /proc")
def test_a_lifter_whose_connection_breaks_costs_nobody_a_frame(own_cluster: Cluster) -> None:
    """ZeroMQ connects again by itself, and what was sent before that is lost."""
    cluster = own_cluster
    rigs = [f"break{number}" for number in range(4)]
    with cluster.traffic(rigs) as run:
        run.run_for(4.0)  # longer than a window
        for _ in range(3):
            lifter = cluster.owner(rigs[0])
            assert lifter is not None
            _, address = cluster.front._links._frames[lifter]
            assert shut_connections_to(address.ports.keypoints) > 0
            run.run_for(1.0)
    answered_once(run)
    assert cluster.front.wait_for_lifters(2, START_S)


def shut_connections_to(port: int) -> int:
    """End this process's connections to a port of this machine; return how many there were."""
    ended = 0
    for path in list(Path("/proc/self/fd").iterdir()):
        with suppress(OSError), connections.borrowed(int(path.name)) as one:
            if one.getpeername()[1:2] == (port,):
                one.shutdown(socket.SHUT_RDWR)
                ended += 1
    return ended


def test_a_lifter_that_comes_and_one_that_is_drained_cost_nobody_a_frame_or_the_id(
    own_cluster: Cluster,
) -> None:
    cluster = own_cluster
    rigs = [f"move{number}" for number in range(8)]
    with cluster.traffic(rigs) as run:
        run.run_for(3.0)
        cluster.placement.start("another")
        wait_until(lambda: cluster.front.table.owned_by("another") != [])
        wait_until(lambda: not cluster.front.table.moving)
        run.run_for(0.5)
        with cluster.control() as control:
            control.drain("another")
            wait_until(lambda: "another" not in cluster.front.table.lifters)
            with pytest.raises(LangPoseError, match="no lifter 'nobody'"):
                control.drain("nobody")
        run.run_for(0.5)
    answered_once(run)
    assert max(len(set(run.vias(rig))) for rig in rigs) > 2, "no stream moved there and back"


def test_the_model_changes_at_one_lifter_after_the_other(cluster: Cluster, model: Path) -> None:
    with cluster.traffic(["reload0", "reload1"]) as run:
        run.run_for(2.5)
        with cluster.control() as control:
            stamp = control.reload(model)
            with pytest.raises(LangPoseError, match="lifter-0"):
                control.reload(model / "nothing")
    answered_once(run)
    assert stamp.id == "small"
    wait_until(lambda: cluster.front.snapshot().counters["reloads"] >= 3)
    assert "reloads" in json.loads(cluster.page("/status"))["counters"]


def test_bad_messages_and_json_are_treated_as_by_one_server(cluster: Cluster) -> None:
    front = cluster.front
    with peers() as others:
        rig = others.publisher(front.ports.keypoints)
        consumer = others.subscriber(front.ports.poses, b"pose3d/json/", b"event/reject/")
        rig.send_multipart([b"kp2d/json/cam0/", b"\xc1"])
        rig.send_multipart([b"nonsense"])
        next_of(consumer, b"event/reject/")
        people = [person_px((0, 0, 4)).tolist()]
        body = {"keypoints": people, "fmt": "h36m17", "wh": [1280, 720]}
        for _ in range(3):
            rig.send_multipart([b"kp2d/json/cam0/", json.dumps(body).encode()])
            next_of(consumer, b"pose3d/json/")
        rig.send_multipart(keypoint_parts(rig="good", seq=0))
    wait_until(lambda: front.snapshot().rejected.get("bad_parts", 0) >= 1)


def test_poses_of_a_rig_at_one_front_are_heard_at_the_other(cluster: Cluster) -> None:
    endpoints = list(cluster.placement.addresses().values())
    with front_over(FixedPlacement(endpoints), 3) as second:
        first = cluster.front
        with (
            traffic(first.ports.keypoints, second.ports.poses, ["here"], RATE_HZ) as across,
            traffic(second.ports.keypoints, second.ports.poses, ["there"], RATE_HZ) as direct,
        ):
            across.run_for(2.0)
        assert across.seqs("here") == list(range(across.sent["here"]))
        assert direct.seqs("there") == list(range(direct.sent["there"]))
        assert second.table.counts["foreign"] >= across.sent["here"]


def test_keys_go_from_end_to_end(model: Path, tmp_path: Path) -> None:
    outer, inner = tmp_path / "outer", tmp_path / "inner"
    for folder, names in ((outer, ("server", "rig0", "admin")), (inner, ("server", "front"))):
        for name in names:
            new_key_files(name, folder)
    options = ["--model", str(model), *PATIENT, *key_options(inner)]
    with front_over(
        ProcessPlacement(1, options), 1, lifter_keys=inner, server={"keys": outer}
    ) as front:
        keyed = Cluster(front, ProcessPlacement(0, []))
        server = key_pair_from_file(outer / "server.key_secret").public
        own, admin = (key_pair_from_file(outer / f"{n}.key_secret") for n in ("rig0", "admin"))
        with peers() as others:
            rig, poses = others.keyed(front.ports, own, server)
            next_of(poses, b"hb/")
            for seq in range(3):
                rig.send_multipart(keypoint_parts(person_px((0, 0, 4)), rig="rig0", seq=seq))
                next_of(poses, b"pose3d/rig0/")
            rig.send_multipart(keypoint_parts(person_px((0, 0, 4)), rig="other", seq=0))
            wait_until(lambda: front.snapshot().rejected.get("spoofed_rig", 0) == 1)
        with (
            keyed.control(server_key=server, key_pair=(own.public, own.secret)) as control,
            pytest.raises(LangPoseError, match="not for the key"),
        ):
            control.drain()
        with keyed.control(server_key=server, key_pair=(admin.public, admin.secret)) as control:
            control.drain()
        assert front.wait(20.0)
