"""The guide's walk-through of two machines, word for word, between two network namespaces."""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import ENVIRONMENT, ROOT

ADDRESSES = {"server": "10.77.0.1", "rig": "10.77.0.2"}
WAIT_S = 60.0
ENDLESS = ("langpose-rt serve", "langpose-rt publish", "python")
"""What goes on until it is stopped."""

SCP = """#!/bin/sh
# scp between folders: 10.77.0.1:keys/ is keys/ of the server
for word in "$@"; do
  case "$word" in 10.77.0.1:*) word="{server}/${{word#*:}}" ;; esac
  set -- "$@" "$word"; shift
done
exec cp "$@"
"""


def ip(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=False, timeout=10)


def section() -> str:
    """The guide's section about two machines."""
    text = (ROOT / "docs" / "guides" / "deployment.md").read_text(encoding="utf-8")
    found = re.search(r"^## Two machines\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    assert found is not None, 'docs/guides/deployment.md has no section "Two machines"'
    return found[1]


def fenced(language: str) -> str:
    """The section's one block in that language."""
    (block,) = re.findall(rf"^```{language}\n(.*?)^```$", section(), re.DOTALL | re.MULTILINE)
    return str(block)


class Machine:
    """A namespace with an address, a home folder, and commands on its path."""

    def __init__(self, name: str, home: Path, path: Path) -> None:
        self.namespace, self.home = f"lprt-{os.getpid()}-{name}", home
        self._environment = ENVIRONMENT | {"PATH": f"{path}:{os.environ['PATH']}"}
        self._started: list[subprocess.Popen[str]] = []

    def done(self, line: str) -> "subprocess.CompletedProcess[str]":
        """A command to its end."""
        return subprocess.run(
            self._words(line), cwd=self.home, env=self._environment, capture_output=True,
            text=True, check=False, timeout=WAIT_S,
        )  # fmt: skip

    def started(self, line: str) -> Path:
        """A command that goes on; the file with what it says."""
        said = self.home / f"said{len(self._started)}.txt"
        with said.open("w") as file:
            self._started.append(
                subprocess.Popen(
                    self._words(line), cwd=self.home, env=self._environment, stdout=file,
                    stderr=file, text=True, start_new_session=True,
                )
            )  # fmt: skip
        return said

    def close(self) -> None:
        """End what goes on, and the namespace with its devices."""
        for process in self._started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
        ip("netns", "del", self.namespace)

    def _words(self, line: str) -> list[str]:
        return ["ip", "netns", "exec", self.namespace, *shlex.split(line)]


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[dict[str, Machine]]:
    """Two machines that reach nobody but each other."""
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    if shutil.which("ip") is None:
        pytest.skip("there is no ip command; install iproute2")
    path = tmp_path / "bin"
    path.mkdir()
    commands = {
        "scp": SCP.format(server=tmp_path / "server"),
        "langpose-rt": f'#!/bin/sh\nexec {sys.executable} -m langpose_rt "$@"\n',
        "python": f'#!/bin/sh\nexec {sys.executable} -u "$@"\n',
    }
    for name, script in commands.items():
        (path / name).write_text(script)
        (path / name).chmod(0o755)
    found = {name: Machine(name, tmp_path / name, path) for name in ADDRESSES}
    try:
        for machine in found.values():
            machine.home.mkdir()
            if (made := ip("netns", "add", machine.namespace)).returncode:
                pytest.skip(f"no network namespaces here: {made.stderr.strip()}")
        server, rig = (machine.namespace for machine in found.values())
        # both ends are born in their namespaces: this machine's own network sees nothing of them
        words = "link add lprt netns {} type veth peer name lprt netns {}"
        if (made := ip(*words.format(server, rig).split())).returncode:
            pytest.skip(f"no virtual network here: {made.stderr.strip()}")
        for name, machine in found.items():
            for line in (
                f"addr add {ADDRESSES[name]}/24 dev lprt",
                "link set lprt up",
                "link set lo up",
            ):
                assert not (done := ip("-n", machine.namespace, *line.split())).returncode, done
        yield found
    finally:
        for machine in found.values():
            machine.close()


def wait_for(file: Path, words: str, count: int) -> None:
    """Wait until a command has said something so often."""
    until_s = time.monotonic() + WAIT_S
    while file.read_text().count(words) < count:
        assert time.monotonic() < until_s, file.read_text()
        time.sleep(0.05)


def without_keys_nothing_is_reached(rig: Machine) -> None:
    """A stranger publishes and asks; both end in one sentence."""
    clip = "langpose_rt/assets/demo/pose2sim_balancing_cam01.npz"
    for command in (
        f"publish {clip} --rig stranger --wait-s 2 --server tcp://{ADDRESSES['server']}:5555",
        f"control status --timeout-s 2 --server tcp://{ADDRESSES['server']}:5557",
    ):
        done = rig.done(f"langpose-rt {command}")
        assert done.returncode == 1, done.stdout
        assert len(done.stderr.splitlines()) == 1, done.stderr


def test_the_walk_through_works_and_a_stranger_stays_outside(
    machines: dict[str, Machine],
) -> None:
    rig = machines["rig"]
    (rig.home / "langpose_rt").symlink_to(ROOT / "langpose_rt")
    (rig.home / "consumer.py").write_text(fenced("python"))
    said: dict[str, Path] = {}
    last: dict[str, str] = {}
    for line in fenced("").splitlines():
        where, command = re.fullmatch(r"(server|rig)\$ +(.+)", line).groups()  # type: ignore[union-attr]
        if command.startswith(ENDLESS):
            said[command.split()[-1]] = machines[where].started(command)
            if " serve " in command:
                wait_for(said["keys"], "keypoints in", 1)
            continue
        done = machines[where].done(command)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        last[command] = done.stdout
    heard = said["consumer.py"]
    wait_for(heard, "rig0 [", 10)
    assert "Traceback" not in heard.read_text()
    (status,) = (command for command in last if "control status" in command)
    assert json.loads(last[status])["rejected"] == {}

    without_keys_nothing_is_reached(rig)
    now = json.loads(rig.done(status).stdout)
    assert sum(now["rejected"].values()) >= 2
    # who sees first that only one side has keys is chance
    assert set(now["rejected"]) <= {"not_encrypted", "no_handshake"}
    assert [stream["rig"] for stream in now["streams"]] == ["rig0"]
