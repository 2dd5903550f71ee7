"""Placement of lifters: who starts them, and where they are.

A placement starts lifters, starts them again when they end, and knows the control address of each.
Poses never pass through it. `ProcessPlacement` needs nothing but this machine; the one with Ray is
in `ray_placement.py`.
"""

import contextlib
import json
import os
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from langpose_rt.benchmark.child_server import own_command
from langpose_rt.errors import ConfigError

RESTART_S = 0.5
"""Pause before a lifter that has ended is started again; doubled each time up to the longest."""

LONGEST_RESTART_S = 10.0
_STOP_S = 5.0
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@runtime_checkable
class Placement(Protocol):
    """Starts lifters and knows where they are."""

    def addresses(self) -> Mapping[str, str]:
        """Return the control endpoint of every lifter that runs, by name."""
        ...

    def retire(self, lifter: str) -> None:
        """Start this lifter not again once it ends."""
        ...

    def stop(self) -> None:
        """End all lifters."""
        ...


class FixedPlacement:
    """Lifters that somebody else starts.

    Args:
        endpoints: Control endpoints; a lifter is named after its own.
    """

    def __init__(self, endpoints: Sequence[str]) -> None:
        self._addresses = {_name_of(endpoint): endpoint for endpoint in endpoints}

    def addresses(self) -> Mapping[str, str]:
        """Return the control endpoint of every lifter, by name."""
        return dict(self._addresses)

    def retire(self, lifter: str) -> None:
        """Forget a lifter."""
        self._addresses.pop(lifter, None)

    def stop(self) -> None:
        """Do nothing: they go on."""


class JointPlacement:
    """Lifters of several placements together."""

    def __init__(self, *placements: Placement) -> None:
        self._placements = placements

    def addresses(self) -> Mapping[str, str]:
        """Return the control endpoint of every lifter that runs, by name."""
        found: dict[str, str] = {}
        for placement in self._placements:
            found |= placement.addresses()
        return found

    def retire(self, lifter: str) -> None:
        """Start this lifter not again once it ends."""
        for placement in self._placements:
            placement.retire(lifter)

    def stop(self) -> None:
        """End all lifters."""
        for placement in self._placements:
            placement.stop()


class ProcessPlacement:
    """Lifters as processes of this machine.

    Args:
        count: Number of lifters.
        options: Further options of ``serve``.
        log: Receives a line when a lifter ends.
        gpus_per_lifter: GPUs of this machine that each lifter sees, one after the other; 0 for all.
        bind: Address they listen on.

    Attributes:
        pids: Process ids by lifter.
    """

    def __init__(
        self,
        count: int,
        options: Sequence[str],
        log: Callable[[str], None] = lambda _: None,
        *,
        gpus_per_lifter: int = 0,
        bind: str = "127.0.0.1",
    ) -> None:
        self._options, self._log = [*options, "--bind", bind], log
        self._gpus_per_lifter, self._bind = gpus_per_lifter, bind
        self._gpus: dict[str, str] = {}
        self._stopping = threading.Event()
        self._addresses: dict[str, str] = {}
        self._retired: set[str] = set()
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        for number in range(count):
            self.start(f"lifter-{number}")

    @property
    def pids(self) -> dict[str, int]:
        """Process ids by lifter."""
        with self._lock:
            return {name: process.pid for name, process in self._processes.items()}

    def start(self, lifter: str) -> None:
        """Start one more lifter."""
        self._retired.discard(lifter)
        first = len(self._gpus) * self._gpus_per_lifter
        seen = range(first, first + self._gpus_per_lifter)
        self._gpus[lifter] = ",".join(map(str, seen))
        thread = threading.Thread(target=self._keep, args=[lifter], name=lifter, daemon=True)
        self._threads.append(thread)
        thread.start()

    def addresses(self) -> Mapping[str, str]:
        """Return the control endpoint of every lifter that runs, by name."""
        with self._lock:
            return dict(self._addresses)

    def retire(self, lifter: str) -> None:
        """Start this lifter not again once it ends."""
        self._retired.add(lifter)

    def stop(self) -> None:
        """End all lifters: they drain, or are killed after five seconds."""
        self._stopping.set()
        with self._lock:
            for process in self._processes.values():
                process.terminate()
        for thread in self._threads:
            thread.join()

    def _keep(self, lifter: str) -> None:
        """Run a lifter until it is retired, again and again."""
        pause_s = RESTART_S
        while not self._stopping.is_set() and lifter not in self._retired:
            process = self._spawn(lifter)
            try:
                assert process.stdout is not None
                line = process.stdout.readline()
                if line:
                    pause_s = RESTART_S
                    with self._lock:
                        port = json.loads(line)["control_port"]
                        self._addresses[lifter] = f"tcp://{self._bind}:{port}"
                self._wait(process)
            finally:
                with self._lock:
                    self._addresses.pop(lifter, None)
                    self._processes.pop(lifter, None)
            if not (self._stopping.is_set() or lifter in self._retired):
                self._log(f"{lifter} has ended with code {process.returncode}; it starts again")
                self._stopping.wait(pause_s)
                pause_s = min(2 * pause_s, LONGEST_RESTART_S)

    def _spawn(self, lifter: str) -> "subprocess.Popen[str]":
        words = [*own_command(), "--log-level", "warning"]
        words += ["serve", *LIFTER_OPTIONS, "--name", lifter, *self._options]
        with self._lock:
            process = self._processes[lifter] = subprocess.Popen(  # noqa: S603 - this package
                words,
                stdin=subprocess.PIPE,  # it ends when this process does
                stdout=subprocess.PIPE,
                text=True,
                env=os.environ | _ONE_THREAD | self._visible(lifter),
            )
        if self._stopping.is_set():
            process.terminate()
        return process

    def _visible(self, lifter: str) -> dict[str, str]:
        gpus = self._gpus.get(lifter, "")
        return {"CUDA_VISIBLE_DEVICES": gpus} if gpus else {}

    def _wait(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.closing(process.stdout), contextlib.closing(process.stdin):
            while process.poll() is None:
                if self._stopping.is_set():
                    try:
                        process.wait(_STOP_S)
                    except subprocess.TimeoutExpired:
                        process.kill()
                else:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(0.2)


LIFTER_OPTIONS = (
    *("--port", "0", "--no-http", "--json", "--end-with-stdin"),
    *("--max-streams", "4096", "--behind-front"),
)
"""Options of ``serve`` that every lifter of ours has; later ones replace them."""


def key_options(folder: Path | None) -> list[str]:
    """Return the options of ``serve`` for keys between front and lifters.

    Args:
        folder: Holds the lifters' `server.key_secret` and the front's `front.key`; None for none.

    Raises:
        ConfigError: If a file is missing.
    """
    if folder is None:
        return []
    for name in ("server.key_secret", "front.key", "front.key_secret"):
        if not (folder / name).is_file():
            raise ConfigError(
                f"there is no {folder / name}; make it with 'langpose-rt keys new "
                f"{name.partition('.')[0]} --dir {folder}'"
            )
    return ["--keys", str(folder), "--front", FRONT, "--admin", FRONT]


FRONT = "front"
"""Name of the front's key at the lifters."""


def _name_of(endpoint: str) -> str:
    """Return a name from an endpoint: what a topic may hold."""
    return endpoint.removeprefix("tcp://").replace(":", "-").replace("[", "").replace("]", "")
