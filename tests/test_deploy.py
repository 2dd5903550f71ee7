"""The Dockerfile and the unit: what can be checked of them without Docker or a running systemd."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from langpose_rt.cli.main import build_parser
from langpose_rt.server.config import ServerConfig
from langpose_rt.server.http import HealthServer
from tests.monitoring.test_snapshot import empty_snapshot

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "langpose_rt" / "assets" / "deploy"
UNIT = DEPLOY / "langpose-rt.service"


def instructions() -> list[tuple[str, str]]:
    """Word and arguments of every instruction of the Dockerfile."""
    text = re.sub(r"\\\n", " ", (DEPLOY / "Dockerfile").read_text())
    lines = (line for line in text.splitlines() if line.strip() and not line.startswith("#"))
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines]


def last(word: str) -> str:
    return [given for found, given in instructions() if found == word][-1]


def unit_value(name: str) -> str:
    (value,) = re.findall(rf"^{name}=(.*)$", UNIT.read_text(), re.MULTILINE)
    return str(value)


def test_everything_that_is_copied_into_the_image_exists_and_is_let_through() -> None:
    copies = [given.split() for word, given in instructions() if word == "COPY"]
    copied = {name for words in copies if not words[0].startswith("--") for name in words[:-1]}
    assert {"cpp_ext", "langpose_rt", "pyproject.toml", "setup.py"} <= copied
    assert all((ROOT / name).exists() for name in copied)
    let_through = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert {line[1:] for line in let_through if line.startswith("!")} == copied


def test_the_image_runs_the_command_as_nobody_special_and_stops_as_the_server_expects() -> None:
    words = [*json.loads(last("ENTRYPOINT")), *json.loads(last("CMD"))]
    assert words[0] == "langpose-rt"
    build_parser("serve").parse_args(words[1:])
    assert int(last("USER")) > 0
    assert last("STOPSIGNAL") == "SIGTERM"
    assert all("torch" not in given for _, given in instructions())


def test_the_image_exposes_the_ports_the_server_takes() -> None:
    config = ServerConfig()
    ports = [config.port, config.pose_port, config.request_port, config.http_port]
    assert set(map(str, ports)) == set(last("EXPOSE").split())
    assert f":{config.http_port}/readyz" in last("HEALTHCHECK")


@pytest.mark.parametrize(("state", "code"), [("ready", 0), ("degraded", 1), ("draining", 1)])
def test_the_health_check_says_whether_the_server_is_ready(state: str, code: int) -> None:
    command = json.loads(last("HEALTHCHECK").partition("CMD ")[2])
    snapshot = replace(empty_snapshot(), state=state)
    health = HealthServer("127.0.0.1", 0, snapshot=lambda: snapshot, alive=lambda: True)
    health.start()
    try:
        script = command[2].replace(":9464", f":{health.port}")
        words = [sys.executable, command[1], script]
        done = subprocess.run(words, capture_output=True, check=False, timeout=300)
    finally:
        health.stop()
    assert done.returncode == code


def test_the_unit_and_its_options_are_words_the_command_understands() -> None:
    lines = re.findall(r"^(\w+)=(.*)$", (DEPLOY / "options.env").read_text(), re.MULTILINE)
    options = {f"${name}": value.split() for name, value in lines}
    _, *words = unit_value("ExecStart").split()
    assert options.keys() == {word for word in words if word.startswith("$")}
    parser = build_parser("serve")
    parser.parse_args([part for word in words for part in options.get(word, [word])])
    parser.parse_args([word for word in words if word not in options])
    assert unit_value("Type") == "notify"


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    command = unit_value("ExecStart").split()[0]
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace(command, sys.executable))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
