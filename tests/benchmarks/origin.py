"""Where a figure comes from: machine, commit and command, in one line above every report."""

import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np


def origin(command: str) -> str:
    """The line that makes a printed figure repeatable."""
    python = f"Python {platform.python_version()}, NumPy {np.__version__}"
    return f"machine {_cpu()}, {os.cpu_count()} cores, {python}; commit {_commit()}; {command}"


def print_report(benchmark: str, report: Mapping[str, object], *, as_json: bool) -> None:
    """Figures by name, below where they come from; several of one name are told apart by a slash.

    Args:
        benchmark: Module below tests.benchmarks that was started with the present arguments.
        report: The figures.
        as_json: Print JSON.
    """
    where = origin(f"python -m tests.benchmarks.{benchmark} {shlex.join(sys.argv[1:])}".rstrip())
    if as_json:
        print(json.dumps({"origin": where, **report}, indent=2))
        return
    print(where)
    for name, value in report.items():
        several = value if isinstance(value, (list, tuple)) else [value]
        shown = " / ".join(_number(one) for one in several)
        print(f"{name.replace('_', ' '):40} {shown}")


def _number(value: object) -> str:
    return f"{value:,.3f}" if isinstance(value, float) else str(value)


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _commit() -> str:
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
