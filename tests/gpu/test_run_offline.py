"""The one command for a machine with a GPU, as far as it goes without one."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.gpu import run_offline
from tests.gpu.run_offline import Stage, main, run_stage, stages


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """One wheel, made by hand."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    with zipfile.ZipFile(folder / "carried-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("carried.py", "ANSWER = 42\n")
        wheel.writestr(
            "carried-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: carried\nVersion: 1.0\n"
        )
        wheel.writestr(
            "carried-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        wheel.writestr("carried-1.0.dist-info/RECORD", "")
    return folder


def test_a_dry_run_says_every_stage_and_runs_none(
    wheels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(wheels), str(tmp_path / "out"), "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = [line.partition(":")[0] for line in lines]
    assert names[:3] == ["environment", "extension", "tests"]
    assert {"sanitizer-memcheck", "sanitizer-racecheck", "bench-torch", "bench-tensorrt"} <= {
        *names
    }
    assert not (tmp_path / "out").exists()


def test_wheels_are_installed_without_a_network(wheels: Path, tmp_path: Path) -> None:
    pytest.importorskip("pip")
    out = tmp_path / "out"
    assert main([str(wheels), str(out), "--only", "environment"]) == 0
    code = "import carried; print(carried.ANSWER)"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(out / "site")},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "42"
    (result,) = json.loads((out / "summary.json").read_text())
    assert (result["name"], result["result"]) == ("environment", 0)


def test_every_command_of_ours_is_one_that_parses(tmp_path: Path) -> None:
    from langpose_rt.cli.main import build_parser

    ours = [stage.command[3:] for stage in stages(tmp_path, tmp_path, tmp_path)]
    ours = [words for words in ours if words[0] in {"bench", "build-engine"}]
    assert len(ours) == 5
    for words in ours:
        build_parser(words[0]).parse_args(words)


def test_a_stage_that_fails_keeps_its_log_and_no_figures(tmp_path: Path) -> None:
    code = "import sys; print('{'); print('why', file=sys.stderr); sys.exit(3)"
    stage = Stage("broken", (sys.executable, "-c", code), figures=True)
    assert run_stage(stage, tmp_path, {})["result"] == 3
    assert (tmp_path / "broken.log").read_text() == "why\n"
    assert not (tmp_path / "broken.json").exists()


def test_a_stage_without_its_program_is_missing_not_failed(tmp_path: Path) -> None:
    stage = Stage("s", ("nothing",), needs="no-such-program")
    assert run_stage(stage, tmp_path, {})["result"] == run_offline.MISSING


def test_a_stage_that_does_not_exist_is_refused(wheels: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        main([str(wheels), str(tmp_path), "--only", "lunch"])
