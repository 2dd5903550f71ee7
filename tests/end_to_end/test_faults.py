"""What goes wrong, or is changed, while others are served: over real sockets, in real processes."""

import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from langpose_rt.benchmark.child_server import ChildServer, child_server
from langpose_rt.client.control import ControlClient
from langpose_rt.client.publisher import RigPublisher
from langpose_rt.client.subscriber import PoseSubscriber
from langpose_rt.protocol.messages import PoseMessage
from langpose_rt.server.sockets import SEND_HWM
from tests.background import process, repeating
from tests.commands import ENVIRONMENT, run_here
from tests.fakes import SIZE, person_px
from tests.peers import LOCAL, WAIT_S, wait_until

PERSON = person_px((0, 0, 4))
PATIENT = ("--max-wait-ms", "10000")
"""A busy machine must not make the server skip frames: they are counted here."""


class Rigs:
    """Two rigs that publish at 50 Hz from a thread of their own until the block ends."""

    def __init__(self, server: ChildServer) -> None:
        self.sent = 0
        self._endpoint = server.keypoint_endpoint
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "Rigs":
        with self._stack as stack:
            rigs = [
                stack.enter_context(
                    RigPublisher(self._endpoint, name, "cam0", skeleton="h36m17", size=SIZE)
                )
                for name in ("rig0", "rig1")
            ]
            for rig in rigs:
                assert rig.wait_for_server(WAIT_S)

            def publish() -> None:
                for rig in rigs:
                    rig.publish(PERSON[None], ids=[4])
                self.sent += 1

            stack.enter_context(repeating(publish, 0.02))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def poses_until(subscriber: PoseSubscriber, server_has: int) -> list[PoseMessage]:
    """Poses until so many have come from each of two rigs."""
    found: list[PoseMessage] = []
    while len(found) < 2 * server_has:
        message = subscriber.receive(WAIT_S)
        assert message is not None, "the server has fallen silent"
        found.append(message)
    return found


@contextlib.contextmanager
def listening(server: ChildServer) -> Iterator[PoseSubscriber]:
    with PoseSubscriber(server.pose_endpoint) as subscriber:
        wait_until(lambda: subscriber.heartbeat is not None)
        yield subscriber


def renamed(model: Path, folder: Path, name: str) -> Path:
    """A copy of a model that says it is another."""
    shutil.copytree(model, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"name": name}))
    return folder


def test_a_reload_under_load_loses_no_frame_and_changes_the_model_once(
    model: Path, tmp_path: Path
) -> None:
    other, bad = renamed(model, tmp_path / "other", "other"), tmp_path / "bad"
    shutil.copytree(other, bad)
    next(bad.glob("*.onnx")).write_bytes(b"nothing")
    with (
        child_server(["--model", str(model), *PATIENT]) as server,
        listening(server) as subscriber,
        ControlClient(f"tcp://{LOCAL}:{server.announcement['control_port']}") as control,
        Rigs(server) as rigs,
    ):
        endpoint = f"tcp://{LOCAL}:{server.announcement['control_port']}"
        wait_until(lambda: rigs.sent > 40)
        refused = run_here("control", "reload", bad, "--server", endpoint)
        assert refused.code == 1
        assert "the server refuses reload" in refused.sentence
        changed = run_here("control", "reload", other, "--server", endpoint, "--json")
        assert json.loads(changed.out)["model"]["id"] == "other"
        sent = rigs.sent + 20
        found = poses_until(subscriber, sent)
        counters = control.status()["counters"]
    assert (counters["reloads"], counters["reloads_refused"]) == (1, 1)
    assert {name: counters[name] for name in ("late", "gap", "shed", "internal_errors")} == {
        "late": 0, "gap": 0, "shed": 0, "internal_errors": 0,
    }  # fmt: skip
    for rig in ("rig0", "rig1"):
        own = [message for message in found if message.rig == rig]
        assert [message.src.seq for message in own] == list(range(len(own)))
        models = [message.model.id for message in own]
        assert sum(one != other for one, other in itertools.pairwise(models)) == 1
        assert (models[0], models[-1]) == ("small", "other")
        assert {message.state for message in own[40:]} == {("ok",)}
        assert {tuple(message.ids.tolist()) for message in own} == {(4,)}


def test_a_hangup_reads_the_model_anew(model: Path, tmp_path: Path) -> None:
    folder = renamed(model, tmp_path / "model", "first")
    with (
        child_server(["--model", str(folder)]) as server,
        listening(server) as subscriber,
        Rigs(server),
    ):
        assert (message := subscriber.receive(WAIT_S)) is not None
        assert message.model.id == "first"
        shutil.rmtree(folder)
        renamed(model, folder, "second")
        os.kill(server.pid, signal.SIGHUP)
        wait_until(lambda: (found := subscriber.receive(WAIT_S)) is not None
                   and found.model.id == "second")  # fmt: skip


FROZEN = """
import sys, zmq
socket = zmq.Context().socket(zmq.SUB)
socket.subscribe(b"")
socket.connect(sys.argv[1])
socket.recv_multipart()
print("attached", flush=True)
while True:
    socket.recv_multipart()
"""


def test_a_frozen_subscriber_costs_the_others_nothing(model: Path) -> None:
    with (
        child_server(["--model", str(model), *PATIENT]) as server,
        process(
            [sys.executable, "-c", FROZEN, server.pose_endpoint],
            stdout=subprocess.PIPE, text=True, env=ENVIRONMENT,
        ) as frozen,
        listening(server) as subscriber,
        Rigs(server) as rigs,
    ):  # fmt: skip
        assert frozen.stdout is not None
        assert frozen.stdout.readline() == "attached\n"
        frozen.send_signal(signal.SIGSTOP)
        found = poses_until(subscriber, rigs.sent + 2 * SEND_HWM)
    for rig in ("rig0", "rig1"):
        own = [message.src.seq for message in found if message.rig == rig]
        assert own == list(range(len(own)))
