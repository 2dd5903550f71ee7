"""Slot table: the state of every person, one array row per slot, and who has which slot.

A person is reset everywhere at once: window, anchor, filter and times. Which id has which slot is
kept by each stream. Where slots run out they are lent evenly: over rigs, then over the streams of
a rig.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Bool, Int

from langpose_rt.config import NS_PER_S, NUM_JOINTS
from langpose_rt.formats.gallery_npz import Gallery
from langpose_rt.geometry.person_frame import AnchorState
from langpose_rt.geometry.skeleton import BONES
from langpose_rt.pipeline.action_scores import ActionScores
from langpose_rt.pipeline.native_geometry import NativeBoneSteadier, NativeOneEuro, NativeRayRefiner
from langpose_rt.pipeline.one_euro import OneEuro, smoothing_named
from langpose_rt.runtime.backend import Backend

ROOT_SMOOTHING_SHARE = 0.5
"""Cutoff of the root over that of the joints: its depth is the noisiest number there is."""

UNSEEN_NS = NS_PER_S // 4
"""A person seen in one frame only is displaced once not seen for this long."""

_KeyT = TypeVar("_KeyT")


@runtime_checkable
class SlotOwner(Protocol):
    """A stream, as far as the slot table knows it."""

    rig: str

    def displace(self, slots: set[int]) -> None:
        """Forget the people who have these slots; the caller releases them."""


@dataclass(frozen=True, slots=True, eq=False)
class SlotDemand:
    """Needs of the next frame of a stream.

    Attributes:
        owner: The stream.
        present: Slots of the people in the frame.
        newcomers: People in the frame who have no slot.
    """

    owner: SlotOwner
    present: set[int]
    newcomers: int


class SlotTable:
    """State of every slot of a backend.

    Args:
        backend: Owner of the slots, which are reset.
        smoothing: One of `one_euro.SMOOTHINGS`.
        gallery: Sentences to compare motion embeddings with.
        refined: Whether joints are moved towards their 2D.
        expire_ns: A person unseen for longer by the server's clock may be displaced by anybody.

    Attributes:
        anchor: Anchor and body size.
        refiner: Moves joints towards their 2D, or None.
        filter: Output filter over the 17 joints and the root, or None.
        steadier: Mean bone lengths of every slot.
        actions: Action scores of every slot, or None without a gallery.
        root: Last root in metres, camera axes; NaN before the first.
        bones_m: Known bone lengths, in the order of `skeleton.BONES`; NaN where unknown.
        pushes: Frames since the slot was reset.
        generation: Changes when the slot is reset, so that frames from before are recognised.
        first_ns, last_ns, measured_ns: Times of the first frame, of the last, and of the last one
            in which a joint was seen; since the stream's origin.
        seen_ns: Time of the last frame in which a joint was seen, by the server's clock.
        refused: Requests for a slot that were refused since `take_refused`, by owner.

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
        expire_ns: int = NS_PER_S,
    ) -> None:
        slots = backend.slots
        self._backend = backend
        backend.reset(np.arange(slots, dtype=np.int32))  # it may have served another pipeline
        self.anchor = AnchorState.empty(slots)
        self.refiner = NativeRayRefiner(slots) if refined else None
        chosen = smoothing_named(smoothing)
        self.filter: OneEuro | None = None
        if chosen is not None:
            shares = [1.0] * NUM_JOINTS + [ROOT_SMOOTHING_SHARE]
            cutoff_hz, rise_hz = ([value * share for share in shares] for value in chosen)
            self.filter = NativeOneEuro(slots, cutoff_hz, rise_hz)
        self.steadier = NativeBoneSteadier(slots)
        self.actions = None if gallery is None else ActionScores(gallery, slots)
        self.root = np.full((slots, 3), np.nan, np.float32)
        self.bones_m = np.full((slots, len(BONES)), np.nan, np.float32)
        self._history = np.zeros((5, slots), np.int64)  # one table: a single look-up
        self.generation, self.pushes, self.first_ns, self.last_ns, self.measured_ns = self._history
        self.seen_ns = np.zeros(slots, np.int64)
        self.refused: Counter[SlotOwner] = Counter()
        self._expire_ns = expire_ns
        self._free = list(range(slots))[::-1]
        self._owners: dict[int, SlotOwner] = {}
        self._grants: dict[SlotOwner, int] | None = None

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

    def make_room(self, demands: Sequence[SlotDemand], now_ns: int) -> None:
        """Decide who gets the slots of this step, where there are fewer than are wanted.

        Whoever was seen in one frame only, or not for the track timeout by the server's clock, is
        displaced first. Beyond that every rig, and every stream of a rig, has an even share: who
        has less displaces people of who has more, first those not seen lately, then the newest.

        Args:
            demands: One for every stream that has a frame in this step.
            now_ns: Time of the step by the server's clock.

        Raises:
            BackendError: If the backend could not reset a slot; it is available all the same.
        """
        wanted = sum(demand.newcomers for demand in demands)
        self._grants = None
        if wanted <= len(self._free):
            return
        present = set().union(*(demand.present for demand in demands))
        stepping = {demand.owner for demand in demands}
        held: dict[SlotOwner, list[int]] = {demand.owner: [] for demand in demands}
        fleeting = []
        for slot, owner in self._owners.items():
            unseen_ns = now_ns - self.seen_ns[slot]
            once = self.pushes[slot] <= 1 and (owner in stepping or unseen_ns > UNSEEN_NS)
            if slot not in present and (once or unseen_ns > self._expire_ns):
                fleeting.append(slot)
            else:
                held.setdefault(owner, []).append(slot)
        newcomers = {demand.owner: demand.newcomers for demand in demands}
        shares = _shares(held, newcomers, len(self.pushes))
        displaced = []
        for owner, slots in held.items():
            slots.sort(key=lambda slot: (slot in present, self.pushes[slot]))
            displaced += slots[: max(len(slots) - shares[owner], 0)]
        self._grants = {
            owner: min(count, max(shares[owner] - len(held[owner]), 0))
            for owner, count in newcomers.items()
        }
        short = sum(self._grants.values()) - len(self._free) - len(displaced)
        fleeting.sort(key=lambda slot: int(self.seen_ns[slot]))
        self._displace(displaced + fleeting[: max(short, 0)])

    def acquire(self, owner: SlotOwner) -> int | None:
        """Return a slot for a new person of a stream, or None if it has its share or none is free.

        The people of this step are granted their slots by `make_room`.
        """
        granted = 1 if self._grants is None else self._grants.get(owner, 0)
        if not self._free or granted <= 0:
            self.refused[owner] += 1
            return None
        if self._grants is not None:
            self._grants[owner] = granted - 1
        slot = self._free.pop()
        self._owners[slot] = owner
        return slot

    def take_refused(self) -> Counter[SlotOwner]:
        """Return how many people of every stream were refused since the last call."""
        refused, self.refused = self.refused, Counter()
        return refused

    def release(self, slots: list[int]) -> None:
        """Reset these slots and make them available again.

        Raises:
            BackendError: If the backend could not reset them; they are available all the same.
        """
        self._free.extend(slots)
        for slot in slots:
            del self._owners[slot]
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
        self.steadier.reset(slots)
        self.root[slots] = np.nan
        self.bones_m[slots] = np.nan
        self.pushes[slots] = 0
        self.generation[slots] += 1
        self._backend.reset(slots)

    def _displace(self, slots: list[int]) -> None:
        chosen = set(slots)
        for owner in {self._owners[slot] for slot in slots}:
            owner.displace({slot for slot in chosen if self._owners[slot] is owner})
        self.release(slots)


