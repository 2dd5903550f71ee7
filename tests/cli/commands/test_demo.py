"""`demo`: what it refuses, and how loops become poses; that it runs is in tests/end_to_end."""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from langpose_rt.cli.commands import demo
from langpose_rt.cli.commands.demo import poses_by_loop
from langpose_rt.protocol.messages import PoseMessage, Source
from tests.commands import run_here
from tests.protocol.samples import pose_sample


def answer(epoch: int, seq: int, people: int = 1) -> PoseMessage:
    return replace(pose_sample(people), src=Source(epoch=epoch, seq=seq, t=0))


def test_every_loop_has_its_own_poses_and_nan_where_no_answer_came() -> None:
    messages = [answer(1, 0), answer(1, 2), answer(2, 1), answer(3, 0, people=0)]
    first, second = poses_by_loop(messages, 3)
    np.testing.assert_array_equal(np.isnan(first).all((1, 2)), [False, True, False])
    np.testing.assert_array_equal(np.isnan(second).all((1, 2)), [True, False, True])
    np.testing.assert_array_equal(first[2], messages[1].poses[0, :, :3])


def test_figures_are_printed_with_what_they_mean(capsys: pytest.CaptureFixture[str]) -> None:
    figures = {"model": "live", "server_added_latency_p50_ms": 1.234, "p_mpjpe_mm": 62.25}
    told = argparse.Namespace(json=False, fuse=False, out=Path("demo.png"))
    demo._print(told, figures | {"constant_p_mpjpe_mm": 85.4})
    assert capsys.readouterr().out.splitlines() == [
        "model                  live",
        "server adds, p50       1.23 ms    half of the answers take no longer in the server",
        "P-MPJPE                62.2 mm    MPJPE after the best rotation, scale and shift",
        "P-MPJPE, never moving  85.4 mm    the same of the best pose that never moves",
        "picture                demo.png",
    ]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--frames", "0"), "--frames is 0; expected 1 to 1000000"),
        (("--out", "/nowhere/x.png"), "there is no folder /nowhere for the picture"),
        (("--out", "picture.xyz"), "expected a name that ends in .png or .jpg"),
        (("--model", "/nowhere"), "no model at /nowhere"),
        (("--lookahead-ms", "5000"), "lookahead_ms is 5000; expected 0 to 2000"),
        (("--backend", "abacus"), "unknown backend 'abacus'"),
    ],
)
def test_a_wrong_option_is_one_sentence(
    tmp_path: Path, words: tuple[str, ...], sentence: str
) -> None:
    done = run_here("demo", "--out", tmp_path / "demo.png", *words)
    assert done.code == 2
    assert sentence in done.sentence
    assert not list(tmp_path.iterdir())
