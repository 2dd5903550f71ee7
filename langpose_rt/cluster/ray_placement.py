"""Lifters placed by Ray: one actor each, on the machines and GPUs that a Ray cluster has.

Ray places, restarts and ends; an actor runs one lifter as a process and says where it is. Neither a
frame nor a pose passes through Ray. The front finds out about a death by itself, within half a
second; Ray only starts the lifter again.
"""

import contextlib
import importlib
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langpose_rt.cluster.placement import ProcessPlacement
from langpose_rt.errors import ConfigError

_POLL_S = 0.2
_ANSWER_S = 2.0
_START_S = 60.0


class LifterActor:
    """The actor: a lifter on the machine that Ray chose.

    Args:
        lifter: Its name.
        options: Further options of ``serve``.
        loopback: Listen to this machine only.
    """

    def __init__(self, lifter: str, options: Sequence[str], *, loopback: bool) -> None:
        bind = "127.0.0.1" if loopback else _own_address()
        self._lifter = lifter
        self._process = ProcessPlacement(0, options, bind=bind)
        self._process.start(lifter)

    def address(self) -> str | None:
        """Return the control endpoint; None until it is up."""
        return self._process.addresses().get(self._lifter)

    def stop(self) -> None:
        """End the lifter."""
        self._process.stop()


class RayPlacement:
    """Lifters as actors of a Ray cluster.

    Args:
        count: Number of lifters.
        options: Further options of ``serve``.
        log: Receives a line when a lifter cannot be reached through Ray.
        address: Of the Ray cluster, or "auto"; None starts Ray on this machine.
        gpus_per_lifter: GPUs that Ray reserves for each.

    Raises:
        ConfigError: If Ray is not installed or there is no such cluster.
    """

    def __init__(
        self,
        count: int,
        options: Sequence[str],
        log: Callable[[str], None] = lambda _: None,
        *,
        address: str | None = None,
        gpus_per_lifter: float = 0.0,
    ) -> None:
        self._ray = _ray_at(address)
        self._log, self._lock = log, threading.Lock()
        self._addresses: dict[str, str] = {}
        self._retired: set[str] = set()
        actor = self._ray.remote(
            max_restarts=-1, num_cpus=1 if not gpus_per_lifter else 0, num_gpus=gpus_per_lifter
        )(LifterActor)
        self._actors = {
            f"lifter-{number}": actor.remote(
                f"lifter-{number}", list(options), loopback=address is None
            )
            for number in range(count)
        }
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="ray", daemon=True)
        self._thread.start()

    def addresses(self) -> Mapping[str, str]:
        """Return the control endpoint of every lifter that runs, by name."""
        with self._lock:
            return dict(self._addresses)

    def retire(self, lifter: str) -> None:
        """Start this lifter not again once it ends."""
        self._retired.add(lifter)

    def stop(self) -> None:
        """End all lifters and leave the Ray cluster."""
        self._stopping.set()
        self._thread.join()
        for actor in self._actors.values():
            with contextlib.suppress(Exception):  # whatever Ray says, it is to end
                self._ray.get(actor.stop.remote(), timeout=_START_S)
                self._ray.kill(actor)
        self._ray.shutdown()

    def kill(self, lifter: str) -> None:
        """Kill the process of an actor, as a fault would; Ray starts it again."""
        self._ray.kill(self._actors[lifter], no_restart=False)

    def _follow(self) -> None:
        """Ask every actor where its lifter is."""
        while not self._stopping.wait(_POLL_S):
            for lifter, actor in self._actors.items():
                where = None if lifter in self._retired else self._address_of(actor)
                with self._lock:
                    if where is None:
                        self._addresses.pop(lifter, None)
                    else:
                        self._addresses[lifter] = where

    def _address_of(self, actor: Any) -> str | None:
        try:
            answer: str | None = self._ray.get(actor.address.remote(), timeout=_ANSWER_S)
        except Exception as error:  # noqa: BLE001 - Ray has many; the lifter is not there now
            self._log(f"Ray says: {str(error).splitlines()[0][:200]}")
            return None
        return answer


def _ray_at(address: str | None) -> Any:
    try:
        import ray
    except ModuleNotFoundError:
        raise ConfigError(
            "Ray is not installed; install with 'pip install \"langpose-rt[cluster]\"', or leave "
            "--address out and the lifters are processes of this machine"
        ) from None
    try:
        ray.init(
            address=address,
            include_dashboard=False,
            log_to_driver=False,
            configure_logging=False,
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"no Ray cluster at {address}: {str(error).splitlines()[0][:200]}; start one with "
            "'ray start --head'"
        ) from None
    return ray


def _own_address() -> str:
    """Return the address of this machine in the Ray cluster."""
    ray = importlib.import_module("ray")  # partly typed, where it is installed
    return str(ray.util.get_node_ip_address())
