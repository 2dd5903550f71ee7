"""Check of a folder of keys: valid and invalid ones."""

from pathlib import Path

import pytest

from langpose_rt.cli.doctor.keys import check_keys

SECRET = "server.key_secret"


def folder_of(path: Path, *names: str) -> Path:
    for name in names:
        (path / name).write_text("not looked at")
        (path / name).chmod(0o600 if name.endswith("secret") else 0o644)
    return path


@pytest.mark.parametrize(
    ("names", "verdict", "found", "advice"),
    [
        ((SECRET, "server.key", "rig0.key", "b.key"), "ok", "accepts: b, rig0", ""),
        ((SECRET, "server.key"), "warn", "no client is accepted", "langpose-rt keys new NAME"),
        (("rig0.key",), "fail", "no secret key of the server", "keys new server --dir"),
    ],
)
def test_a_folder_says_whom_it_lets_in(
    tmp_path: Path, names: tuple[str, ...], verdict: str, found: str, advice: str
) -> None:
    (line,) = check_keys(folder_of(tmp_path, *names))
    assert line.verdict == verdict
    assert found in line.found
    assert advice in line.advice


def test_a_secret_that_others_can_read_is_a_failure_with_the_command(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, SECRET, "rig0.key")
    (folder / SECRET).chmod(0o640)
    (line,) = check_keys(folder)
    assert line.verdict == "fail"
    assert line.advice == f"chmod 600 {folder / SECRET}"


def test_a_folder_that_is_not_there_is_told_with_the_command(tmp_path: Path) -> None:
    (line,) = check_keys(tmp_path / "no")
    assert line.verdict == "fail"
    assert line.advice.startswith("langpose-rt keys new server --dir ")
