"""Everything that wants a GPU, in one command, on a machine that is at hand for a short while.

    python3 tests/gpu/run_offline.py --budget-s 600 --out OUT --wheels DIR --motion DIR
    python3 tests/gpu/run_offline.py --budget-s 300 --out OUT --motion DIR --dry-run

Stages run in order of worth, each with its own time limit; none takes the time that a later one
needs at least. Figures are written to OUT/figures.jsonl as they come, one JSON object a line, and
what stages print to OUT/run.log. Weights and their curves are in OUT whatever happens: training
saves by the clock. No network is needed; the first stage says what the machine lacks.

--wheels is a folder of wheels for what it lacks, --motion one that training.tools.pack_motion made.
--dry-run goes through every stage on the CPU with tiny sizes and four times the limits, over a CUDA
driver of CPU threads.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TextIO

ROOT = Path(__file__).parent.parent.parent
MISSING, SKIPPED = "missing", "no time"
MOST_TRAINING, LEAST_TRAINING = 0.6, 0.3
"""Shares of the budget that training may take at most, and is left at least."""

NEEDED = {
    "numpy": "everything",
    "msgspec": "everything",
    "zmq": "everything",
    "jaxtyping": "everything",
    "torch": "steps, training",
    "safetensors": "checkpoints: steps, training",
    "onnx": "export, engines",
    "onnxscript": "export",
    "onnxruntime": "parity",
    "cuda.bindings": "the GPU backends (or pycuda)",
    "rich": "training",
    "pytest": "tests",
    "hypothesis": "tests",
    "beartype": "tests",
    "xdist": "tests",
    "tensorrt_rtx": "engines",
}
"""Modules, and what needs them."""

PROGRAMS = {"g++": "the extension", "nvcc": "kernels (or NVRTC)", "compute-sanitizer": "sanitizer"}


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One thing to run.

    Attributes:
        name: Of its lines.
        command: Words; ``{minutes}`` becomes the time it has.
        limit_s: Most it may take.
        least_s: It is skipped with less than this; earlier stages leave it so much.
        program, module: What must be there, if anything.
        why: Why it cannot run at all; empty if it can.
        environment: Variables of its own.
    """

    name: str
    command: tuple[str, ...]
    limit_s: float
    least_s: float = 0.0
    program: str | None = None
    module: str | None = None
    why: str = ""
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Places:
    """Folders of a run.

    Attributes:
        out: What is kept.
        scratch: What is not.
        motion: Packed motion; None without training.
        wheels: Wheels; None without any.
    """

    out: Path
    scratch: Path
    motion: Path | None = None
    wheels: Path | None = None

    @property
    def site(self) -> Path:
        """Where wheels are installed."""
        return self.scratch / "site"


