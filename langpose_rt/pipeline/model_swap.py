"""Active model and shadow model for a swap without a gap.

The shadow model encodes every frame beside the active one until its windows are as full; then it is
promoted between two steps. So no person falls back into warm-up, and no frame waits: the shadow
model runs on the thread that opened it. Nothing here reads a clock.
"""

import threading
from collections import deque
from collections.abc import Callable
from functools import partial

import numpy as np
from jaxtyping import Float, Int

from langpose_rt.config import NS_PER_S, NUM_JOINTS, ROW_CHANNELS
from langpose_rt.errors import BackendError
from langpose_rt.geometry.length_channels import extras_with_channels
from langpose_rt.runtime.backend import Backend

SHADOW_NS = 4 * NS_PER_S
"""After this the shadow model is promoted though a window may not be full yet."""

TOO_SLOW_NS = 2 * SHADOW_NS
"""A shadow model that is still behind after this cannot keep up, and is refused."""

MOST_BEHIND = 4
"""Calls the shadow model may be behind when it is promoted; they are run at once."""

WARMUP_BATCH = 64
"""Largest batch of the warm-up; a larger step is several calls of a network on a CPU."""


class ShadowModel:
    """New model that encodes the frames of the active one, to be promoted later.

    `encode` and `reset` are called by the thread of the pipeline and only queue the call;
    `run_queued` runs it on another thread.

    Args:
        backend: The new backend.

    Attributes:
        filled: Frames it was given for every slot.
        error: Reason why it cannot be promoted; None as long as it can.
        ended: Set once it is promoted or dropped.
        replaced: The backend it replaced, once promoted.
        since_ns: Time at which the pipeline first checked it.
    """

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.filled = np.zeros(backend.slots, np.int64)
        self._extra_channels = backend.manifest.model_config.extra_channels
        self.error: BackendError | None = None
        self.ended = threading.Event()
        self.replaced: Backend | None = None
        self.since_ns: int | None = None
        self._queued: deque[Callable[[], None]] = deque()
        self._wake = threading.Event()
        self._one_at_a_time = threading.Lock()

    @property
    def behind(self) -> int:
        """Number of queued calls."""
        return len(self._queued)

    def encode(
        self, rows: np.ndarray, extras: np.ndarray, slots: np.ndarray, time_ns: np.ndarray
    ) -> None:
        """Queue a call of `Backend.encode`; bone lengths that were not input are unknown to it."""
        extras = extras_with_channels(extras, self._extra_channels)
        self.filled[slots] += 1
        self._queue(partial(self._encode, rows, extras, slots, time_ns))

    def reset(self, slots: np.ndarray) -> None:
        """Queue a call of `Backend.reset`."""
        self.filled[slots] = 0
        self._queue(partial(self.backend.reset, slots.copy()))

    def run_queued(self, wait_s: float = 0.0) -> None:
        """Run the queued calls; wait for one for a while if there is none."""
        if self._wake.wait(wait_s):
            self._wake.clear()
        while self._queued and self.error is None:
            with self._one_at_a_time:
                if self._queued:
                    self._run(self._queued[0])
                    self._queued.popleft()

    def _queue(self, call: Callable[[], None]) -> None:
        self._queued.append(call)
        self._wake.set()

    def _run(self, call: Callable[[], None]) -> None:
        try:
            call()
        except BackendError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001 - whatever it is, the active model goes on
            self.error = BackendError(f"the new model failed: {type(error).__name__}: {error}")

    def _encode(
        self, rows: np.ndarray, extras: np.ndarray, slots: np.ndarray, time_ns: np.ndarray
    ) -> None:
        if not np.isfinite(self.backend.encode(rows, extras, slots, time_ns)).all():
            raise BackendError(f"model {self.backend.manifest.name!r} gives impossible numbers")


