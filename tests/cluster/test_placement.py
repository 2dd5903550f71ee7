"""Who starts lifters: processes of this machine, and those that somebody else starts."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from langpose_rt.cluster.placement import (
    FixedPlacement,
    JointPlacement,
    ProcessPlacement,
    key_options,
)
from langpose_rt.errors import ConfigError
from langpose_rt.security.key_files import new_key_files
from tests.background import process
from tests.commands import ENVIRONMENT
from tests.peers import wait_until


def test_a_process_that_is_killed_is_started_again_until_it_is_retired(model: Path) -> None:
    lines: list[str] = []
    placement = ProcessPlacement(1, ["--model", str(model)], lines.append)
    try:
        wait_until(lambda: "lifter-0" in placement.addresses())
        before, pid = placement.addresses()["lifter-0"], placement.pids["lifter-0"]
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: placement.addresses().get("lifter-0", before) != before)
        assert lines == ["lifter-0 has ended with code -9; it starts again"]
        placement.retire("lifter-0")
        os.kill(placement.pids["lifter-0"], signal.SIGTERM)
        wait_until(lambda: placement.pids == {})
    finally:
        placement.stop()


def test_lifters_end_with_the_process_that_started_them(model: Path) -> None:
    script = (
        "import os, signal, time\n"
        "from langpose_rt.cluster.placement import ProcessPlacement\n"
        f"placement = ProcessPlacement(1, ['--model', {str(model)!r}])\n"
        "while not placement.addresses(): time.sleep(0.05)\n"
        "print(placement.pids['lifter-0'], flush=True)\n"
        "time.sleep(60)\n"
    )
    with process(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT
    ) as parent:
        pid = int(parent.stdout.readline())
        parent.kill()
        parent.wait()
        parent.stdout.close()
    until_s = time.monotonic() + 20
    while Path(f"/proc/{pid}/cmdline").exists() and time.monotonic() < until_s:
        if not Path(f"/proc/{pid}/cmdline").read_bytes():
            break  # ended, and not yet taken note of by anybody
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists() or not Path(f"/proc/{pid}/cmdline").read_bytes()


def test_every_lifter_sees_its_own_gpus() -> None:
    placement = ProcessPlacement(0, [], gpus_per_lifter=2)
    placement.stop()
    for number in range(2):
        placement.start(f"lifter-{number}")
    assert placement._visible("lifter-0") == {"CUDA_VISIBLE_DEVICES": "0,1"}
    assert placement._visible("lifter-1") == {"CUDA_VISIBLE_DEVICES": "2,3"}
    assert ProcessPlacement(0, [])._visible("lifter-0") == {}
    placement.stop()


def test_fixed_ones_are_named_after_their_addresses_and_joined_to_others() -> None:
    fixed = FixedPlacement(["tcp://gpu1:5557", "tcp://[::1]:5557"])
    names = {"gpu1-5557": "tcp://gpu1:5557", "--1-5557": "tcp://[::1]:5557"}
    assert fixed.addresses() == names
    joint = JointPlacement(FixedPlacement(["tcp://gpu2:5557"]), fixed)
    assert set(joint.addresses()) == {"gpu2-5557", *names}
    joint.retire("gpu1-5557")
    joint.stop()
    assert "gpu1-5557" not in joint.addresses()


def test_keys_between_front_and_lifters_are_complete_or_one_sentence(tmp_path: Path) -> None:
    assert key_options(None) == []
    new_key_files("server", tmp_path)
    with pytest.raises(ConfigError, match="keys new front"):
        key_options(tmp_path)
    new_key_files("front", tmp_path)
    words = ["--keys", str(tmp_path), "--front", "front", "--admin", "front"]
    assert key_options(tmp_path) == words
