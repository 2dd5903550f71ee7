"""Slot table: the state of every person, one array row per slot, and who has which slot.

A person is reset everywhere at once: window, anchor, filter and times. Which id has which slot is
kept by each stream.
"""

import numpy as np
from jaxtyping import Bool, Int

from langpose_rt.config import NUM_JOINTS
from langpose_rt.formats.gallery_npz import Gallery
from langpose_rt.geometry.person_frame import AnchorState
from langpose_rt.pipeline.action_scores import ActionScores
from langpose_rt.pipeline.native_geometry import NativeOneEuro, NativeRayRefiner
from langpose_rt.pipeline.one_euro import OneEuro, smoothing_named
from langpose_rt.runtime.backend import Backend

ROOT_SMOOTHING_SHARE = 0.5
"""Cutoff of the root over that of the joints: its depth is the noisiest number there is."""


class SlotTable:
    """State of every slot of a backend.

    Args:
        backend: Owner of the slots.
        smoothing: One of `one_euro.SMOOTHINGS`.
        gallery: Sentences to compare motion embeddings with.
        refined: Whether joints are moved towards their 2D.

    Attributes:
        anchor: Anchor and body size.
        refiner: Moves joints towards their 2D, or None.
        filter: Output filter over the 17 joints and the root, or None.
        actions: Action scores of every slot, or None without a gallery.
        root: Last root in metres, camera axes; NaN before the first.
        pushes: Frames since the slot was reset.
        generation: Changes when the slot is reset, so that frames from before are recognised.
        first_ns, last_ns, measured_ns: Times of the first frame, of the last, and of the last one
            in which a joint was seen; since the stream's origin.
        refused: Requests for a slot when all were in use.

    Raises:
        ConfigError: If there is no such smoothing.
    """

    def __init__(
        self,
        backend: Backend,
        smoothing: str = "off",
        gallery: Gallery | None = None,
        *,
        refined: bool = False,
    ) -> None:
        slots = backend.slots
        self._backend = backend
        self.anchor = AnchorState.empty(slots)
        self.refiner = NativeRayRefiner(slots) if refined else None
        chosen = smoothing_named(smoothing)
        self.filter: OneEuro | None = None
        if chosen is not None:
            shares = [1.0] * NUM_JOINTS + [ROOT_SMOOTHING_SHARE]
            cutoff_hz, rise_hz = ([value * share for share in shares] for value in chosen)
            self.filter = NativeOneEuro(slots, cutoff_hz, rise_hz)
        self.actions = None if gallery is None else ActionScores(gallery, slots)
        self.root = np.full((slots, 3), np.nan, np.float32)
        self._history = np.zeros((5, slots), np.int64)  # one table: a single look-up
        self.generation, self.pushes, self.first_ns, self.last_ns, self.measured_ns = self._history
        self.refused = 0
        self._free = list(range(slots))[::-1]

    @property
    def in_use(self) -> int:
        """Number of slots in use."""
        return len(self.pushes) - len(self._free)

    def advance(
        self,
        slots: Int[np.ndarray, " batch"],
        time_ns: Int[np.ndarray, " batch"],
        seen: Bool[np.ndarray, " batch"],
    ) -> Int[np.ndarray, "5 batch"]:
        """Record a frame of these persons in the window.

        Args:
            slots: Distinct slots of the persons.
            time_ns: Capture times.
            seen: True for a person with a visible joint.

        Returns:
            Their history afterwards, as from `look_up`.
        """
        history = self._history[:, slots]
        _, pushes, first_ns, last_ns, measured_ns = history
        new = pushes == 0
        np.copyto(first_ns, time_ns, where=new)
        np.copyto(measured_ns, time_ns, where=seen | new)
        last_ns[:] = time_ns
        pushes += 1
        self._history[:, slots] = history
        return history

    def look_up(self, slots: Int[np.ndarray, " batch"]) -> Int[np.ndarray, "5 batch"]:
        """Return a copy of generation, pushes, first_ns, last_ns and measured_ns of these slots."""
        return np.asarray(self._history[:, slots])

    def acquire(self) -> int | None:
        """Return a slot for a new person, or None if all are in use."""
        if not self._free:
            self.refused += 1
            return None
        return self._free.pop()

    def release(self, slots: list[int]) -> None:
        """Reset these slots and make them available again.

        Raises:
            BackendError: If the backend could not reset them; they are available all the same.
        """
        self._free.extend(slots)
        if slots:
            self.reset(np.array(slots, np.int32))

    def reset(self, slots: Int[np.ndarray, " batch"]) -> None:
        """Clear the history of these slots, which stay in use.

        Raises:
            BackendError: If the backend could not reset them; all other state is cleared.
        """
        self.anchor.reset(slots)
        if self.refiner is not None:
            self.refiner.reset(slots)
        if self.filter is not None:
            self.filter.reset(slots)
        self.root[slots] = np.nan
        self.pushes[slots] = 0
        self.generation[slots] += 1
        self._backend.reset(slots)
