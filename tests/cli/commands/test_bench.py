"""`bench`: the figures it prints, and what it refuses. No figure's size is asserted."""

import json
from pathlib import Path

import pytest

from langpose_rt.cli.commands import bench
from tests.commands import run_here


def test_without_sockets_it_prints_a_row_per_crowd(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "_ratio", lambda *_: "not measured: this is a test")
    words = ("--persons", "1,3", "--frames", 5, "--seconds", 0, "--model", model)
    done = run_here("bench", *words, "--json")
    assert done.code == 0
    report = json.loads(done.out, parse_constant=pytest.fail)
    assert [row["persons"] for row in report["rows"]] == [1, 3]
    assert all(row["cpu_ms_per_person_frame"] > 0 for row in report["rows"])
    assert report["model"]["name"] == "small"
    table = run_here("bench", *words).out.splitlines()
    assert "CPU ms a person-frame" in table[3]
    assert len({len(line) for line in table[3:6]}) == 1
    assert table[6].startswith("CPU ms a person-frame: processor time for one person")
    assert table[-1] == "recomputing the window: not measured: this is a test"


def test_the_ratio_stands_beside_that_of_the_macs() -> None:
    report = {
        "machine": {"processor": "p", "cores": 2, "onnxruntime": "1", "native": None,
                    "instructions": []},
        "model": {"name": "m", "sha256": "s", "precision": "fp32", "backend": "onnx"},
        "rows": [{"persons": 1, "cpu_ms_per_person_frame": 0.5, "resident_mb": None}],
        "recompute": {
            "frames": 32, "step_ms": 0.5, "window_ms": 5.0, "time_ratio": 10.0, "mac_ratio": 32.0
        },
    }  # fmt: skip
    table = bench._table(report)
    assert "10.0x the time for 32.0x the multiply-adds (MACs)" in table
    assert table.splitlines()[:2] == [
        "p, 2 cores, ONNX Runtime 1, without the C++ extension",
        "instructions: none known",
    ]
    assert table.splitlines()[4].split() == ["1", "0.50", "-"]
    report["machine"] |= {"native": "AVX2", "instructions": ["avx2", "fma"]}
    assert bench._table(report).splitlines()[0].endswith("native step with AVX2")
    assert bench._table(report).splitlines()[1] == "instructions: avx2, fma"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--persons", "0,a"), "--persons is '0,a'; expected numbers from 1 to 64 such as 1,4,8"),
        (("--persons", "65"), "expected numbers from 1 to 64"),
        (("--persons", ""), "expected numbers from 1 to 64"),
        (("--frames", "0"), "--frames is 0; expected 1 to"),
        (("--rate-hz", "nan"), "--rate-hz is nan; expected 1 to 1000"),
        (("--seconds", "-1"), "--seconds is -1; expected 0 to 3600"),
        (("--seconds", "0.5"), "--seconds is 0.5; expected 0, or at least 2"),
        (("--model", "/nowhere"), "no model at /nowhere"),
    ],
)
def test_a_wrong_option_is_one_sentence(words: tuple[str, ...], sentence: str) -> None:
    done = run_here("bench", *words)
    assert done.code == 2
    assert sentence in done.sentence
