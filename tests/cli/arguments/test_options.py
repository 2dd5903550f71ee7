"""Flags from dataclasses, and checks before any work."""

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from langpose_rt.cli.arguments.options import (
    add_config_arguments,
    add_model_arguments,
    backend_from_arguments,
    check_writable,
    config_from_arguments,
    model_flags,
)
from langpose_rt.errors import ConfigError, ModelError
from langpose_rt.runtime.registry import cpu_backend


@dataclass(frozen=True, kw_only=True)
class Part:
    """The nested part of a sample."""

    share: float = field(default=0.5, metadata={"help": "share of it"})
    causal: bool = field(default=True, metadata={"help": "see the past only"})
    tokens: Literal["joint", "frame"] = "frame"


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A sample."""

    port: int = field(default=7, metadata={"help": "port; 0 takes any"})
    fov_deg: float | None = field(default=None, metadata={"help": "angle (default: 100 % of it)"})
    quiet: bool = field(default=False, metadata={"help": "print nothing"})
    name: str = field(default="x", metadata={"help": "name of it"})
    places: tuple[str, ...] = ()
    part: Part = field(default_factory=Part)

    def __post_init__(self) -> None:
        if self.port < 0:
            raise ConfigError("port is negative")


def parser_of_sample() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    add_config_arguments(parser, Sample, leave_out=("name",))
    return parser


def test_a_field_is_a_flag_with_its_default_type_and_help() -> None:
    words = " ".join(parser_of_sample().format_help().split())
    assert "--port N port; 0 takes any (default: 7)" in words
    assert "--fov-deg X angle (default: 100 % of it)" in words
    assert "--quiet [BOOL] print nothing --places" in words
    assert "--name" not in words


def test_the_fields_of_a_nested_configuration_are_flags_too() -> None:
    words = " ".join(parser_of_sample().format_help().split())
    assert "--share X share of it (default: 0.5)" in words
    assert "--causal [BOOL] see the past only (default: true)" in words
    arguments = parser_of_sample().parse_args("--causal false --tokens joint --places a".split())
    made = config_from_arguments(Sample, arguments)
    assert made == Sample(places=("a",), part=Part(causal=False, tokens="joint"))


def test_an_unset_flag_is_none_and_shows_the_default() -> None:
    parser = argparse.ArgumentParser()
    add_config_arguments(parser, Part, unset=True)
    assert vars(parser.parse_args([])) == {"share": None, "causal": None, "tokens": None}
    assert "(default: 0.5)" in parser.format_help()


def test_a_word_for_a_truth_value_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser_of_sample().parse_args(["--quiet", "perhaps"])
    assert "expected true or false, got perhaps" in capsys.readouterr().err


def test_flags_make_the_configuration_and_named_values_win() -> None:
    arguments = parser_of_sample().parse_args(["--port", "9", "--fov", "60", "--quiet"])
    made = config_from_arguments(Sample, arguments, name="given")
    assert made == Sample(port=9, fov_deg=60.0, quiet=True, name="given")


def test_a_configuration_refuses_its_own_values() -> None:
    arguments = parser_of_sample().parse_args(["--port=-1"])
    with pytest.raises(ConfigError, match="port is negative"):
        config_from_arguments(Sample, arguments)


def model_arguments(*words: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_model_arguments(parser)
    return parser.parse_args([str(word) for word in words])


def test_model_flags_come_back_as_they_were_given(tmp_path: Path) -> None:
    arguments = model_arguments("--model", tmp_path, "--threads", 2, "--precision", "fp16")
    assert model_arguments(*model_flags(arguments)) == arguments
    assert "--model" not in model_flags(model_arguments())


@pytest.mark.parametrize("threads", [0, -1, 100_000])
def test_an_impossible_number_of_threads_is_refused(model: Path, threads: int) -> None:
    with pytest.raises(ConfigError, match="--threads is"):
        backend_from_arguments(model_arguments("--model", model, "--threads", threads), slots=1)


def test_a_backend_whose_library_is_missing_says_how_to_get_it(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr("langpose_rt.runtime.registry.open_backend", refuse)
    with pytest.raises(ConfigError, match="needs torch, which is not installed; install with"):
        backend_from_arguments(model_arguments("--backend", "torch"), slots=1)


def test_the_backend_is_the_one_described(model: Path) -> None:
    backend = backend_from_arguments(model_arguments("--model", model), slots=3)
    on_cpu, _ = cpu_backend(backend.manifest, threads=1)
    assert (backend.name, backend.precision, backend.slots) == (on_cpu, "fp32", 3)
    backend.close()


@pytest.mark.parametrize(
    ("failing", "name"),
    [("tensorrt", "onnx"), ("tensorrt-rtx", "onnx"), ("onnx", "tensorrt"), (None, "tensorrt")],
)
def test_the_cpu_stands_in_for_a_gpu_that_has_failed(
    monkeypatch: pytest.MonkeyPatch, failing: str | None, name: str
) -> None:
    asked: list[str] = []

    def open_backend(_: Path | None, name: str, **__: object) -> None:
        asked.append(name)

    monkeypatch.setattr("langpose_rt.runtime.registry.open_backend", open_backend)
    backend_from_arguments(model_arguments("--backend", "tensorrt"), slots=1, failing=failing)
    assert asked == [name]


def test_a_missing_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model at"):
        backend_from_arguments(model_arguments("--model", tmp_path), slots=1)


def test_only_a_file_in_a_folder_can_be_written(tmp_path: Path) -> None:
    check_writable(tmp_path / "new.npz", "poses")
    with pytest.raises(ConfigError, match="is a folder; give the name of the poses with --out"):
        check_writable(tmp_path, "poses")
    with pytest.raises(ConfigError, match=r"there is no folder .*/nowhere for the poses"):
        check_writable(tmp_path / "nowhere" / "a.npz", "poses")


def test_a_folder_that_may_not_be_written_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write anywhere
    with pytest.raises(ConfigError, match="cannot be written; choose another --out"):
        check_writable(tmp_path / "a.npz", "poses")
