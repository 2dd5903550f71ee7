"""What an open page of the live viewer costs the server, and whether the page keeps up.

python -m tests.benchmarks.viewer --persons 8 --repeats 4 --seconds 5

Blocks without a page in Chromium, with one, and with one that shows 2D take turns; at the end the
browser is frozen (SIGSTOP) while a subscriber counts that its poses go on.
"""

import argparse
import os
import shlex
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from langpose_rt.benchmark.child_server import ChildServer, child_server
from langpose_rt.client.subscriber import PoseSubscriber
from tests.benchmarks.origin import origin
from tests.benchmarks.watch import watching
from tests.end_to_end.browser import browser_page

_SETTLE_S = 2.0


@contextmanager
def crowd(server: ChildServer, persons: int, rate_hz: float) -> Any:
    """A rig in a process of its own."""
    plan = ("--synthetic", f"1x{persons}@{rate_hz:g}", "--server", server.keypoint_endpoint)
    words = [sys.executable, "-m", "langpose_rt", "publish", *plan]
    rig = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        rig.terminate()
        rig.wait()


def cpu_share(server: ChildServer, seconds: float) -> float:
    """Cores the server uses over so many seconds."""
    with watching(server) as watch:
        time.sleep(seconds)
    return watch.cpu_share()


def lag_frames(page: Any, poses: PoseSubscriber, seconds: float) -> list[int]:
    """How far the drawn frame is behind the newest one, again and again."""
    lags, newest, until_s = [], 0, time.monotonic() + seconds
    while time.monotonic() < until_s:
        while (message := poses.receive(0.0)) is not None:
            newest = message.seq
        drawn = int(page.evaluate("() => document.body.dataset.drawn").split()[-1])
        lags.append(newest - drawn)
        time.sleep(0.1)
    return lags


def children_of(pid: int) -> list[int]:
    """A process's descendants."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == pid:
            found += [int(stat.parent.name), *children_of(int(stat.parent.name))]
    return found


def freeze(server: ChildServer, poses: PoseSubscriber, seconds: float) -> None:
    """Stop the browser, and say what a subscriber got and when the page was cut."""
    port = int(server.announcement["http_port"])
    browser = [
        pid
        for pid in children_of(os.getpid())
        if b"chrom" in Path(f"/proc/{pid}/exe").readlink().name.encode()
    ]
    for pid in browser:
        os.kill(pid, signal.SIGSTOP)
    begun_s, frames, cut_s = time.monotonic(), 0, None
    while time.monotonic() < begun_s + seconds:
        frames += poses.receive(0.1) is not None
        held = any(
            row.split()[1].endswith(f":{port:04X}") and row.split()[3] == "01"
            for row in Path("/proc/net/tcp").read_text().splitlines()[1:]
        )
        if cut_s is None and not held:
            cut_s = time.monotonic() - begun_s
    print(
        f"browser frozen: {frames / seconds:.1f} frames/s to a subscriber, "
        f"page cut after {'more' if cut_s is None else f'{cut_s:.1f}'} s"
    )
    for pid in browser:
        os.kill(pid, signal.SIGCONT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--persons", type=int, default=8)
    parser.add_argument("--rate-hz", type=float, default=60.0)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of a block")
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--frozen-s", type=float, default=25.0)
    arguments = parser.parse_args()
    without, with_page, with_2d, lags = [], [], [], []
    with (
        child_server([]) as server,
        crowd(server, arguments.persons, arguments.rate_hz),
        browser_page() as page,
        PoseSubscriber(server.pose_endpoint) as poses,
    ):
        url = f"http://127.0.0.1:{server.announcement['http_port']}/"
        for _ in range(arguments.repeats):
            page.goto("about:blank")
            time.sleep(_SETTLE_S)
            without.append(cpu_share(server, arguments.seconds))
            page.goto(url)
            page.wait_for_function("() => Number(document.body.dataset.skeletons) > 0")
            time.sleep(_SETTLE_S)
            with_page.append(cpu_share(server, arguments.seconds))
            lags += lag_frames(page, poses, arguments.seconds)
            page.click("#twod")
            page.wait_for_selector("#pictures figure[data-people]")
            time.sleep(_SETTLE_S)
            with_2d.append(cpu_share(server, arguments.seconds))
        print(origin("python -m tests.benchmarks.viewer " + shlex.join(sys.argv[1:])))
        print(f"{arguments.persons} people x {arguments.rate_hz:g} Hz")
        for name, shares in (
            ("no page", without),
            ("one page", with_page),
            ("one page with 2D", with_2d),
        ):
            percent = 100 * np.array(shares)
            low, middle = percent.min(), np.median(percent)
            print(f"server with {name}: {low:.1f} min / {middle:.1f} median % of a core")
        print(f"page behind by {np.median(lags):.0f} median / {max(lags)} most frames")
        if arguments.frozen_s:
            freeze(server, poses, arguments.frozen_s)


if __name__ == "__main__":
    main()
