"""`cluster`: what it refuses, what it passes on to the lifters, and a whole one that is drained."""

import argparse
import json
import signal
import subprocess
from pathlib import Path

import pytest

from langpose_rt.cli.commands import cluster
from langpose_rt.client.control import ControlClient
from tests.background import process
from tests.commands import COMMAND, ENVIRONMENT, run_here
from tests.peers import wait_until


def options(*words: str) -> list[str]:
    parser = argparse.ArgumentParser()
    cluster.add_arguments(parser)
    return cluster.lifter_options(parser.parse_args([*words]))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "a cluster without lifters lifts nothing"),
        (("--lifters", "0"), "a cluster without lifters lifts nothing"),
        (("--lifter", "gpu1"), "is no control address"),
        (("--lifters", "1", "--slots", "0"), "--slots is 0"),
        (("--lifters", "1", "--gpus-per-lifter", "-1"), "--gpus-per-lifter is -1"),
        (("--lifters", "1", "--lifter-keys", "/nowhere"), "there is no /nowhere/server.key_secret"),
        (("--lifters", "1", "--bind", "0.0.0.0"), "nothing is encrypted"),
        (("--lifters", "1", "--address", "auto"), "lifters that Ray places listen on addresses"),
    ],
)
def test_a_wrong_option_is_one_line(words: tuple[str, ...], sentence: str) -> None:
    done = run_here("cluster", *words)
    assert done.code == 2
    assert sentence in done.sentence


def test_options_of_the_pipeline_and_the_model_reach_the_lifters() -> None:
    words = options("--lifters=2", "--lookahead-ms=60", "--threads=2", "--name=studio", "--up=-y")
    assert "--lookahead-ms=60.0" in words
    assert "--up=-y" in words
    assert words[words.index("--threads") + 1] == "2"
    assert not any("studio" in word for word in words), "every lifter has its own name"
    assert options("--lifters=1") == list(options("--lifters=9"))


def test_a_cluster_serves_and_is_drained_by_a_signal(model: Path) -> None:
    words = [*COMMAND, "cluster", "--lifters", "1", "--port", "0", "--http-port", "0"]
    words += ["--json", "--model", str(model)]
    with process(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    ) as run:
        ports = json.loads(run.stdout.readline())
        assert ports["server_key"] is None
        with ControlClient(f"tcp://127.0.0.1:{ports['control_port']}", timeout_s=90.0) as control:
            wait_until(lambda: control.hello().state == "ready")
            assert control.hello().model.id == "small"
        run.send_signal(signal.SIGTERM)
        assert run.wait(240) == 0
        run.stdout.close()
        run.stderr.close()
