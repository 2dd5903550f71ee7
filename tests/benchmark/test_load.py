"""A load test of a real server: every frame is accounted for."""

from pathlib import Path

from langpose_rt.benchmark.child_server import child_server
from langpose_rt.benchmark.load import Load, run_load


def test_every_frame_is_answered_or_counted(model: Path) -> None:
    with child_server(["--model", str(model), "--max-wait-ms", "10000"]) as server:
        result = run_load(server, Load(persons=2, rate_hz=30.0, seconds=1.5))
    assert result.frames_sent == 45
    assert result.frames_answered == 45
    assert result.shed == 0
    assert 0 < result.latency.frames < 45
    assert result.latency.p50_ms > 0
    assert len(result.resident_mb) == 2