def _shares(
    held: Mapping[SlotOwner, Sequence[int]], newcomers: Mapping[SlotOwner, int], slots: int
) -> dict[SlotOwner, int]:
    """Return how many slots every stream may have: even over rigs, then over a rig's streams."""
    wanted = {owner: len(own) + newcomers.get(owner, 0) for owner, own in held.items()}
    has = {owner: len(own) for owner, own in held.items()}
    rigs: dict[str, list[SlotOwner]] = {}
    for owner in held:
        rigs.setdefault(owner.rig, []).append(owner)
    of_rigs = _even(
        {rig: sum(wanted[owner] for owner in own) for rig, own in rigs.items()},
        {rig: sum(has[owner] for owner in own) for rig, own in rigs.items()},
        slots,
    )
    shares: dict[SlotOwner, int] = {}
    for rig, own in rigs.items():
        among = {owner: wanted[owner] for owner in own}
        shares |= _even(among, {owner: has[owner] for owner in own}, of_rigs[rig])
    return shares


def _even(wanted: Mapping[_KeyT, int], has: Mapping[_KeyT, int], total: int) -> dict[_KeyT, int]:
    """Share a total so that the least is as much as possible; nobody gets more than wanted.

    What cannot be divided goes to those who have the most of it, so that nothing changes hands
    from step to step.
    """
    shares = dict.fromkeys(wanted, 0)
    unmet = {key for key, count in wanted.items() if count}
    while unmet and total >= len(unmet):
        level = max(min(total // len(unmet), *(wanted[key] - shares[key] for key in unmet)), 1)
        for key in unmet:
            shares[key] += level
        total -= level * len(unmet)
        unmet = {key for key in unmet if wanted[key] > shares[key]}
    order = list(wanted)
    for key in sorted(unmet, key=lambda key: (-has[key], order.index(key)))[:total]:
        shares[key] += 1
    return shares
