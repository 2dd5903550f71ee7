"""Structure of the package: size of folders, path of a frame, and the page that shows both."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.structure import PACKAGE, SERVING, FramePath, modules_by_folder, report

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/development/architecture.md").read_text("utf-8")
MOST_MODULES, MOST_FILES = 20, 12


@pytest.fixture(scope="module")
def found() -> FramePath:
    """Measured in a process of its own: here the checks of shapes run between all calls."""
    command = [sys.executable, "-m", "tests.structure", "--json"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=400, check=True
    )
    lists = json.loads(done.stdout)
    return FramePath(tuple(lists["path"]), tuple(lists["beside"]))


def section(title: str) -> str:
    _, _, rest = PAGE.partition(f"\n## {title}\n")
    assert rest, f"the page has no section {title!r}"
    return rest.partition("\n## ")[0]


def modules_in(table: str, column: int) -> list[str]:
    """Names of modules in a column of a table, in order."""
    rows = [line.split("|")[1:-1] for line in table.splitlines() if line.startswith("|")]
    names = [re.findall(r"`langpose_rt\.([a-z_.0-9]+)`", row[column]) for row in rows]
    return [name for found in names for name in found]


def test_no_folder_is_too_large_to_read() -> None:
    large = {name: count for name, count in modules_by_folder().items() if count > MOST_MODULES}
    assert large == {}


def test_a_frame_goes_from_socket_to_socket_in_few_files(found: FramePath) -> None:
    assert found.count() <= MOST_FILES, found.path
    packages = {name.split("/")[0] for name in found.path}
    assert packages <= set(SERVING), "nothing below the pipeline is given a frame"


def test_the_frame_was_really_followed_to_the_network_and_back(found: FramePath) -> None:
    ends = {"server/sockets.py", "server/server.py", "protocol/keypoints.py", "protocol/poses.py"}
    assert ends <= set(found.path)
    assert "runtime/ring_backend.py" in found.beside
    assert not set(found.path) & set(found.beside)
    everything = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")}
    assert {*found.path, *found.beside} <= everything


def test_the_report_names_what_it_counts(found: FramePath) -> None:
    text = report(found, modules_by_folder())
    assert f"goes through {found.count()} files" in text
    assert all(f"  {name}\n" in text for name in found.path)


def test_the_page_lists_the_packages_that_exist() -> None:
    files = {path.stem for path in PACKAGE.glob("*.py") if not path.name.startswith("__")}
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    listed = modules_in(section("Packages"), 0)
    assert len(listed) == len(set(listed))
    assert set(listed) == files | folders


def test_the_page_shows_the_layers_of_the_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    (layers,) = [one["layers"] for one in contracts["contracts"] if one["type"] == "layers"]
    shown = re.findall(r"^\d+\. (.+)$", section("Layers"), re.MULTILINE)
    rows = [set(re.findall(r"`([a-z_]+)`", row)) for row in shown]
    assert rows == [set(re.split(r"\W+", layer)) for layer in reversed(layers)]


def test_the_page_shows_the_path_of_a_frame(found: FramePath) -> None:
    shown = modules_in(section("A frame from socket to socket"), 1)
    assert sorted(set(shown)) == sorted(
        name.removesuffix(".py").replace("/", ".") for name in found.path
    )
