"""Peer budget: even shares of the ingest thread's processor time, whatever peers send.

A peer may spend little time on messages that are refused. On others, nothing is limited while there
is time for everybody; where there is not, a peer that wants more than an even share has the rest of
its messages passed over unread. Nothing here reads a clock or a socket.
"""

from collections import Counter

NS_PER_MS = 1_000_000
WINDOW_NS = 100 * NS_PER_MS
"""Shares are decided anew after so long."""

INGEST_SHARE = 0.5
"""Share of the time that the thread gets, which all peers have together before they are limited."""

BUSY_WINDOWS = 3
"""Nobody is limited before the thread has been busy for so many windows: what a rig sends at once
after a delay is read, however long that takes."""

SAVED_WINDOWS = 5
"""A peer may save the time of so many windows, for what arrives at once after a delay."""

SAVED_BEHIND_FRONT = 50
"""The same behind a front, which sends a lifter the last frames of a stream again when it is given
that stream: up to `cluster.stream_route.FRAMES_KEPT` within moments."""

LEAST_NS = 4 * NS_PER_MS
"""Every peer has so much of a window, however many want more: a rig of 60 Hz is never limited."""

MAX_PEERS = 4096
"""Peers whose savings are kept."""

REFUSED_SHARE = 0.05
"""Share of a core that refused messages of all peers may take."""

REFUSED_NS = 50 * NS_PER_MS
"""Time that refused messages of one peer may take at once."""

MESSAGE_NS, NS_PER_BYTE = NS_PER_MS // 2, 50
"""A message is not charged for more time than so much and so much per byte: what goes beyond that
was lost to other programs, or to a first time, and is not the peer's doing."""

_RECOVERY = 1.2

Peer = int | str
"""A peer: the name of its key, or without keys the descriptor of its connection."""


class PeerBudget:
    """Decides whose messages are read.

    Args:
        now_ns: Beginning of the first window.
        saved_windows: Windows whose time a peer may save.
    """

    def __init__(self, now_ns: int, saved_windows: int = SAVED_WINDOWS) -> None:
        self._saved_windows = saved_windows
        self._until_ns = now_ns + WINDOW_NS
        self._level_ns: float | None = None
        self._capacity_ns, self._was_idle, self._busy_windows = float(WINDOW_NS), False, 0
        self._saved_ns: dict[Peer, float] = {}
        self._used_ns: Counter[Peer] = Counter()
        self._read: Counter[Peer] = Counter()
        self._arrived: Counter[Peer] = Counter()
        self._cost_ns: dict[Peer, float] = {}
        self._debt_ns: dict[Peer, float] = {}

    def admits(self, peer: Peer, now_ns: int) -> bool:
        """Return True if the next message of a peer is to be read."""
        if now_ns >= self._until_ns:
            self._next_window(now_ns)
        if self._debt_ns.get(peer, 0.0) > REFUSED_NS:
            return False
        self._arrived[peer] += 1
        if self._level_ns is None:
            return True
        saved_ns = self._saved_ns.get(peer, self._saved_windows * self._level_ns)
        return self._used_ns[peer] < saved_ns

    def spent(self, peer: Peer, spent_ns: int, size_bytes: int, *, refused: bool = False) -> None:
        """Note the processor time that a message of a peer took."""
        spent_ns = min(spent_ns, MESSAGE_NS + NS_PER_BYTE * size_bytes)
        if refused:
            self._debt_ns[peer] = self._debt_ns.get(peer, 0.0) + spent_ns
        self._used_ns[peer] += spent_ns
        self._read[peer] += 1

    def idle(self) -> None:
        """Note that nothing waits to be read."""
        self._was_idle = True

    def _next_window(self, now_ns: int) -> None:
        """Decide on the shares from what every peer wanted in the window before."""
        windows = max(now_ns - self._until_ns + WINDOW_NS, WINDOW_NS) / WINDOW_NS
        self._measure(windows)
        costs = {peer: self._used_ns[peer] / read for peer, read in self._read.items()}
        costs = {peer: costs.get(peer, self._cost_ns.get(peer, 0.0)) for peer in self._arrived}
        wanted = {peer: count * costs[peer] / windows for peer, count in self._arrived.items()}
        available, before = INGEST_SHARE * self._capacity_ns, self._level_ns
        self._level_ns = None
        is_busy = sum(wanted.values()) > available
        self._busy_windows = self._busy_windows + 1 if is_busy else 0
        if self._busy_windows >= BUSY_WINDOWS:
            self._level_ns = max(_level(wanted, available), float(LEAST_NS))
        self._save(windows, before)
        repaid_ns = REFUSED_SHARE * windows * WINDOW_NS / max(len(self._debt_ns), 1)
        self._debt_ns = {
            peer: debt_ns - repaid_ns
            for peer, debt_ns in self._debt_ns.items()
            if debt_ns > repaid_ns
        }
        self._cost_ns = costs
        self._until_ns, self._was_idle = now_ns + WINDOW_NS, False
        for counter in (self._used_ns, self._read, self._arrived):
            counter.clear()

    def _measure(self, windows: float) -> None:
        """Measure how much time the thread gets on a machine where others run too."""
        if self._was_idle or not self._read:
            self._capacity_ns = min(self._capacity_ns * _RECOVERY, float(WINDOW_NS))
        else:
            self._capacity_ns = min(sum(self._used_ns.values()) / windows, float(WINDOW_NS))

    def _save(self, windows: float, before_ns: float | None) -> None:
        """Add the next window to what every peer has saved; who is not known has saved all."""
        level_ns = self._level_ns
        if level_ns is None:
            self._saved_ns = {}
            return
        most_ns = self._saved_windows * level_ns
        first_ns = self._saved_windows * (before_ns or level_ns)
        self._saved_ns = {
            peer: min(
                max(self._saved_ns.get(peer, first_ns) - self._used_ns[peer], 0.0)
                + windows * level_ns,
                most_ns,
            )
            for peer in self._arrived.keys() | self._saved_ns.keys()
        }
        if len(self._saved_ns) > MAX_PEERS:
            self._saved_ns = {peer: self._saved_ns[peer] for peer in self._arrived}


def _level(wanted: dict[Peer, float], available: float) -> float:
    """Return the share at which all that is wanted, each at most to this share, is available."""
    amounts = sorted(wanted.values())
    for index, amount in enumerate(amounts):
        share = available / (len(amounts) - index)
        if amount >= share:
            return share
        available -= amount
    return amounts[-1]
