"""The one command for a machine with a GPU: its plan, its time, and all of it on the CPU."""

import json
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from tests.gpu import run_offline
from tests.gpu.run_offline import (
    MISSING,
    SKIPPED,
    Places,
    Record,
    Stage,
    main,
    run_stage,
    stages,
    time_of,
)
from tests.training.conftest import write_mocap

HERE = dict(os.environ)


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


@pytest.fixture
def places(tmp_path: Path) -> Places:
    for name in ("out", "scratch", "motion"):
        (tmp_path / name).mkdir()
    return Places(out=tmp_path / "out", scratch=tmp_path / "scratch", motion=tmp_path / "motion")


def python_stage(code: str, *, name: str = "s", limit_s: float = 20, least_s: float = 0) -> Stage:
    command = (sys.executable, "-c", code)
    return Stage(name=name, command=command, limit_s=limit_s, least_s=least_s)


def lines(out: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (out / "figures.jsonl").read_text().splitlines()]


def test_the_plan_begins_with_what_is_worth_most_and_trains_before_the_sanitizer(
    places: Places,
) -> None:
    names = [stage.name for stage in stages(places, 600, dry=False)]
    assert names[:5] == ["extension", "tests", "window", "steps", "parity"]
    order = ["batches", "train", "export", "score", "sanitizer-memcheck", "rtx-build"]
    assert sorted(order, key=names.index) == order


def test_no_stage_takes_the_time_that_a_later_one_needs() -> None:
    first = python_stage("", limit_s=100)
    later = [python_stage("", least_s=30), python_stage("", least_s=20)]
    assert time_of(first, later, 200) == 100
    assert time_of(first, later, 120) == 70
    cannot = Stage(name="x", command=(), limit_s=9, least_s=30, why="no --motion folder")
    assert time_of(first, [cannot], 80) == 80


def test_with_ten_minutes_training_gets_most_of_them(places: Places) -> None:
    """Even if everything before it takes as long as it may."""
    planned, left_s = stages(places, 600, dry=False), 600.0
    for number, stage in enumerate(planned):
        time_s = time_of(stage, planned[number + 1 :], left_s)
        if stage.name == "train":
            break
        left_s -= time_s
    assert 150 < time_s <= 0.6 * 600 + 40


def test_our_commands_parse(places: Places) -> None:
    from langpose_rt.cli.main import build_parser
    from training.finetune import main as finetune  # noqa: F401 - it must be there
    from training.trainer.command import stage_parser

    planned = {stage.name: stage.command for stage in stages(places, 600, dry=False)}
    for name, words in (("export", planned["export"]), ("build-engine", planned["rtx-build"])):
        build_parser(name).parse_args(words[3:])
    words = [word.format(minutes="3.5") for word in planned["train"][3:]]
    parsed = stage_parser("finetune", "", "").parse_args(words)
    assert (parsed.width, parsed.minutes, parsed.save_minutes) == (384, 3.5, 0.5)


def test_lines_of_json_are_figures_as_they_come_and_the_rest_is_log(places: Places) -> None:
    record = Record(places.out)
    code = (
        "import sys, time; print('{\"persons\": 1}', flush=True); print('words'); print('{torn');"
        f"time.sleep(1); print('seen', open({str(places.out / 'figures.jsonl')!r}).read())"
    )
    run_stage(python_stage(code, name="steps"), 20, record, HERE)
    record.close()
    first, last = lines(places.out)
    assert first == {"stage": "steps", "persons": 1}
    assert (last["result"], last["stage"]) == (0, "steps")
    log = (places.out / "run.log").read_text()
    assert "words\n{torn\n" in log
    assert 'seen {"stage": "steps", "persons": 1}' in log, "it was there while the stage ran"


