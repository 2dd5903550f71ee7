"""A publisher that is killed and started again, a hundred times: how soon poses come again.

python -m tests.benchmarks.restarts --times 100

Every publisher is a process of its own, ended by SIGKILL in the middle of its frames. Prints how
long after the kill, and after the next one's first frame, the first pose of the new epoch came,
and how many poses of an epoch came after one of a later epoch; there must be none.
"""

import argparse
import multiprocessing
import time
from multiprocessing.connection import Connection as Pipe

import numpy as np

from langpose_rt.benchmark.child_server import child_server
from langpose_rt.benchmark.crowd import Crowd
from langpose_rt.benchmark.playback import publisher_of_clip, wait_for_server
from langpose_rt.client.address import Connection
from langpose_rt.config import NS_PER_S
from tests.benchmarks.ledger import Ledger, listening
from tests.benchmarks.origin import print_report

RATE_HZ = 60.0
POSES_BETWEEN = 15
_WAIT_S = 10.0


def _publish(endpoint: str, pipe: "Pipe") -> None:
    """Publish until killed; says when the first frame was sent."""
    crowd = Crowd(1, rate_hz=RATE_HZ, first_ns=0)
    rig = publisher_of_clip(crowd.clip, Connection(endpoint=endpoint), "load0", "cam0")
    wait_for_server(rig)
    pipe.send(time.time_ns())
    frame = 0
    while True:
        rig.publish(crowd.keypoints(frame), [0])
        frame += 1
        time.sleep(1 / RATE_HZ)


def wait_for(ledger: Ledger, poses: int, *, after: int) -> float:
    """Seconds until that many poses of another epoch than that of an entry have come."""
    begun_s = time.monotonic()
    old = ledger.epoch[after - 1] if after else None
    while sum(epoch != old for epoch in ledger.epoch[after:]) < poses:
        assert time.monotonic() - begun_s < _WAIT_S, "no pose of the new publisher came"
        time.sleep(0.002)
    return time.monotonic() - begun_s


def restarts(endpoint: str, ledger: Ledger, times: int) -> tuple[list[int], list[int]]:
    """Unix times of every kill, and of every publisher's first frame."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["langpose_rt.benchmark.crowd", "langpose_rt.benchmark.playback"]
    )
    killed_ns, first_ns = [], []
    for _ in range(times + 1):
        here, there = context.Pipe()
        after = len(ledger)
        process = context.Process(target=_publish, args=(endpoint, there), daemon=True)
        process.start()
        first_ns.append(here.recv())
        wait_for(ledger, POSES_BETWEEN, after=after)
        process.kill()
        killed_ns.append(time.time_ns())
        process.join()
    return killed_ns[:-1], first_ns[1:]


def figures(ledger: Ledger, killed_ns: list[int], first_ns: list[int]) -> dict[str, object]:
    """Everything that is reported, by name."""
    epochs = np.array(ledger.epoch)
    order = list(dict.fromkeys(epochs.tolist()))
    number = np.array([order.index(epoch) for epoch in epochs.tolist()])
    arrived_ns = np.array([ledger.arrived_ns[int(np.argmax(epochs == one))] for one in order[1:]])
    after_kill_s = (arrived_ns - np.array(killed_ns)) / NS_PER_S
    after_first_s = (arrived_ns - np.array(first_ns)) / NS_PER_S
    return {
        "restarts": len(killed_ns),
        "epochs_seen": len(order),
        "poses": len(ledger),
        "poses_of_an_old_epoch": int((number < np.maximum.accumulate(number)).sum()),
        "after_the_kill_s_p50_max": np.quantile(after_kill_s, (0.5, 1)).tolist(),
        "after_the_first_frame_s_p50_max": np.quantile(after_first_s, (0.5, 1)).tolist(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with child_server([]) as server, listening(server.pose_endpoint) as ledger:
        killed_ns, first_ns = restarts(server.keypoint_endpoint, ledger, arguments.times)
    report = figures(ledger, killed_ns, first_ns)
    print_report("restarts", report, as_json=arguments.json)


if __name__ == "__main__":
    main()
