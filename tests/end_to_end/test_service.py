"""`serve` as a service: what systemd is told, and what is written to the log."""

import json
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.commands import COMMAND, ENVIRONMENT
from tests.peers import peers

WAIT_S = 60.0


@contextmanager
def serving(
    *words: object, log: Path, **environment: str
) -> Iterator[tuple["subprocess.Popen[str]", dict[str, int]]]:
    """A server in a process of its own, and its ports."""
    ports = ("serve", "--port", "0", "--http-port", "0", "--json")
    with log.open("w") as err:
        process = subprocess.Popen(
            [*COMMAND, *map(str, words), *ports], stdout=subprocess.PIPE, stderr=err, text=True,
            env=ENVIRONMENT | environment,
        )  # fmt: skip
    assert process.stdout is not None
    with process.stdout:
        try:
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()
            process.wait()


def page(port: int, path: str) -> str:
    """Text of a page."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=WAIT_S) as reply:
        return str(reply.read().decode())


def told_until(channel: socket.socket, word: str) -> list[str]:
    """Lines that systemd hears, up to this one."""
    lines: list[str] = []
    while word not in lines:
        lines += channel.recv(4096).decode().split("\n")
    return lines


def test_systemd_hears_ready_life_and_stopping(tmp_path: Path) -> None:
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(address))
        channel.settimeout(WAIT_S)
        told = {"NOTIFY_SOCKET": str(address), "WATCHDOG_USEC": "600000"}
        with serving(log=tmp_path / "log", **told) as (process, ports):
            told_until(channel, "READY=1")
            assert page(ports["http_port"], "/readyz") == "ready\n"
            told_until(channel, "WATCHDOG=1")
            told_until(channel, "WATCHDOG=1")
            process.send_signal(signal.SIGHUP)
            told_until(channel, "RELOADING=1")
            told_until(channel, "READY=1")
            process.send_signal(signal.SIGTERM)
            told_until(channel, "STOPPING=1")
            assert process.wait(WAIT_S) == 0


def test_garbage_at_a_kilohertz_is_a_few_lines_that_name_the_stream(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with serving("--log-format", "json", log=log) as (process, ports), peers() as found:
        rig = found.publisher(ports["port"])
        for _ in range(2000):
            rig.send_multipart([b"kp2d/rig0/cam0/", b"\x81garbage", b""])
            time.sleep(0.0005)
        deadline_s = time.monotonic() + WAIT_S
        while json.loads(page(ports["http_port"], "/status"))["counters"]["rejected"] < 2000:
            assert time.monotonic() < deadline_s
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_S) == 0
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    rejects = [line for line in lines if line.get("kind") == "reject"]
    reasons = [line["reason"] for line in rejects]
    assert all(reasons.count(reason) <= 2 for reason in reasons), (
        "the first, and the rest at the end"
    )
    assert all(line["stream"] == "kp2d/rig0/cam0/" for line in rejects)
    assert sum(line["count"] for line in rejects) == 2000
