"""Everything that wants a GPU, on a machine without a network, in one command.

    python3 tests/gpu/run_offline.py WHEELS OUT [--dry-run]

WHEELS is a folder of wheels for what the machine lacks (pyzmq, msgspec, beartype, hypothesis,
pytest, jaxtyping, onnxscript, pycuda, tensorrt-rtx, ...); what it has already, torch above all, is
used as it is. OUT gets one log per stage, the figures of `bench` as JSON, and summary.json. A stage
that fails does not stop the others; the exit code says whether one did.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PERSONS = "1,8,64,256,1024"
LONGEST_STAGE_S = 1800
MISSING = "missing"


@dataclass(frozen=True)
class Stage:
    """One thing to run.

    Attributes:
        name: Of its log.
        command: Words.
        needs: A program that must be on the PATH, if any.
        figures: Whether what it prints is JSON, to be kept as such.
    """

    name: str
    command: tuple[str, ...]
    needs: str | None = None
    figures: bool = False


def stages(wheels: Path, site: Path, models: Path) -> list[Stage]:
    """What is run, in order."""
    files = sorted(str(wheel) for wheel in wheels.glob("*.whl"))
    python, cli = sys.executable, (sys.executable, "-m", "langpose_rt")
    pip = (python, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-compile")
    pytest = (python, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    engine = str(models / "live")
    found = (
        [Stage("environment", (*pip, "--upgrade", "--target", str(site), *files))] if files else []
    )
    found += [
        Stage("extension", (python, "setup.py", "build_ext", "--inplace")),
        Stage("tests", (*pytest, "-m", "gpu")),
        Stage("cubin", (*pytest, "tests/cpp_ext", "tests/runtime/cuda/test_kernels.py")),
    ]
    for tool in ("memcheck", "racecheck", "initcheck"):
        check = (
            "compute-sanitizer",
            "--tool",
            tool,
            "--error-exitcode",
            "9",
            "--target-processes",
            "all",
        )
        command = (*check, *pytest, "tests/gpu/test_window.py")
        found.append(Stage(f"sanitizer-{tool}", command, needs="compute-sanitizer"))
    for flavor in ("tensorrt", "rtx"):
        out = ("--out", str(models), "--json")
        command = (*cli, "build-engine", "--flavor", flavor, *out)
        found.append(Stage(f"build-{flavor}", command, figures=True))
    measured = ("--persons", PERSONS, "--json")
    found.append(
        Stage("bench-torch", (*cli, "bench", "--backend", "torch", *measured), figures=True)
    )
    for backend in ("tensorrt", "tensorrt-rtx"):
        command = (*cli, "bench", "--backend", backend, "--model", engine, *measured)
        found.append(Stage(f"bench-{backend}", command, figures=True))
    return found


def run_stage(stage: Stage, out: Path, environment: dict[str, str]) -> dict[str, object]:
    """Run one stage; what it printed is in OUT, and what became of it is returned."""
    if stage.needs is not None and shutil.which(stage.needs) is None:
        return {"name": stage.name, "result": MISSING, "why": f"{stage.needs} is not on PATH"}
    print(f"{stage.name} ...", flush=True)
    start_s = time.monotonic()
    log = out / f"{stage.name}.log"
    kept = out / f"{stage.name}.json" if stage.figures else log
    with log.open("w") as errors, kept.open("a" if kept == log else "w") as printed:
        try:
            code = subprocess.run(
                stage.command, cwd=ROOT, env=environment, stdout=printed, stderr=errors,
                timeout=LONGEST_STAGE_S, check=False,
            ).returncode  # fmt: skip
        except subprocess.TimeoutExpired:
            code = 124
    if stage.figures and code:
        kept.unlink()
    print(f"{stage.name}: {'ok' if code == 0 else f'exit code {code}, see {log}'}", flush=True)
    took_s = round(time.monotonic() - start_s, 1)
    return {"name": stage.name, "result": code, "command": list(stage.command), "took_s": took_s}


def main(words: list[str] | None = None) -> int:
    """Run all stages, or say what they are."""
    parser = argparse.ArgumentParser(
        description="run everything that wants a GPU, without a network"
    )
    parser.add_argument("wheels", type=Path, help="folder of wheels this machine lacks")
    parser.add_argument("out", type=Path, help="folder for logs and figures")
    parser.add_argument("--dry-run", action="store_true", help="print the commands and run nothing")
    parser.add_argument("--only", help="stages to run, separated by commas")
    arguments = parser.parse_args(words)
    if not arguments.wheels.is_dir():
        parser.error(f"{arguments.wheels} is no folder of wheels")
    out = arguments.out.resolve()
    found = stages(arguments.wheels.resolve(), out / "site", out / "models")
    if arguments.only:
        unknown = set(arguments.only.split(",")) - {stage.name for stage in found}
        if unknown:
            parser.error(f"no such stage: {', '.join(sorted(unknown))}")
        found = [stage for stage in found if stage.name in arguments.only.split(",")]
    if arguments.dry_run:
        print("\n".join(f"{stage.name}: {' '.join(stage.command)}" for stage in found))
        return 0
    out.mkdir(parents=True, exist_ok=True)
    path = os.pathsep.join(
        part for part in (str(out / "site"), str(ROOT), os.environ.get("PYTHONPATH")) if part
    )
    environment = os.environ | {"PYTHONPATH": path, "LANGPOSE_REQUIRE_GPU": "1"}
    results = [run_stage(stage, out, environment) for stage in found]
    (out / "summary.json").write_text(json.dumps(results, indent=2) + "\n")
    return int(any(result["result"] not in (0, MISSING) for result in results))


if __name__ == "__main__":
    sys.exit(main())
