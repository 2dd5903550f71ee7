"""Checks of the installation: version, Python, packages, C++ extension."""

import platform
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import langpose_rt
from langpose_rt.cli.doctor.check import Check
from langpose_rt.extension import why_no_extension

ROOT = Path(langpose_rt.__file__).parents[1]
"""The checkout, if the package is used from one."""

BUILD_EXTENSION = (
    "install a C++ compiler (apt install g++), then in the checkout: "
    "pip install --force-reinstall --no-deps --no-cache-dir ."
)
"""Advice where the C++ extension is missing."""

OPENCV = (
    "opencv-python-headless",
    "opencv-python",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)
"""Distributions that all install the package cv2; the first one is the one langpose-rt needs."""

_EXTRA = re.compile(r"extra\s*==\s*['\"]([\w-]+)['\"]")


def check_version() -> list[Check]:
    """Report the version and commit of langpose-rt."""
    commit = _git("rev-parse", "--short", "HEAD") if (ROOT / ".git").exists() else ""
    where = f", checkout at {commit}" if commit else ", installed"
    if commit and _git("status", "--porcelain", "--untracked-files=no"):
        where += " with changes"
    return [Check(name="langpose-rt", verdict="ok", found=langpose_rt.__version__ + where)]


def check_python() -> list[Check]:
    """Check the Python version and the system."""
    libc = " ".join(platform.libc_ver()).strip() or "no glibc"
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}, {libc}"
    if platform.system() == "Linux":
        return [Check(name="python", verdict="ok", found=found)]
    advice = "only Linux is tested; if it works for you, say so"
    return [Check(name="python", verdict="warn", found=found, advice=advice)]


def check_packages() -> list[Check]:
    """Check the versions of required packages, and list those of the extras."""
    needed, extras = parted_requirements(declared_requirements())
    checks = [_needed(needed)]
    known = [
        f"{extra}{'' if _is_whole(requirements, extra) else ' in part'}: {text}"
        for extra, requirements in extras.items()
        if extra != "test" and (text := _versions(requirements))
    ]
    checks.append(Check(name="extras", verdict="ok", found="; ".join(known) or "none installed"))
    return checks


def check_detectors() -> list[Check]:
    """Report the detectors of people that are installed; only cameras and videos need one."""
    from langpose_rt.capture.detector import INSTALL

    installed = [f"{name} {_version(name)}" for name in INSTALL if _version(name) is not None]
    found = ", ".join(installed) or (
        f"none installed, and needed for cameras and videos only ({INSTALL['mediapipe']})"
    )
    return [Check(name="detectors", verdict="ok", found=found)]


def check_opencv() -> list[Check]:
    """Check that one distribution of OpenCV is installed: several overwrite each other's files."""
    installed = [name for name in OPENCV if _version(name) is not None]
    found = ", ".join(f"{name} {_version(name)}" for name in installed) or "none installed"
    try:
        import cv2
    except ImportError as error:
        found += f"; import cv2 fails: {error}"
        return [Check(name="opencv", verdict="fail", found=found, advice=_one_opencv(installed))]
    if len(installed) > 1:
        found += f" over one another; cv2 is {cv2.__version__}"
        return [Check(name="opencv", verdict="warn", found=found, advice=_one_opencv(installed))]
    return [Check(name="opencv", verdict="ok", found=found)]


def check_extension() -> list[Check]:
    """Check that the C++ extension of the sliding window is compiled."""
    why_not = why_no_extension()
    if not why_not:
        return [Check(name="window", verdict="ok", found="compiled C++")]
    found = f"{why_not}: NumPy stands in, with the same results and more CPU a frame"
    return [Check(name="window", verdict="warn", found=found, advice=BUILD_EXTENSION)]


def declared_requirements() -> list[str]:
    """Return the declared requirements of this version.

    They are read from the checkout where there is one, since an installation beside it may be
    another version.

    """
    path = ROOT / "pyproject.toml"
    if not path.is_file():
        return metadata.requires("langpose-rt") or []
    project = _toml(path)["project"]
    extras = project["optional-dependencies"].items()
    optional = [f"{text}; extra == '{extra}'" for extra, texts in extras for text in texts]
    return [*project["dependencies"], *optional]


def parted_requirements(requirements: list[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Split requirements into required ones and those of each extra."""
    needed: list[str] = []
    extras: dict[str, list[str]] = {}
    for requirement in requirements:
        extra = _EXTRA.search(requirement)
        (extras.setdefault(extra[1], []) if extra else needed).append(requirement)
    return needed, extras


def _one_opencv(installed: list[str]) -> str:
    """Return the commands that leave one OpenCV."""
    remove = f"pip uninstall -y {' '.join(installed)} && " if installed else ""
    return f"{remove}pip install --no-deps {OPENCV[0]}"


def _needed(requirements: list[str]) -> Check:
    from packaging.requirements import Requirement

    wrong = []
    for requirement in map(Requirement, requirements):
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        stand_ins = OPENCV if requirement.name in OPENCV else (requirement.name,)
        version = next(filter(None, map(_version, stand_ins)), None)
        if version is None:
            wrong.append((requirement, "is not installed"))
        elif not requirement.specifier.contains(version, prereleases=True):
            wrong.append((requirement, f"is {version}, expected {requirement.specifier}"))
    if wrong:
        found = "; ".join(f"{one.name} {what}" for one, what in wrong)
        missing = " ".join(f'"{one.name}{one.specifier}"' for one, _ in wrong)
        advice = f"pip install {missing}"
        return Check(name="packages", verdict="fail", found=found, advice=advice)
    return Check(name="packages", verdict="ok", found=_versions(requirements))


def _is_whole(requirements: list[str], extra: str) -> bool:
    """Return True if every requirement of an extra that applies to this Python is installed."""
    from packaging.requirements import Requirement

    return all(
        _version(one.name) is not None
        for one in map(Requirement, requirements)
        if one.marker is None or one.marker.evaluate({"extra": extra})
    )


def _versions(requirements: list[str]) -> str:
    names = (re.split(r"[^A-Za-z0-9_.-]", requirement)[0] for requirement in requirements)
    versions = ((name, _version(name)) for name in names)
    return ", ".join(f"{name} {version}" for name, version in versions if version)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _git(*words: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - fixed arguments
            ["git", "-C", str(ROOT), *words],  # noqa: S607 - the git of the PATH
            capture_output=True, text=True, check=False, timeout=10,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def _toml(path: Path) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return tomllib.loads(path.read_text())
