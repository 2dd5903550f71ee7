"""The `doctor` command end to end."""

import json
from pathlib import Path

from langpose_rt.cli.commands import doctor
from langpose_rt.cli.doctor.check import Check
from tests.commands import run_apart, run_here

NAMES = (
    *("langpose-rt", "python", "packages", "native", "onnx", "ports", "model", "weights"),
    "self-test",
)


def test_a_machine_that_serves_is_said_to_with_a_live_test(model: Path) -> None:
    done = run_apart("doctor", "--model", model, "--json")
    assert done.code == 0, done.out + done.err
    found = json.loads(done.out)
    verdicts = {check["name"]: check["verdict"] for check in found["checks"]}
    assert found["ok"] is True
    assert set(NAMES) <= verdicts.keys()
    assert "fail" not in verdicts.values()
    (live,) = (check["found"] for check in found["checks"] if check["name"] == "self-test")
    assert "frames answered" in live
    assert str(Path.home()) not in done.out


def test_a_machine_that_cannot_serve_is_a_page_to_paste_and_an_exit_code() -> None:
    words = ("--model", "/nowhere", "--no-self-test", "--paste", "--server", "tcp://nowhere")
    words += ("--keys", "/nowhere/keys")
    done = run_here("doctor", *words)
    assert done.code == 1
    lines = done.out.splitlines()
    assert lines[0] == lines[-1] == "```"
    assert lines[-2].startswith("this machine cannot serve as it is: 3 failed")
    failed = [line.split()[1] for line in lines if line.startswith("fail")]
    assert failed == ["model", "keys", "server"]


def test_advice_is_below_what_it_is_about() -> None:
    check = Check(name="clock", verdict="warn", found="it is late", advice="make haste")
    first, second = doctor.text_of(check).splitlines()
    assert first == "warn clock        it is late"
    assert second.index("next: make haste") == first.index("it is late")
