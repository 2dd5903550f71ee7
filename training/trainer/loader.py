"""Batch loader: worker processes make batches ahead of the training step, in a fixed order.

batches.py and screen_batches.py define the batches; this module draws no random numbers.
"""

import multiprocessing
import queue
import signal
from collections.abc import Callable, Iterator
from multiprocessing.context import SpawnContext
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any

from langpose_rt.errors import LangPoseError
from training.synthesis.batches import Batch

MakeBatch = Callable[[int], Batch]

_AHEAD = 3
_POLL_S = 5.0


class BatchLoader:
    """Endless iterator over the batches `first`, `first + 1`, ...

    Worker k of n makes every n-th batch, so the order does not depend on their speed. Without
    workers the batches are made on demand.

    Args:
        make: Makes the batch with a number; sent to every worker once.
        first: Number of the first batch; a resumed run starts at its step.
        workers: Processes; 0 makes batches in this one.
    """

    def __init__(self, make: MakeBatch, *, first: int = 0, workers: int = 1) -> None:
        self._make = make
        self._next, self._first, self._workers = first, first, workers
        self._queues: list[Any] = []
        self._processes: list[BaseProcess] = []

    def __enter__(self) -> "BatchLoader":
        context: SpawnContext = multiprocessing.get_context("spawn")
        for worker in range(self._workers):
            channel = context.Queue(maxsize=_AHEAD)
            process = context.Process(
                target=_work,
                args=(channel, self._make),
                kwargs={"first": self._first + worker, "stride": self._workers},
                daemon=True,
            )
            process.start()
            self._queues.append(channel)
            self._processes.append(process)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join()
        for channel in self._queues:
            channel.close()
            channel.cancel_join_thread()

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        number = self._next
        self._next += 1
        if not self._processes:
            return self._make(number)
        return self._receive((number - self._first) % self._workers)

    def _receive(self, worker: int) -> Batch:
        while True:
            try:
                batch: Batch = self._queues[worker].get(timeout=_POLL_S)
            except queue.Empty:
                if not self._processes[worker].is_alive():
                    raise LangPoseError("a batch worker died; its message is above") from None
            else:
                return batch


def _work(channel: Any, make: MakeBatch, *, first: int, stride: int) -> None:
    """Make batches until the training process ends; Ctrl-C is for that one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    number = first
    while True:
        batch = make(number)
        while not _put(channel, batch):
            if parent is None or not parent.is_alive():
                channel.cancel_join_thread()
                return
        number += stride


def _put(channel: Any, batch: Batch) -> bool:
    try:
        channel.put(batch, timeout=_POLL_S)
    except queue.Full:
        return False
    return True
