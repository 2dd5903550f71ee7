"""The fixture that finds leaking tests, under a pytest of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_mirror import ROOT

LEAKING_THREAD = """
import threading
over = threading.Event()

def test_leaks():
    threading.Thread(target=over.wait, name="publisher", daemon=True).start()

def test_after_it():
    over.set()
"""
LEAKING_CHILD = """
import subprocess, sys

def test_leaks():
    global child
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)

def test_after_it():
    child.communicate()
"""
CLEAN = """
import subprocess, sys, threading, time, pytest

@pytest.fixture(scope="module")
def wide():
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield
    over.set()
    thread.join()
    child.communicate()

def test_a_wider_fixture_may_go_on(wide):
    pass

def test_what_ends_on_its_own_may_take_a_moment():
    threading.Thread(target=time.sleep, args=(0.3,)).start()

def test_a_child_that_was_killed_has_ended():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    child.kill()
    child.communicate()
"""


def ran(folder: Path, tests: str) -> "subprocess.CompletedProcess[str]":
    """Run the tests of one file with the fixture and with nothing else of ours."""
    (folder / "test_it.py").write_text(tests)
    (folder / "pytest.ini").write_text("[pytest]\n")
    program = (
        "import sys, pytest, tests.left_behind as fixture; fixture.GRACE_S = 1.0; "
        "sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', '-p', 'tests.left_behind', "
        f"'--rootdir', {str(folder)!r}, '-c', {str(folder / 'pytest.ini')!r}, "
        f"{str(folder / 'test_it.py')!r}]))"
    )
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=400,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("tests", "what"), [(LEAKING_THREAD, "thread 'publisher'"), (LEAKING_CHILD, "child ")]
)
def test_a_test_that_leaves_something_behind_fails_and_the_next_does_not(
    tmp_path: Path, tests: str, what: str
) -> None:
    done = ran(tmp_path, tests)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"the test left {what}" in done.stdout
    assert "2 passed" in done.stdout
    assert "1 error" in done.stdout


def test_tests_that_clean_up_pass(tmp_path: Path) -> None:
    done = ran(tmp_path, CLEAN)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout
