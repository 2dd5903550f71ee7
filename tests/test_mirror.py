"""Tests mirror the source in both directions, and are no fewer lines than it.

tests/window/test_native.py is about langpose_rt/window/native.py, and every module has such a file.
"""

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
ROOT = TESTS.parent

WITHOUT_SOURCE = {
    "test_background.py": "about tests/background.py",
    "test_conftest.py": "about tests/conftest.py",
    "test_deploy.py": "about langpose_rt/assets/deploy",
    "test_docstrings.py": "about the docstrings of langpose_rt and training",
    "test_documents.py": "about README.md, docs and training/README.md",
    "test_faults_table.py": "about docs/reference/faults.md",
    "test_init.py": "about langpose_rt/__init__.py",
    "test_left_behind.py": "about tests/left_behind.py",
    "test_mirror.py": "about the tests",
    "test_packaging.py": "about setup.py and pyproject.toml",
    "test_readme_figures.py": "about tests/benchmarks/readme_figures.py and the pages it writes",
    "test_structure.py": "about the package as a whole and docs/development/architecture.md",
    "pipeline/test_pipeline_faults.py": "more of pipeline.py: overload, faults, another model",
    "pipeline/test_pipeline_honesty.py": "more of pipeline.py: no pose is silently far off",
    "pipeline/test_pipeline_order.py": "more of pipeline.py: order, epochs, clocks, lookahead",
    "training/test_weights.py": "about training/weights and the weights that ship",
    "pipeline/test_pipeline_people.py": "more of pipeline.py: ids, coasting and expiry",
}
"""The only tests that are about no single source file, and why."""

WITHOUT_TEST = {
    "langpose_rt/__main__.py": "one call; tests/end_to_end/test_commands.py runs it",
    "langpose_rt/errors.py": "exceptions without behaviour; every test of a refusal names one",
    "langpose_rt/formats/plausibility/finding.py": "a record; the test of every check reads one",
    "langpose_rt/assets/examples/consumer.py": "run by tests/end_to_end/test_examples.py",
    "langpose_rt/assets/examples/rig.py": "run by tests/end_to_end/test_examples.py",
}
"""The only modules without a test of their name, and why; packages themselves need none."""

NO_MIRRORS = {"benchmarks", "end_to_end", "gpu"}
"""Measurements, journeys through the whole package, and what needs a device."""


def source_of(test: Path) -> Path:
    """The file a test is about; test_host_cpp.py is about host.cpp."""
    home = ROOT if test.parts[0] in {"cpp_ext", "training"} else ROOT / "langpose_rt"
    name = test.stem.removeprefix("test_")
    if test.parts[0] == "cpp_ext":
        stem, _, ending = name.rpartition("_")
        return home / test.parent / f"{stem}.{ending}"
    return home / test.parent / f"{name}.py"


def sources() -> list[Path]:
    """Every Python file of the package and the trainer, from the root."""
    found = (path for home in ("langpose_rt", "training") for path in (ROOT / home).rglob("*.py"))
    return sorted(path.relative_to(ROOT) for path in found)


def its_test(source: Path) -> Path:
    """The test file that a module must have, from tests/."""
    folder = source.parent.relative_to("langpose_rt") if source.parts[0] != "training" else None
    return (source.parent if folder is None else folder) / f"test_{source.name}"


def line_count(home: str) -> int:
    """Lines of all Python files below a folder; for tests that includes helpers and benchmarks."""
    return sum(len(path.read_bytes().splitlines()) for path in (ROOT / home).rglob("*.py"))


def mirrors() -> list[Path]:
    found = (path.relative_to(TESTS) for path in sorted(TESTS.rglob("test_*.py")))
    return [path for path in found if path.parts[0] not in NO_MIRRORS]


@pytest.mark.parametrize("test", mirrors(), ids=str)
def test_a_test_file_is_about_one_source_file(test: Path) -> None:
    if test.as_posix() in WITHOUT_SOURCE:
        assert not source_of(test).exists(), "it has a source; take it off the list"
    else:
        assert source_of(test).is_file(), f"expected {source_of(test).relative_to(ROOT)}"


def test_the_list_of_exceptions_names_only_tests_that_exist() -> None:
    assert set(WITHOUT_SOURCE) <= {path.as_posix() for path in mirrors()}


@pytest.mark.parametrize(
    "source", [path for path in sources() if path.name != "__init__.py"], ids=str
)
def test_a_module_has_a_test_of_its_name(source: Path) -> None:
    test = its_test(source)
    if source.as_posix() in WITHOUT_TEST:
        assert not (TESTS / test).exists(), "it has a test; take it off the list"
    else:
        assert (TESTS / test).is_file(), f"expected tests/{test}"


def test_the_list_of_modules_without_a_test_names_only_modules_that_exist() -> None:
    assert set(WITHOUT_TEST) <= {path.as_posix() for path in sources()}


def test_there_are_no_fewer_lines_of_tests_than_of_source() -> None:
    source, tests = line_count("langpose_rt") + line_count("training"), line_count("tests")
    assert tests >= source, f"{tests} lines of tests for {source} lines of source"