def stages(places: Places, budget_s: float, *, dry: bool) -> list[Stage]:
    """Return what is run, in order."""
    python, scratch = sys.executable, places.scratch
    measure = (python, "-m", "tests.gpu.measure")
    pytest = (python, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "-m", "gpu")
    tests = ("tests/gpu/test_window.py",) if dry else ("tests/gpu",)
    persons, repeats = ("1,3", "3") if dry else ("1,8,64,256,1024", "200")
    sizes = ("--persons", persons, "--repeats", repeats)
    model = str(scratch / "small" / "out") if dry else ""
    here = ("--model", model) if dry else ()
    of_model = {"LANGPOSE_TEST_MODEL": model} if dry else {}
    found = []
    if places.wheels is not None:
        pip = (python, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-compile")
        files = sorted(str(wheel) for wheel in places.wheels.glob("*.whl"))
        command = (*pip, "--upgrade", "--target", str(places.site), *files)
        found.append(Stage(name="wheels", command=command, limit_s=60, least_s=10))
    if dry:
        command = (*measure, "pretend", "--out", str(scratch))
        found.append(Stage(name="pretend", command=command, limit_s=180, least_s=20))
    else:
        command = (python, "setup.py", "build_ext", "--inplace")
        found.append(Stage(name="extension", command=command, limit_s=90, program="g++"))
    found += [
        Stage(
            name="tests", command=(*pytest, *tests), limit_s=120, least_s=20, environment=of_model
        ),
        Stage(name="window", command=(*measure, "window", *here, *sizes), limit_s=30, least_s=10),
        Stage(name="steps", command=(*measure, "steps", *here, *sizes), limit_s=100, least_s=20),
        Stage(name="parity", command=(*measure, "parity", *here), limit_s=40, least_s=10),
        *_training(places, budget_s, dry=dry),
    ]  # fmt: skip
    for tool in ("memcheck", "racecheck"):
        words = ("--tool", tool, "--error-exitcode", "9", "--target-processes", "all")
        command = ("compute-sanitizer", *words, *pytest, "tests/gpu/test_window.py")
        found.append(
            Stage(
                name=f"sanitizer-{tool}", command=command, limit_s=60, program="compute-sanitizer",
                environment=of_model,
            )
        )  # fmt: skip
    cli, engines = (python, "-m", "langpose_rt"), str(scratch / "engines")
    command = (*measure, "rtx-try")
    found.append(Stage(name="rtx-try", command=command, limit_s=40, module="tensorrt_rtx"))
    built = ("--model", model, "--arch", "8.9") if dry else ()
    command = (*cli, "build-engine", "--flavor", "rtx", *built, "--out", engines, "--json")
    no_driver = {"LD_LIBRARY_PATH": os.environ.get("LD_LIBRARY_PATH", "")} if dry else {}
    found.append(
        Stage(
            name="rtx-build", command=command, limit_s=120, module="tensorrt_rtx",
            environment=no_driver,
        )
    )  # fmt: skip
    command = (*measure, "rtx", "--model", engines, *sizes)
    found.append(Stage(name="rtx-steps", command=command, limit_s=60, module="tensorrt_rtx"))
    return [replace(stage, limit_s=4 * stage.limit_s) for stage in found] if dry else found


def _training(places: Places, budget_s: float, *, dry: bool) -> list[Stage]:
    """Return the stages that need motion: rate of batches, training, export, score."""
    python, run = sys.executable, places.scratch / "train"
    why = "" if places.motion is not None else "no --motion folder was given"
    motion = ("--mocap", str(places.motion))
    cores = os.cpu_count() or 1
    workers = "1" if dry else str(max(cores - 2, 1))
    sizes = (
        ("--width", "32", "--heads", "2", "--depth", "1", "--clips", "4", "--frames", "16")
        if dry
        else ("--width", "384", "--heads", "12", "--clips", "512", "--frames", "96")
    )
    train = (
        python, "-m", "training.finetune", *motion, "--commercial-only", *sizes,
        "--minutes", "0.05" if dry else "{minutes}", "--half-until", "0.9", "--whole", "0.4",
        "--swung", "0.1", "--mixed", "0.15", "--gravity-known", "0.3", "--lag", "0.5",
        "--workers", workers, "--log-every", "1" if dry else "20", "--validate-every", "500",
        "--save-every", "1000000",
        "--save-minutes", "0.05" if dry else "0.5", "--out", str(run),
    )  # fmt: skip
    weights, exported = str(run / "model.safetensors"), str(places.scratch / "exported")
    batches = (
        python, "-m", "tests.gpu.measure", "batches", *motion, "--workers",
        "1" if dry else f"1,{cores // 2},{workers}", "--seconds", "1" if dry else "4",
        "--clips", "4" if dry else "512", "--frames", "16" if dry else "96",
    )  # fmt: skip
    export = (python, "-m", "langpose_rt", "export", weights, "--out", exported)
    score = (python, "-m", "tests.gpu.measure", "score", weights, *motion, "--threads", str(cores))
    longest, least = (20.0, 45.0) if dry else (MOST_TRAINING * budget_s, LEAST_TRAINING * budget_s)
    return [
        Stage(name="batches", command=batches, limit_s=40, least_s=10, why=why),
        Stage(name="train", command=train, limit_s=longest + 40, least_s=least, why=why),
        Stage(name="export", command=export, limit_s=60, least_s=20, why=why),
        Stage(name="score", command=score, limit_s=90, least_s=20, why=why),
    ]


def time_of(stage: Stage, later: Sequence[Stage], left_s: float) -> float:
    """Return how long a stage may take: its limit, or what later ones leave of the time."""
    reserved = sum(other.least_s for other in later if not other.why)
    return min(stage.limit_s, left_s - reserved)


class Record:
    """What a run leaves: figures as lines of JSON, and everything that was printed."""

    def __init__(self, out: Path) -> None:
        self._figures = (out / "figures.jsonl").open("a")
        self.log = (out / "run.log").open("a")
        self.failed = False

    def write(self, stage: str, **values: Any) -> None:
        """Write one line, at once."""
        self._figures.write(json.dumps({"stage": stage, **values}) + "\n")
        self._figures.flush()

    def close(self) -> None:
        """Close the files."""
        self._figures.close()
        self.log.close()


def run_stage(stage: Stage, time_s: float, record: Record, environment: dict[str, str]) -> None:
    """Run one stage; lines of JSON that it prints become figures, all else is log."""
    reason = _why_not(stage, environment)
    if reason or time_s < max(stage.least_s, 1):
        result = MISSING if reason else SKIPPED
        record.write(stage.name, result=result, why=reason or f"{time_s:.0f} s are left for it")
        print(f"{stage.name}: {result}, {reason or 'later stages need the rest'}", flush=True)
        return
    minutes = max(time_s - 40, 3) / 60  # start, first batches and the last save
    command = [word.replace("{minutes}", f"{minutes:.3f}") for word in stage.command]
    record.log.write(f"\n== {stage.name}: {' '.join(command)}\n")
    record.log.flush()
    print(f"{stage.name}: at most {time_s:.0f} s", flush=True)
    start_s = time.monotonic()
    code = _run(command, time_s, stage.name, record, environment | stage.environment)
    took_s = round(time.monotonic() - start_s, 1)
    record.write(stage.name, result=code, took_s=took_s, limit_s=round(time_s, 1))
    record.failed |= code != 0
    print(f"{stage.name}: {'ok' if code == 0 else f'exit code {code}'}, {took_s} s", flush=True)


def _why_not(stage: Stage, environment: dict[str, str]) -> str:
    """Return why a stage cannot run; empty if it can."""
    if stage.why:
        return stage.why
    if stage.program is not None and shutil.which(stage.program) is None:
        return f"{stage.program} is not on PATH"
    if stage.module is not None and not _has_module(stage.module, environment):
        return f"no module {stage.module}"
    return ""


def _has_module(name: str, environment: dict[str, str]) -> bool:
    """Tell if a module is installed, in the folders of the stages as well."""
    for place in environment.get("PYTHONPATH", "").split(os.pathsep):
        if place and place not in sys.path:
            sys.path.append(place)
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def _run(
    command: list[str], time_s: float, name: str, record: Record, environment: dict[str, str]
) -> int:
    """Run a command in its own process group, which is stopped when its time is over."""
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=record.log, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    reader = threading.Thread(target=_keep_lines, args=(process.stdout, name, record))
    reader.start()
    try:
        code = process.wait(timeout=time_s)
    except subprocess.TimeoutExpired:
        code = 124
    finally:
        for how in (signal.SIGTERM, signal.SIGKILL):
            _stop(process, how)
    reader.join()
    process.stdout.close()
    return code


def _stop(process: "subprocess.Popen[str]", how: signal.Signals) -> None:
    """Send a signal to all that a stage started, and give it a moment."""
    try:
        os.killpg(process.pid, how)
        process.wait(timeout=5)
    except (ProcessLookupError, PermissionError, subprocess.TimeoutExpired):
        return


def _keep_lines(printed: TextIO, name: str, record: Record) -> None:
    for line in printed:
        values = _figures(line)
        if values is None:
            record.log.write(line)
            record.log.flush()
        else:
            record.write(name, **values)


def _figures(line: str) -> dict[str, Any] | None:
    """Return the values of a line that is a JSON object, else None."""
    if not line.startswith("{"):
        return None
    try:
        values = json.loads(line)
    except ValueError:
        return None
    return values if isinstance(values, dict) else None


def keep_training(places: Places) -> None:
    """Copy weights and curves to OUT: the exported weights, which are in half, else the last."""
    run = places.scratch / "train"
    weights = (places.scratch / "exported" / "model.safetensors", run / "model.safetensors")
    for path in weights:
        if path.exists():
            shutil.copy(path, places.out / "model.safetensors")
            break
    if (run / "log.jsonl").exists():
        shutil.copy(run / "log.jsonl", places.out / "curves.jsonl")


def main(words: list[str] | None = None) -> int:
    """Run all stages within the budget."""
    description, _, rest = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=description, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--budget-s", type=float, required=True, help="seconds for all stages")
    parser.add_argument("--out", type=Path, required=True, help="folder for what is kept")
    parser.add_argument("--wheels", type=Path, help="folder of wheels this machine lacks")
    parser.add_argument("--motion", type=Path, help="packed motion; without it nothing is trained")
    parser.add_argument("--only", help="stages to run, separated by commas")
    parser.add_argument("--dry-run", action="store_true", help="tiny sizes, on the CPU")
    arguments = parser.parse_args(words)
    for folder in (arguments.wheels, arguments.motion):
        if folder is not None and not folder.is_dir():
            parser.error(f"{folder} is no folder")
    begun_s = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        places = Places(
            out=arguments.out.resolve(),
            scratch=Path(scratch),
            motion=arguments.motion and arguments.motion.resolve(),
            wheels=arguments.wheels and arguments.wheels.resolve(),
        )
        planned = stages(places, arguments.budget_s, dry=arguments.dry_run)
        if arguments.only:
            unknown = set(arguments.only.split(",")) - {stage.name for stage in planned}
            if unknown:
                parser.error(f"no such stage: {', '.join(sorted(unknown))}")
            planned = [stage for stage in planned if stage.name in arguments.only.split(",")]
        places.out.mkdir(parents=True, exist_ok=True)
        record = Record(places.out)
        environment = _environment(places, dry=arguments.dry_run)
        try:
            for number, stage in enumerate(planned):
                if number == int(places.wheels is not None):
                    lacking = what_is_missing(environment)
                    record.write("environment", missing=lacking)
                    print(f"missing here: {lacking or 'nothing'}", flush=True)
                left_s = begun_s + arguments.budget_s - time.monotonic()
                run_stage(stage, time_of(stage, planned[number + 1 :], left_s), record, environment)
        finally:
            keep_training(places)
            record.close()
        return int(record.failed)


def what_is_missing(environment: dict[str, str]) -> dict[str, str]:
    """Return modules and programs that this machine lacks, and what needs them."""
    modules = {name: why for name, why in NEEDED.items() if not _has_module(name, environment)}
    return modules | {name: why for name, why in PROGRAMS.items() if shutil.which(name) is None}


def _environment(places: Places, *, dry: bool) -> dict[str, str]:
    """Return the variables of all stages."""
    parts = (str(places.site), str(ROOT), os.environ.get("PYTHONPATH", ""))
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(part for part in parts if part),
        "LANGPOSE_REQUIRE_GPU": "1",
        "PYTHONUNBUFFERED": "1",
    }
    if dry:
        environment["LD_LIBRARY_PATH"] = str(places.scratch)
    return dict(environment)


if __name__ == "__main__":
    sys.exit(main())
