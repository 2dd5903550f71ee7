"""The model that answers now, and the one that rehearses to take its place.

A new model takes every frame beside the old one until it knows everybody as well as the old one
does; then it takes over between two steps. So nobody falls back into warm-up, and nobody waits: the
rehearsal runs on the thread that opened the new model. Nothing here reads a clock.
"""

import threading
from collections import deque
from collections.abc import Callable
from functools import partial

import numpy as np
from jaxtyping import Float, Int

from langpose_rt.config import EXTRA_CHANNELS, NS_PER_S, NUM_JOINTS, ROW_CHANNELS
from langpose_rt.errors import BackendError
from langpose_rt.runtime.backend import Backend

REHEARSAL_NS = 4 * NS_PER_S
"""After this the new model takes over though somebody has not filled its window yet."""

TOO_SLOW_NS = 2 * REHEARSAL_NS
"""A new model that is still behind by then cannot keep up, and is refused."""

MOST_BEHIND = 4
"""Frames the new model may be behind when it takes over; they are made up for at once."""

WARMUP_BATCH = 64
"""People a model is warmed up with; a step of more is several calls of a network on a CPU."""


class ShadowModel:
    """A new model that takes the frames of the one that answers.

    `encode` and `reset` are called by the thread of the pipeline and only note; `work` does what
    was noted, on another thread.

    Args:
        backend: The new one.

    Attributes:
        filled: Frames it has been given of every slot.
        error: Why it cannot take over; None as long as it can.
        over: Set once it has taken over or has been dismissed.
        before: The model it replaced, once it has.
        since_ns: When the pipeline first looked at it.
    """

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.filled = np.zeros(backend.slots, np.int64)
        self.error: BackendError | None = None
        self.over = threading.Event()
        self.before: Backend | None = None
        self.since_ns: int | None = None
        self._noted: deque[Callable[[], None]] = deque()
        self._news = threading.Event()
        self._one_at_a_time = threading.Lock()

    @property
    def behind(self) -> int:
        """How much has been noted and not been done."""
        return len(self._noted)

    def encode(
        self, rows: np.ndarray, extras: np.ndarray, slots: np.ndarray, time_ns: np.ndarray
    ) -> None:
        """Note a frame, as of `Backend.encode`."""
        self.filled[slots] += 1
        self._note(partial(self._encode, rows, extras, slots, time_ns))

    def reset(self, slots: np.ndarray) -> None:
        """Note that people are to be forgotten."""
        self.filled[slots] = 0
        self._note(partial(self.backend.reset, slots.copy()))

    def work(self, wait_s: float = 0.0) -> None:
        """Do what was noted; wait for something to do for a while if there is nothing."""
        if self._news.wait(wait_s):
            self._news.clear()
        while self._noted and self.error is None:
            with self._one_at_a_time:
                if self._noted:
                    self._do(self._noted[0])
                    self._noted.popleft()

    def _note(self, deed: Callable[[], None]) -> None:
        self._noted.append(deed)
        self._news.set()

    def _do(self, deed: Callable[[], None]) -> None:
        try:
            deed()
        except BackendError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001 - whatever it is, the old model goes on
            self.error = BackendError(f"the new model failed: {type(error).__name__}: {error}")

    def _encode(
        self, rows: np.ndarray, extras: np.ndarray, slots: np.ndarray, time_ns: np.ndarray
    ) -> None:
        if not np.isfinite(self.backend.encode(rows, extras, slots, time_ns)).all():
            raise BackendError(f"model {self.backend.manifest.name!r} gives impossible numbers")


