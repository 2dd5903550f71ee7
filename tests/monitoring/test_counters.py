"""Counters and latencies in bounded memory."""

import threading
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import pytest

from langpose_rt.monitoring.counters import (
    EDGES_MS,
    MEANINGS,
    NS_PER_MS,
    RECENT,
    LatencyHistogram,
    Rate,
    Stats,
)


def test_quantiles_are_those_of_the_recent_latencies() -> None:
    histogram = LatencyHistogram()
    for latency_ms in np.random.default_rng(0).permutation(1000):
        histogram.add(int(latency_ms) * NS_PER_MS)
    assert histogram.quantiles_ms(0.5, 0.95, 0.99) == (500, 950, 990)
    for _ in range(RECENT):
        histogram.add(7 * NS_PER_MS)
    assert histogram.quantiles_ms(0.5, 0.99) == (7, 7)


def test_without_latencies_quantiles_are_zero() -> None:
    assert LatencyHistogram().quantiles_ms(0.5, 0.99) == (0, 0)


@pytest.mark.parametrize(
    ("latency_ms", "bucket"), [(-5, 0), (0, 0), (0.5, 0), (0.6, 1), (1000, 15), (5000, 16)]
)
def test_every_latency_is_in_the_bucket_whose_edge_is_the_first_not_below(
    latency_ms: float, bucket: int
) -> None:
    histogram = LatencyHistogram()
    histogram.add(round(latency_ms * NS_PER_MS))
    assert histogram.buckets.index(1) == bucket
    assert sum(histogram.buckets) == 1
    assert len(histogram.buckets) == len(EDGES_MS) + 1
    assert histogram.total_ns == max(0, round(latency_ms * NS_PER_MS))


def test_a_rate_is_per_second_between_two_looks() -> None:
    rate = Rate(0)
    rate.add(30)
    assert rate.update(500 * NS_PER_MS) == 60
    assert rate.update(500 * NS_PER_MS) == 60, "no time has passed"
    assert rate.update(1500 * NS_PER_MS) == 0


def test_every_counter_is_explained() -> None:
    assert set(MEANINGS) == set(Stats().counters()) - {"rejected"}


def test_counters_add_up_the_streams_there_are_and_those_that_are_gone() -> None:
    stats = Stats(messages=9)
    gone = {"accepted": 4, "late": 1, "dup": 2, "gap": 3, "shed": 4, "failed": 5}
    stats.keep(gone)
    stats.reject("bad_topic")
    stats.reject("bad_topic")
    counters = stats.counters([gone, gone])
    assert (counters["late"], counters["dup"], counters["gap"], counters["shed"]) == (3, 6, 9, 12)
    assert counters["failed"] == 15
    assert counters["messages"] == 9
    assert counters["rejected"] == 2
    assert "latency" not in counters


class Slow(int):
    """A count to which two threads add at once: each has read it before either writes."""

    both_have_read = threading.Barrier(2)

    def __add__(self, other: int) -> int:
        with suppress(threading.BrokenBarrierError):  # whoever holds a lock waits alone
            self.both_have_read.wait(0.2)
        return int(self) + other


@pytest.mark.parametrize(
    "count",
    [lambda stats: stats.reject("bad_topic"), lambda stats: stats.add("internal_errors")],
    ids=["reject", "add"],
)
def test_two_threads_that_count_at_once_lose_nothing(count: Callable[[Stats], object]) -> None:
    Slow.both_have_read.reset()
    stats = Stats(internal_errors=Slow(0), rejected={"bad_topic": Slow(0)})
    threads = [threading.Thread(target=count, args=(stats,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stats.internal_errors + stats.rejected["bad_topic"] == 2


def test_a_counter_that_is_none_cannot_be_added_to() -> None:
    with pytest.raises(AttributeError):
        Stats().add("nonsense")
    assert Stats().add("frames", 3) == 3
