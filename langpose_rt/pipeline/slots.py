"""Everybody who is being lifted, as one array row per slot, and who gets a slot.

A person is forgotten everywhere at once: window, anchor, filter and times. Which id sits in which
slot is each stream's own business.
"""

import numpy as np
from jaxtyping import Bool, Int

from langpose_rt.config import NUM_JOINTS
from langpose_rt.formats.gallery_npz import Gallery
from langpose_rt.geometry.person_frame import AnchorState
from langpose_rt.pipeline.action_scores import ActionScores
from langpose_rt.pipeline.one_euro import OneEuro, smoothing_named
from langpose_rt.runtime.backend import Backend

ROOT_SMOOTHING_SHARE = 0.5
"""Cutoff of the root over that of the joints: its depth is the noisiest number there is."""


PERSON = np.dtype(
    [
        ("id", np.int64),
        ("slot", np.int32),
        ("generation", np.int64),
        ("pushes", np.int64),
        ("time_ns", np.int64),
        ("history_ns", np.int64),
        ("unseen_ns", np.int64),
        ("scale", np.float32),
        ("rays", np.float32, (NUM_JOINTS, 2)),
        ("scores", np.float32, (NUM_JOINTS,)),
        ("rotation", np.float32, (3, 3)),
        ("held", np.bool_),
    ],
    align=True,
)
"""One person of one frame that is in the window.

    generation      of the slot at that time; another one now means the person was forgotten
    pushes          frames of the person the window had taken, with this one
    time_ns         capture time since the stream's origin
    history_ns      time since the person's first frame
    unseen_ns       time since a joint was last seen
    scale           stature over that of the reference body
    rays, scores    direction of every joint in camera axes; score 0 is a missing joint
    rotation        camera axes to the person's own
    held            the person is not in the frame
"""


class SlotTable:
    """State of every slot of a backend.

    Args:
        backend: Whose slots they are.
        smoothing: One of `filter.SMOOTHINGS`.
        gallery: Sentences to compare everybody's motion with.

    Attributes:
        anchor: Anchor and body size.
        filter: Output filter over the 17 joints and the root, or None.
        actions: What everybody is doing, or None without a gallery.
        root: Where the root was last, metres, camera axes; NaN where it never was.
        pushes: Frames since the person was new.
        generation: Changes when the slot is forgotten, so that what was remembered before is known.
        first_ns, last_ns, measured_ns: Times of the first frame, of the last, and of the last one
            in which a joint was seen; since the stream's origin.
        refused: How often there was no slot for somebody.

    Raises:
        ConfigError: If there is no such smoothing.
    """

    def __init__(
        self, backend: Backend, smoothing: str = "off", gallery: Gallery | None = None
    ) -> None:
        slots = backend.slots
        self._backend = backend
        self.anchor = AnchorState.empty(slots)
        chosen = smoothing_named(smoothing)
        self.filter: OneEuro | None = None
        if chosen is not None:
            shares = [1.0] * NUM_JOINTS + [ROOT_SMOOTHING_SHARE]
            cutoff_hz, rise_hz = ([value * share for share in shares] for value in chosen)
            self.filter = OneEuro(slots, cutoff_hz, rise_hz)
        self.actions = None if gallery is None else ActionScores(gallery, slots)
        self.root = np.full((slots, 3), np.nan, np.float32)
        self._history = np.zeros((5, slots), np.int64)  # one table: one look-up for all of it
        self.generation, self.pushes, self.first_ns, self.last_ns, self.measured_ns = self._history
        self.refused = 0
        self._free = list(range(slots))[::-1]

    @property
    def seated(self) -> int:
        """How many slots are taken."""
        return len(self.pushes) - len(self._free)

    def advance(
        self,
        slots: Int[np.ndarray, " batch"],
        time_ns: Int[np.ndarray, " batch"],
        seen: Bool[np.ndarray, " batch"],
    ) -> Int[np.ndarray, "5 batch"]:
        """Note that the window has taken a frame of these persons, and who was seen in it.

        Returns:
            Their history then, as of `look_up`.
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
        """Generation, pushes, first_ns, last_ns and measured_ns of these persons; a copy."""
        return np.asarray(self._history[:, slots])

    def seat(self) -> int | None:
        """A slot for a new person, or None if all are taken."""
        if not self._free:
            self.refused += 1
            return None
        return self._free.pop()

    def free(self, slots: list[int]) -> None:
        """Forget the persons in these slots and give the slots back.

        Raises:
            BackendError: If the backend could not; the slots are free all the same.
        """
        self._free.extend(slots)
        if slots:
            self.reset(np.array(slots, np.int32))

    def reset(self, slots: Int[np.ndarray, " batch"]) -> None:
        """Forget the history of these persons, who keep their slots.

        Raises:
            BackendError: If the backend could not; all else is forgotten.
        """
        self.anchor.reset(slots)
        if self.filter is not None:
            self.filter.reset(slots)
        self.root[slots] = np.nan
        self.pushes[slots] = 0
        self.generation[slots] += 1
        self._backend.reset(slots)
