"""Progress goes to a log that a program reads, to lines that a person reads, and to TensorBoard."""

import builtins
import json
from pathlib import Path
from typing import Any

import pytest

from training.trainer.loop import Progress
from training.trainer.progress_report import (
    finish_line,
    log_entry,
    log_line,
    report,
    tensorboard,
)


def progress(step: int = 50, **values: float) -> Progress:
    return Progress(step=step, share=step / 200, frames_per_s=12345.6, left_s=600.0, values=values)


def entries(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def test_a_line_for_a_person_says_step_share_speed_what_is_left_and_the_values() -> None:
    assert log_line(progress(position=0.123456, val_mpjpe_mm=48.5)) == (
        "step 50 25.0 % 12346 frames/s 10 min left  position 0.1235 val_mpjpe_mm 48.5"
    )


def test_an_entry_of_the_log_has_every_value_in_full() -> None:
    entry = log_entry(progress(position=0.123456789))
    assert entry == {
        "step": 50.0, "share": 0.25, "frames_per_s": 12345.6, "position": 0.123456789
    }  # fmt: skip


def test_every_figure_goes_to_the_log_in_order(tmp_path: Path) -> None:
    report([progress(step, position=1 / step) for step in (1, 2, 4)], tmp_path)
    assert [entry["step"] for entry in entries(tmp_path)] == [1, 2, 4]
    assert [entry["position"] for entry in entries(tmp_path)] == [1, 0.5, 0.25]


def test_a_resumed_run_goes_on_in_the_same_log_and_another_begins_it_anew(tmp_path: Path) -> None:
    report([progress(1)], tmp_path)
    report([progress(2)], tmp_path, resumed=True)
    assert [entry["step"] for entry in entries(tmp_path)] == [1, 2]
    report([progress(1)], tmp_path)
    assert [entry["step"] for entry in entries(tmp_path)] == [1]


def test_an_entry_is_in_the_file_before_the_next_step_is_made(tmp_path: Path) -> None:
    def run() -> Any:
        yield progress(1)
        assert [entry["step"] for entry in entries(tmp_path)] == [1]
        yield progress(2)

    report(run(), tmp_path)
    assert len(entries(tmp_path)) == 2


def test_a_run_that_fails_leaves_what_was_told_before(tmp_path: Path) -> None:
    def run() -> Any:
        yield progress(1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        report(run(), tmp_path)
    assert len(entries(tmp_path)) == 1


def test_where_there_is_no_terminal_every_item_is_a_plain_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    items = [progress(1, position=0.5), progress(2, val_mpjpe_mm=50.0)]
    report(items, tmp_path)
    printed = capsys.readouterr().out.splitlines()
    assert [line for line in printed if line.startswith("step ")] == [
        log_line(item) for item in items
    ]


def test_without_tensorboard_figures_go_nowhere_and_nothing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = builtins.__import__

    def without(name: str, *words: Any, **more: Any) -> Any:
        if name == "torch.utils.tensorboard":
            raise ImportError(name)
        return whole(name, *words, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with tensorboard(tmp_path) as board:
        assert board("position", 0.5, 1) is None  # type: ignore[func-returns-value]
    report([progress(1)], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["log.jsonl"]


def test_with_tensorboard_every_figure_is_in_its_files(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    report([progress(step, position=1 / step) for step in (1, 2)], tmp_path)
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert {"position", "step", "share", "frames_per_s"} <= set(events.Tags()["scalars"])
    assert [(item.step, item.value) for item in events.Scalars("position")] == [(1, 1), (2, 0.5)]


def test_the_last_line_says_what_was_written_how_good_it_is_and_what_comes_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report([progress(1, val_mpjpe_mm=50.0), progress(2, val_mpjpe_mm=48.25)], tmp_path)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == finish_line(tmp_path, 2, 48.25)
    assert "best validation error 48.2 mm" in last
    assert f"langpose-rt export {tmp_path / 'model.safetensors'} --out" in last
    assert "no validation was due" in finish_line(tmp_path, 2, float("inf"))
    report([], tmp_path)
    assert capsys.readouterr().out == ""