class SwappableBackend:
    """A `Backend` that is whichever one answers now.

    Args:
        backend: The first one.
    """

    def __init__(self, backend: Backend) -> None:
        self._shadow: ShadowModel | None = None
        self._answer_with(backend)

    def _answer_with(self, backend: Backend) -> None:
        self._backend = backend
        self.name, self.precision = backend.name, backend.precision
        self.manifest, self.slots, self.frames = backend.manifest, backend.slots, backend.frames

    def encode(
        self,
        rows: Float[np.ndarray, "batch 17 3"],
        extras: Float[np.ndarray, "batch 7"],
        slots: Int[np.ndarray, " batch"],
        time_ns: Int[np.ndarray, " batch"],
    ) -> Float[np.ndarray, "batch embedding"]:
        """See `Backend.encode`; whoever rehearses takes the frame too."""
        if self._shadow is not None:
            self._shadow.encode(rows, extras, slots, time_ns)
        return self._backend.encode(rows, extras, slots, time_ns)

    def lift(
        self,
        slots: Int[np.ndarray, " batch"],
        frames_back: Int[np.ndarray, " batch"],
        lag_s: Float[np.ndarray, " batch"],
    ) -> tuple[Float[np.ndarray, "batch 17 3"], Float[np.ndarray, "batch 17"]]:
        """See `Backend.lift`."""
        return self._backend.lift(slots, frames_back, lag_s)

    def reset(self, slots: Int[np.ndarray, " batch"]) -> None:
        """See `Backend.reset`."""
        if self._shadow is not None:
            self._shadow.reset(slots)
        self._backend.reset(slots)

    def close(self) -> None:
        """See `Backend.close`."""
        self._backend.close()

    def start_shadow(self, backend: Backend) -> ShadowModel:
        """Let another backend of as many slots take the frames from now on; from any thread."""
        self._shadow = shadow = ShadowModel(backend)
        return shadow

    def ready_to_promote(
        self, pushes: Int[np.ndarray, " slot"], now_ns: int, *, at_once: bool
    ) -> ShadowModel | None:
        """Whoever rehearses, if they can take over now; one who cannot at all is dismissed.

        Args:
            pushes: Frames this model has of every slot.
            now_ns: This moment.
            at_once: This model has failed: there is nothing to wait for.
        """
        shadow = self._shadow
        if shadow is None:
            return None
        if shadow.since_ns is None:
            shadow.since_ns = now_ns
        since_ns = now_ns - shadow.since_ns
        if shadow.error is None and shadow.behind > MOST_BEHIND and since_ns > TOO_SLOW_NS:
            name = shadow.backend.manifest.name
            shadow.error = BackendError(f"model {name!r} cannot keep up with this load")
        if shadow.error is not None:
            self._end(shadow)
            return None
        known = (shadow.filled >= pushes) | (shadow.filled >= shadow.backend.frames)
        ready = shadow.behind <= MOST_BEHIND and (known.all() or since_ns > REHEARSAL_NS)
        return shadow if ready or at_once else None

    def promote(self, shadow: ShadowModel) -> bool:
        """Answer with the model of a rehearsal from now on; False if it fails at the last moment.

        Nobody may wait for an answer of the model before.
        """
        shadow.work()
        if shadow.error is None:
            shadow.before = self._backend
            self._answer_with(shadow.backend)
        self._end(shadow)
        return shadow.error is None

    def _end(self, shadow: ShadowModel) -> None:
        self._shadow = None
        shadow.over.set()


def warm_up_backend(backend: Backend) -> None:
    """Run a backend a few times over nobody, so that the first frame is not slow.

    At last over a full house: what it needs is taken now, so that memory does not grow whenever
    there are more people in a step than ever before.

    Raises:
        BackendError: If it cannot, or gives impossible numbers.
    """
    full = min(backend.slots, WARMUP_BATCH)
    for time_ns, people in ((0, 1), (20_000_000, 1), (40_000_000, full)):
        slots = np.arange(people, dtype=np.int32)
        rows = np.zeros((people, NUM_JOINTS, ROW_CHANNELS), np.float32)
        extras = np.zeros((people, EXTRA_CHANNELS), np.float32)
        embedding = backend.encode(rows, extras, slots, np.full(people, time_ns))
        pose, sigma = backend.lift(slots, np.zeros(people, np.int32), np.zeros(people, np.float32))
    backend.reset(slots)
    if not all(np.isfinite(numbers).all() for numbers in (embedding, pose, sigma)):
        raise BackendError(f"model {backend.manifest.name!r} gives impossible numbers")
