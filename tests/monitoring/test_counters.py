"""Counters and latencies in bounded memory."""

import numpy as np
import pytest

from langpose_rt.monitoring.counters import (
    EDGES_MS,
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
    assert rate.look(500 * NS_PER_MS) == 60
    assert rate.look(500 * NS_PER_MS) == 60, "no time has passed"
    assert rate.look(1500 * NS_PER_MS) == 0


def test_counters_add_up_the_streams_there_are_and_those_that_are_gone() -> None:
    stats = Stats(messages=9)
    gone = {"accepted": 4, "late": 1, "dup": 2, "gap": 3, "shed": 4}
    stats.keep(gone)
    stats.reject("bad_topic")
    stats.reject("bad_topic")
    counters = stats.counters([gone, gone])
    assert (counters["late"], counters["dup"], counters["gap"], counters["shed"]) == (3, 6, 9, 12)
    assert counters["messages"] == 9
    assert counters["rejected"] == 2
    assert "latency" not in counters
