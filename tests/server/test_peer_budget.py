"""Shares of the ingest thread's time: nothing while there is enough, even shares beyond that."""

from collections import Counter

import pytest

from langpose_rt.cluster.stream_route import FRAMES_KEPT
from langpose_rt.server.peer_budget import (
    INGEST_SHARE,
    NS_PER_MS,
    SAVED_BEHIND_FRONT,
    SAVED_WINDOWS,
    WINDOW_NS,
    Peer,
    PeerBudget,
)

MIB = 1 << 20


def served(wanted: dict[Peer, tuple[float, int]], *, windows: int = 60) -> dict[Peer, float]:
    """Share of its messages that is read of every peer, of a cost in ms and a number a window."""
    budget, read, sent = PeerBudget(0), Counter[Peer](), Counter[Peer]()
    for window in range(windows):
        used_ms = 0.0
        turns = max(count for _, count in wanted.values())
        for turn in range(turns):
            now_ns = window * WINDOW_NS + turn * WINDOW_NS // turns
            for peer, (cost_ms, count) in wanted.items():
                if turn * count // turns == (turn + 1) * count // turns:
                    continue
                admitted = budget.admits(peer, now_ns)
                if admitted:
                    used_ms += cost_ms
                    budget.spent(peer, round(cost_ms * NS_PER_MS), MIB)
                if window >= windows // 2:
                    sent[peer] += 1
                    read[peer] += admitted
        if used_ms < WINDOW_NS / NS_PER_MS:
            budget.idle()
    return {peer: read[peer] / sent[peer] for peer in wanted}


def test_all_is_read_while_there_is_time() -> None:
    assert served({"a": (0.1, 60), 7: (2.0, 6), 8: (1.0, 20)}) == {"a": 1.0, 7: 1.0, 8: 1.0}


def test_a_heavy_peer_alone_is_limited_to_what_all_have() -> None:
    (share,) = served({1: (10.0, 10)}).values()
    assert share == pytest.approx(INGEST_SHARE, abs=0.1)


@pytest.mark.parametrize("attackers", [1, 10, 20])
def test_who_needs_little_loses_nothing_beside_those_who_want_all(attackers: int) -> None:
    peers: dict[Peer, tuple[float, int]] = dict.fromkeys(range(attackers), (8.0, 6))
    shares = served(peers | {"honest": (0.2, 6)})
    assert shares.pop("honest") == 1.0
    if attackers > 1:
        assert max(shares.values()) < 1


def test_peers_who_want_the_same_get_the_same() -> None:
    shares = served(dict.fromkeys(range(8), (3.0, 12)))
    assert max(shares.values()) - min(shares.values()) < 0.05


def test_a_thread_that_gets_little_time_shares_what_it_gets() -> None:
    budget, read = PeerBudget(0), Counter[Peer]()
    for window in range(60):
        spent_ms = 0.0
        for peer, cost_ms in [(1, 2.0), ("honest", 0.1), (2, 2.0)] * 5:
            admitted = budget.admits(peer, window * WINDOW_NS)
            if admitted:
                spent_ms += cost_ms
                budget.spent(peer, round(cost_ms * NS_PER_MS), MIB)
            if window >= 30:
                read[peer] += admitted
        if spent_ms < 15:
            budget.idle()
    assert read["honest"] == 150
    assert 30 < read[1] < 140


def test_refused_messages_that_take_long_are_soon_passed_over_and_nobody_else_is() -> None:
    budget, read = PeerBudget(0), Counter[Peer]()
    for frame in range(600):
        now_ns = frame * 16 * NS_PER_MS
        for peer in range(20):
            if budget.admits(peer, now_ns):
                read[peer] += 1
                budget.spent(peer, 20 * NS_PER_MS, MIB, refused=True)
        assert budget.admits("honest", now_ns)
        budget.spent("honest", NS_PER_MS // 2, MIB)
        budget.idle()
    assert 1 <= min(read.values()) <= max(read.values()) <= 4, "ten seconds at 5 % of a core"


def test_a_rig_whose_cheap_messages_are_refused_is_read_on_and_told_why() -> None:
    budget = PeerBudget(0)
    for frame in range(600):
        assert budget.admits("rig", frame * 16 * NS_PER_MS)
        budget.spent("rig", NS_PER_MS // 5, MIB, refused=frame % 2 == 0)
        budget.idle()


def test_time_that_a_small_message_cannot_need_is_not_charged() -> None:
    """The thread was held up by other programs, which its processor time does not always tell."""
    budget = PeerBudget(0)
    for turn in range(10):
        assert budget.admits("rig", turn)
        budget.spent("rig", 500 * NS_PER_MS, 1000, refused=True)
    assert budget.admits("rig", 2 * WINDOW_NS)


def test_what_rigs_send_at_once_after_a_delay_is_all_read_on_a_busy_machine() -> None:
    """The thread gets a fifth of a processor, and its first messages take long."""
    budget, now_ns = PeerBudget(0), 0
    for _ in range(60):
        for rig in ("a", "b"):
            assert budget.admits(rig, now_ns)
            budget.spent(rig, 2 * NS_PER_MS, 1000)
            now_ns += 10 * NS_PER_MS


def test_a_limit_ends_with_the_load() -> None:
    budget, now_ns = PeerBudget(0), 0
    for _ in range(200):
        now_ns += WINDOW_NS // 10
        for peer in (1, 2):
            if budget.admits(peer, now_ns):
                budget.spent(peer, 20 * NS_PER_MS, MIB)
    budget.admits("honest", now_ns + 2 * WINDOW_NS)
    assert all(budget.admits(1, now_ns + 4 * WINDOW_NS) for _ in range(10))


def test_a_thread_that_was_held_up_does_not_take_the_backlog_for_a_flood() -> None:
    budget = PeerBudget(0)
    for turn in range(60):
        assert budget.admits("rig", 50 * WINDOW_NS + turn)
        budget.spent("rig", NS_PER_MS, MIB)
    assert budget.admits("rig", 60 * WINDOW_NS)


@pytest.mark.parametrize(("saved", "whole"), [(SAVED_WINDOWS, False), (SAVED_BEHIND_FRONT, True)])
def test_frames_that_a_front_sends_again_are_all_read_on_a_busy_machine(
    saved: int, *, whole: bool
) -> None:
    """Eight streams come to a lifter at once, and a message takes three times its usual time."""
    budget, now_ns, read = PeerBudget(0, saved), 0, 0
    for _ in range(FRAMES_KEPT):
        for rig in range(8):
            admitted = budget.admits(f"rig{rig}", now_ns)
            read += admitted
            if admitted:
                budget.spent(f"rig{rig}", NS_PER_MS, 100_000)
                now_ns += 2 * NS_PER_MS
    assert (read == 8 * FRAMES_KEPT) == whole


def test_a_rig_is_never_limited_by_a_thread_that_is_busy_with_passing_over() -> None:
    budget = PeerBudget(0)
    for frame in range(600):
        now_ns = frame * 16 * NS_PER_MS
        for peer in range(20):
            if budget.admits(peer, now_ns):
                budget.spent(peer, 20 * NS_PER_MS, MIB, refused=True)
        assert budget.admits("honest", now_ns)
        budget.spent("honest", NS_PER_MS // 2, MIB)