def test_a_stage_that_fails_or_takes_too_long_stops_neither_the_run_nor_its_children(
    places: Places,
) -> None:
    record = Record(places.out)
    run_stage(python_stage("import sys; sys.exit(3)"), 20, record, HERE)
    child = f"97.{os.getpid()}"  # nobody else's
    sleeper = f"import subprocess, time; subprocess.Popen(['sleep', '{child}']); time.sleep(97)"
    begun_s = time.monotonic()
    run_stage(python_stage(sleeper), 2, record, HERE)
    assert time.monotonic() - begun_s < 20
    run_stage(python_stage("print('{}')"), 20, record, HERE)
    record.close()
    results = [line["result"] for line in lines(places.out) if "result" in line]
    assert results == [3, 124, 0]
    assert record.failed
    running = subprocess.run(["ps", "ax"], capture_output=True, text=True, check=True).stdout
    assert f"sleep {child}" not in running


def test_what_is_not_there_is_missing_and_what_has_no_time_is_skipped(places: Places) -> None:
    record = Record(places.out)
    for stage in (
        Stage(name="p", command=("x",), limit_s=9, program="no-such-program"),
        Stage(name="m", command=("x",), limit_s=9, module="no_such_module.at_all"),
        Stage(name="w", command=("x",), limit_s=9, why="no --motion folder was given"),
        Stage(name="t", command=("x",), limit_s=9, least_s=30),
    ):
        run_stage(stage, 9, record, HERE)
    record.close()
    assert [line["result"] for line in lines(places.out)] == [MISSING, MISSING, MISSING, SKIPPED]
    assert lines(places.out)[0]["why"] == "no-such-program is not on PATH"
    assert not record.failed


def test_wheels_are_installed_without_a_network(wheels: Path, tmp_path: Path) -> None:
    pytest.importorskip("pip")
    out = tmp_path / "out"
    words = ["--budget-s", "60", "--out", str(out), "--wheels", str(wheels), "--only", "wheels"]
    assert main(words) == 0
    (result,) = lines(out)
    assert (result["stage"], result["result"]) == ("wheels", 0)


def test_weights_and_curves_are_kept_though_training_was_stopped(places: Places) -> None:
    run = places.scratch / "train"
    run.mkdir()
    (run / "model.safetensors").write_text("last")
    (run / "log.jsonl").write_text("{}\n")
    run_offline.keep_training(places)
    assert (places.out / "model.safetensors").read_text() == "last"
    assert (places.out / "curves.jsonl").read_text() == "{}\n"
    (places.scratch / "exported").mkdir()
    (places.scratch / "exported" / "model.safetensors").write_text("half")
    run_offline.keep_training(places)
    assert (places.out / "model.safetensors").read_text() == "half"


def test_a_stage_or_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    for words in (["--only", "lunch"], ["--motion", str(tmp_path / "none")]):
        with pytest.raises(SystemExit):
            main(["--budget-s", "9", "--out", str(tmp_path / "out"), *words])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_dry_run_goes_through_every_stage_on_the_cpu(tmp_path: Path) -> None:
    pytest.importorskip("cuda.bindings")
    motion, out = tmp_path / "motion", tmp_path / "out"
    motion.mkdir()
    write_mocap(motion)
    words = ("--budget-s", "800", "--out", str(out), "--motion", str(motion), "--dry-run")
    command = [sys.executable, str(Path(run_offline.__file__)), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    log = (out / "run.log").read_text()
    found = lines(out)
    results = {line["stage"]: line["result"] for line in found if "result" in line}
    places = Places(out=out, scratch=tmp_path, motion=motion)
    assert list(results) == [stage.name for stage in stages(places, 800, dry=True)]
    for name, result in results.items():
        if not name.startswith(("sanitizer", "rtx")):  # they need a GPU or may be missing
            assert result == 0, f"{name}\n{done.stdout}\n{log[-5000:]}"
    figures = {line["stage"] for line in found if "result" not in line}
    assert {"environment", "window", "steps", "parity", "batches", "score"} <= figures
    parity = [line for line in found if line["stage"] == "parity" and "mean_mm" in line]
    assert {line["variant"] for line in parity} == {"graph", "enqueued", "torch_eager"}
    steps = next(line for line in found if line["stage"] == "steps" and line.get("persons") == 3)
    assert {"graph_p50_ms", "enqueued_p50_ms", "window_recompute_p50_ms"} <= steps.keys()
    assert (out / "model.safetensors").stat().st_size > 0
    assert (out / "curves.jsonl").read_text().count("\n") >= 1
