"""Live fusion through real sockets: what is shed, what a tick costs, and what it adds to a pose.

python -m tests.benchmarks.fusion_live [--cameras 8] [--people 2] [--seconds 20]

Every way of running it is measured: without fusion, on the lift thread after its poses are out (as
the server does it), and on a thread of its own. The server is a process of its own; this one sends.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time

import numpy as np
import zmq

from langpose_rt.formats.volume_calibration import VolumeCalibration
from langpose_rt.pipeline.config import PipelineConfig
from langpose_rt.protocol.messages import KeypointMessage, decode_pose, encode_keypoints
from langpose_rt.runtime.registry import open_backend
from langpose_rt.server.config import ServerConfig
from langpose_rt.server.server import Server
from tests.benchmarks.origin import print_report
from tests.fusion.rigs import SIZE, body, ring, seen_by

WAYS = ("off", "lift thread", "own thread")
RATE_HZ = 60


def serve(way: str, cameras: int, wait_ms: float) -> None:
    """Serve until stdin is closed; print the ports first, and the figures at the end."""
    volume = VolumeCalibration(name="ring", cameras=ring(cameras))
    pipeline = PipelineConfig(fuse=way != "off", fuse_wait_ms=wait_ms)
    server = Server(
        open_backend(None, slots=64), ServerConfig(port=0, http_port=None, pipeline=pipeline),
        volume.cameras, volumes=[volume],
    )  # fmt: skip
    cpu_ms, wall_ms, added_ms, waited_ms = [], [], [], []
    fuse = server.pipeline.fuse

    def timed(now_ns: int, *, everything: bool = False) -> list[list[bytes]]:
        cpu_s, wall_s = time.thread_time(), time.perf_counter()
        found = fuse(now_ns, everything=everything)
        if found:
            cpu_ms.append(1000 * (time.thread_time() - cpu_s) / len(found))
            wall_ms.append(1000 * (time.perf_counter() - wall_s) / len(found))
        for parts in found:
            lat = decode_pose(parts).lat
            added_ms.append((lat.rx + lat.post) / 1e6)
            waited_ms.append(lat.rx / 1e6)
        return found

    def alone() -> None:
        while not server.wait(0.001):
            timed(server.now_ns())

    server.pipeline.fuse = timed if way != "own thread" else lambda *_, **__: []  # type: ignore[method-assign]
    server.start()
    if way == "own thread":
        threading.Thread(target=alone, daemon=True).start()
    print(json.dumps({"port": server.ports.keypoints}), flush=True)
    sys.stdin.read()
    stats = server.pipeline.snapshot(server.now_ns())
    totals = {name: sum(s.totals[name] for s in stats.streams) for name in ("accepted", "shed")}
    server.stop()
    middle = {
        name: [float(q) for q in np.quantile(values, (0.5, 0.99))] if values else [0.0, 0.0]
        for name, values in (
            ("tick CPU ms", cpu_ms), ("tick wall ms", wall_ms),
            ("fused pose added ms", added_ms), ("of which waited ms", waited_ms),
        )
    }  # fmt: skip
    print(
        json.dumps(
            totals | {"single ms": [stats.p50_ms, stats.p99_ms], "instants": len(cpu_ms)} | middle
        )
    )


def messages(cameras: int, people: int, seconds: float) -> list[tuple[float, bytes, list[bytes]]]:
    """When each camera sends what: people who walk to and fro in front of all of them."""
    rng, found = np.random.default_rng(0), []
    for number, (name, camera) in enumerate(ring(cameras).items()):
        for seq in range(round(seconds * RATE_HZ)):
            t_s = seq / RATE_HZ + number * 0.001
            joints = np.stack([
                body(1.2 * np.sin(t_s + 2.0 * person), 0.8 * person - 0.4, turned=t_s)
                for person in range(people)
            ])  # fmt: skip
            keypoints = seen_by(camera, joints).astype(np.float32)
            keypoints[..., :2] += rng.normal(0, 2, keypoints[..., :2].shape)
            message = KeypointMessage(
                rig=f"rig{number}", camera=name, epoch=5, seq=seq, t_ns=round(t_s * 1e9),
                skeleton="h36m17", wh=SIZE, keypoints=keypoints, ids=np.arange(people),
            )  # fmt: skip
            found.append((t_s, f"rig{number}".encode(), encode_keypoints(message)))
    return sorted(found, key=lambda one: one[0])


def measure(way: str, arguments: argparse.Namespace) -> dict[str, object]:
    """Play everything to a server that fuses this way."""
    command = [sys.executable, "-m", "tests.benchmarks.fusion_live", "--serve", way]
    command += ["--cameras", str(arguments.cameras), "--wait-ms", str(arguments.wait_ms)]
    sent = messages(arguments.cameras, arguments.people, arguments.seconds)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        port = json.loads(child.stdout.readline())["port"]
        sockets = {}
        for name in {name for _, name, _ in sent}:
            sockets[name] = context.socket(zmq.XPUB)
            sockets[name].connect(f"tcp://127.0.0.1:{port}")
            sockets[name].recv()
        began_s, behind_s = time.monotonic() + 0.2, 0.0
        for t_s, name, parts in sent:
            left_s = began_s + t_s - time.monotonic()
            behind_s = max(behind_s, -left_s)
            time.sleep(max(left_s, 0))
            sockets[name].send_multipart(parts)
        time.sleep(1.0)
        out, _ = child.communicate()
    context.destroy(linger=0)
    return json.loads(out.splitlines()[-1]) | {"sender behind ms": 1000 * behind_s}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cameras", type=int, default=8)
    parser.add_argument("--people", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--wait-ms", type=float, default=20.0)
    parser.add_argument("--way", choices=WAYS, help="only this way (default: all)")
    parser.add_argument("--serve", choices=WAYS, help="be the server")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve, arguments.cameras, arguments.wait_ms)
        return
    report: dict[str, object] = {"load of the machine": os.getloadavg()[0]}
    for way in [arguments.way] if arguments.way else WAYS:
        found = measure(way, arguments)
        report |= {f"{way}: {name}": value for name, value in found.items()}
    print_report("fusion_live", report, as_json=arguments.json)


if __name__ == "__main__":
    main()
