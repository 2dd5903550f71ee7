"""Peer budget: even shares of the ingest thread's processor time, whatever peers send.

While there is time for everybody nothing is limited. Where there is not, a peer that wants more
than an even share has the rest of its messages passed over unread. Nothing here reads a clock or
a socket.
"""

from collections import Counter

NS_PER_MS = 1_000_000
WINDOW_NS = 100 * NS_PER_MS
"""Shares are decided anew after so long."""

INGEST_SHARE = 0.5
"""Share of a core that all peers have together before they are limited."""

Peer = int | str
"""A peer: the name of its key, or without keys the descriptor of its connection."""


class PeerBudget:
    """Decides whose messages are read.

    Args:
        now_ns: Beginning of the first window.
    """

    def __init__(self, now_ns: int) -> None:
        self._until_ns = now_ns + WINDOW_NS
        self._level_ns: float | None = None
        self._used_ns: Counter[Peer] = Counter()
        self._read: Counter[Peer] = Counter()
        self._arrived: Counter[Peer] = Counter()
        self._cost_ns: dict[Peer, float] = {}

    def admits(self, peer: Peer, now_ns: int) -> bool:
        """Return True if the next message of a peer is to be read."""
        if now_ns >= self._until_ns:
            self._next_window(now_ns)
        self._arrived[peer] += 1
        return self._level_ns is None or self._used_ns[peer] < self._level_ns

    def spent(self, peer: Peer, spent_ns: int) -> None:
        """Note the processor time that a message of a peer took."""
        self._used_ns[peer] += spent_ns
        self._read[peer] += 1

    def _next_window(self, now_ns: int) -> None:
        """Decide on the shares from what every peer wanted in the window before."""
        stretched = max(now_ns - self._until_ns + WINDOW_NS, WINDOW_NS) / WINDOW_NS
        costs = {peer: self._used_ns[peer] / read for peer, read in self._read.items()}
        costs = {peer: costs.get(peer, self._cost_ns.get(peer, 0.0)) for peer in self._arrived}
        wanted = {peer: count * costs[peer] / stretched for peer, count in self._arrived.items()}
        available = INGEST_SHARE * WINDOW_NS
        self._level_ns = None if sum(wanted.values()) <= available else _level(wanted, available)
        self._cost_ns = costs
        self._until_ns = now_ns + WINDOW_NS
        for counter in (self._used_ns, self._read, self._arrived):
            counter.clear()


def _level(wanted: dict[Peer, float], available: float) -> float:
    """Return the share at which all that is wanted, each at most to this share, is available."""
    amounts = sorted(wanted.values())
    for index, amount in enumerate(amounts):
        share = available / (len(amounts) - index)
        if amount >= share:
            return share
        available -= amount
    return amounts[-1]