class SwappableBackend:
    """Backend that delegates to the active one, and can be switched to another.

    Args:
        backend: The first one.
    """

    def __init__(self, backend: Backend) -> None:
        self._shadow: ShadowModel | None = None
        self._activate(backend)

    def _activate(self, backend: Backend) -> None:
        self._backend = backend
        self.name, self.precision = backend.name, backend.precision
        self.manifest, self.slots, self.frames = backend.manifest, backend.slots, backend.frames

    def encode(
        self,
        rows: Float[np.ndarray, "batch 17 3"],
        extras: Float[np.ndarray, "batch extra"],
        slots: Int[np.ndarray, " batch"],
        time_ns: Int[np.ndarray, " batch"],
    ) -> Float[np.ndarray, "batch embedding"]:
        """Encode as `Backend.encode`, by the shadow model too."""
        if self._shadow is not None:
            self._shadow.encode(rows, extras, slots, time_ns)
        return self._backend.encode(rows, extras, slots, time_ns)

    def lift(
        self,
        slots: Int[np.ndarray, " batch"],
        frames_back: Int[np.ndarray, " batch"],
        lag_s: Float[np.ndarray, " batch"],
    ) -> tuple[Float[np.ndarray, "batch 17 3"], Float[np.ndarray, "batch 17"]]:
        """Lift as `Backend.lift`."""
        return self._backend.lift(slots, frames_back, lag_s)

    def reset(self, slots: Int[np.ndarray, " batch"]) -> None:
        """Reset as `Backend.reset`, in the shadow model too."""
        if self._shadow is not None:
            self._shadow.reset(slots)
        self._backend.reset(slots)

    def close(self) -> None:
        """Close the active backend."""
        self._backend.close()

    def start_shadow(self, backend: Backend) -> ShadowModel:
        """Give the frames from now on to another backend of as many slots too; from any thread."""
        self._shadow = shadow = ShadowModel(backend)
        return shadow

    def ready_to_promote(
        self, pushes: Int[np.ndarray, " slot"], now_ns: int, *, at_once: bool
    ) -> ShadowModel | None:
        """Return the shadow model if it can be promoted now; drop it if it has failed.

        Args:
            pushes: Frames the active model has of every slot.
            now_ns: This moment.
            at_once: The active model has failed: there is nothing to wait for.
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
        ready = shadow.behind <= MOST_BEHIND and (known.all() or since_ns > SHADOW_NS)
        return shadow if ready or at_once else None

    def promote(self, shadow: ShadowModel) -> bool:
        """Make the shadow model the active one; return False if it fails at the last moment.

        No frame may wait for its lookahead then.
        """
        shadow.run_queued()
        if shadow.error is None:
            shadow.replaced = self._backend
            self._activate(shadow.backend)
        self._end(shadow)
        return shadow.error is None

    def _end(self, shadow: ShadowModel) -> None:
        self._shadow = None
        shadow.ended.set()


def warm_up_backend(backend: Backend) -> None:
    """Run a backend a few times on zeros, so that the first frame is not slow.

    The last time with a full batch: its memory is allocated now, so that it does not grow later
    with the number of people in a step.

    Raises:
        BackendError: If it fails, or gives impossible numbers.
    """
    full = min(backend.slots, WARMUP_BATCH)
    for time_ns, people in ((0, 1), (20_000_000, 1), (40_000_000, full)):
        slots = np.arange(people, dtype=np.int32)
        rows = np.zeros((people, NUM_JOINTS, ROW_CHANNELS), np.float32)
        extras = np.zeros((people, backend.manifest.model_config.extra_channels), np.float32)
        embedding = backend.encode(rows, extras, slots, np.full(people, time_ns))
        pose, sigma = backend.lift(slots, np.zeros(people, np.int32), np.zeros(people, np.float32))
    backend.reset(slots)
    if not all(np.isfinite(numbers).all() for numbers in (embedding, pose, sigma)):
        raise BackendError(f"model {backend.manifest.name!r} gives impossible numbers")
