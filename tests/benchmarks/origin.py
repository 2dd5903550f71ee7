"""Where a figure comes from: machine, commit and command, in one line above every table."""

import os
import platform
import subprocess
from pathlib import Path

import numpy as np


def origin(command: str) -> str:
    """The line that makes a printed figure repeatable."""
    python = f"Python {platform.python_version()}, NumPy {np.__version__}"
    return f"machine {_cpu()}, {os.cpu_count()} cores, {python}; commit {_commit()}; {command}"


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
