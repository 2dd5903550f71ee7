"""`vmc`: what it refuses; that it sends is tested in tests/end_to_end/test_bridges.py."""

import sys

import pytest

from tests.commands import run_here


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--to", "nowhere"), "--to is 'nowhere'; expected HOST:PORT"),
        (("--to", "127.0.0.1:0"), "expected HOST:PORT such as 127.0.0.1:39539"),
        (("--to", "127.0.0.1:99999"), "expected HOST:PORT"),
        (("--to", "no.such.host.invalid:39539"), "cannot send to no.such.host.invalid:39539"),
        (("--floor-m", "nan"), "--floor-m is nan; expected metres, such as 0 or -1.2"),
        (
            ("--person", "last"),
            "--person is 'last'; expected an id such as 3, or first, or nearest",
        ),
        (("--patience-s", "-1"), "--patience-s is -1; expected 0 or more"),
        (("--seconds", "0"), "--seconds is 0; expected more than 0"),
        (("--camera", "cam0"), 'camera "cam0" is given without its rig'),
        (("--server", "nonsense"), 'cannot connect to "nonsense"'),
    ],
)
def test_a_wrong_option_is_one_sentence(words: tuple[str, ...], sentence: str) -> None:
    done = run_here("vmc", *words)
    assert done.code == 2
    assert sentence in done.err.splitlines()[-1]
    assert "Traceback" not in done.err


def test_without_python_osc_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pythonosc", None)
    done = run_here("vmc")
    assert done.code == 2
    assert 'pip install ".[bridges]"' in done.sentence
