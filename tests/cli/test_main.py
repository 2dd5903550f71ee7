"""The command line as a whole: light imports, help texts, one line for every error."""

import contextlib
import errno
import io
import shlex
import subprocess
from pathlib import Path

import pytest

from langpose_rt.cli.main import COMMANDS, GROUPS, main
from tests.commands import COMMAND, ENVIRONMENT, python, run_here

HEAVY = ("numpy", "torch", "onnxruntime", "onnx", "cv2", "zmq", "scipy", "rich", "msgspec")


def loaded_by(statement: str) -> set[str]:
    script = (
        f"import sys\n{statement}\nprint(*sorted({{n.partition('.')[0] for n in sys.modules}}))"
    )
    done = python(script)
    assert done.code == 0, done.err
    return set(done.out.splitlines()[-1].split())


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert not loaded_by("import langpose_rt") & set(HEAVY)


def test_importing_the_command_line_loads_nothing_heavy() -> None:
    assert not loaded_by("import langpose_rt.cli.main") & set(HEAVY)


def test_no_help_loads_a_runtime_or_a_socket() -> None:
    helps = "\n".join(
        f"try: main([{name!r}, '--help'])\nexcept SystemExit: pass" for name in COMMANDS
    )
    loaded = loaded_by(f"from langpose_rt.cli.main import main\n{helps}")
    assert not loaded & {"onnxruntime", "onnx", "torch", "cv2", "zmq", "rich"}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_has_an_example_that_the_command_understands(name: str) -> None:
    done = run_here(name, "--help")
    assert done.code == 0
    example = done.out.partition("example:\n")[2].split()
    assert example[:2] == ["langpose-rt", name]
    flags = [word for word in example if word.startswith("--")]
    assert all(flag in done.out.partition("example:")[0] for flag in flags)


@pytest.mark.parametrize("name", COMMANDS)
def test_no_help_speaks_python(name: str) -> None:
    assert "None" not in run_here(name, "--help").out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--log-level", "info"], "arguments are required: COMMAND; see 'langpose-rt --help'"),
        (["zzz"], "there is no command \"zzz\"; see 'langpose-rt --help'"),
        (["serv"], 'there is no command "serv"; did you mean "serve"?'),
        (["build_engine"], 'did you mean "build-engine"?'),
        (["serve", "--nope"], "unknown arguments: --nope; see 'langpose-rt serve --help'"),
        (["serve", "--port", "abc"], "invalid int value: 'abc'; see 'langpose-rt serve --help'"),
        (["--log-level", "loud", "serve"], "invalid choice: 'loud'"),
        (["lift", "clip.npz"], "required: -o/--out; see 'langpose-rt lift --help'"),
    ],
)
def test_a_wrong_word_is_one_sentence(words: list[str], sentence: str) -> None:
    done = run_here(*words)
    assert done.code == 2
    assert sentence in done.sentence


def test_the_bare_name_says_where_to_start() -> None:
    done = run_here()
    assert (done.code, done.err) == (0, "")
    assert "langpose-rt demo" in done.out
    named = [line.split()[1] for line in done.out.splitlines() if line.startswith("  langpose-rt ")]
    assert set(named) <= COMMANDS.keys()


def test_the_help_lists_every_command_once_in_groups() -> None:
    out = run_here("--help").out
    for title, group in GROUPS.items():
        assert f"\n{title}:\n" in out
        for name in group:
            assert out.count(f"\n  {name} ") == 1


def lift_words(model: Path, clip_file: Path, folder: Path) -> list[str]:
    words = ["lift", clip_file, "-o", folder / "out.npz", "--model", model]
    return [*COMMAND, *map(str, words)]


def test_a_reader_who_leaves_early_is_no_mistake(
    model: Path, clip_file: Path, tmp_path: Path
) -> None:
    words = shlex.join(lift_words(model, clip_file, tmp_path))
    done = subprocess.run(
        ["bash", "-c", f"{words} | true"], capture_output=True, text=True, check=True,
        timeout=300, env=ENVIRONMENT | {"PYTHONUNBUFFERED": ""},
    )  # fmt: skip
    assert done.stderr == ""
    assert (tmp_path / "out.npz").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_is_one_sentence(
    model: Path, clip_file: Path, tmp_path: Path, unbuffered: str
) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            lift_words(model, clip_file, tmp_path), stdout=full, stderr=subprocess.PIPE,
            text=True, check=False, timeout=300, env=ENVIRONMENT | {"PYTHONUNBUFFERED": unbuffered},
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == "langpose-rt: [Errno 28] No space left on device\n"


def test_a_full_disk_is_one_sentence_where_stdout_is_no_file(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Full(io.StringIO):
        def flush(self) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    with contextlib.redirect_stdout(Full()):
        assert main(["keys", "--help"]) == 2
    assert capsys.readouterr().err == "langpose-rt: [Errno 28] No space left on device\n"


def test_a_closed_stdout_is_no_mistake(model: Path, clip_file: Path, tmp_path: Path) -> None:
    words = shlex.join(lift_words(model, clip_file, tmp_path))
    done = subprocess.run(
        ["bash", "-c", f"{words} >&-"], capture_output=True, text=True, check=False,
        timeout=300, env=ENVIRONMENT,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "out.npz").exists()


def test_a_terminal_of_few_characters_shows_any_name(tmp_path: Path) -> None:
    words = shlex.join(
        [*COMMAND, "lift", str(tmp_path / "カメラ é.npz"), "-o", str(tmp_path / "o")]
    )
    done = subprocess.run(
        ["bash", "-c", words], capture_output=True, check=False, timeout=300,
        env=ENVIRONMENT | {"PYTHONIOENCODING": "cp1252"},
    )  # fmt: skip
    assert done.returncode == 2
    assert b"\\u30ab\\u30e1\\u30e9 \xe9.npz does not exist" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_running_the_model_leaves_no_identifier_of_the_machine_behind(tmp_path: Path) -> None:
    """ONNX Runtime keeps one for its telemetry unless it is told not to before it is imported."""
    kept = {"PATH", "PYTHONPATH", "OMP_NUM_THREADS", "LD_LIBRARY_PATH"}
    environment = {name: ENVIRONMENT[name] for name in kept & ENVIRONMENT.keys()}
    script = "from langpose_rt.runtime.registry import open_backend; open_backend(slots=1).close()"
    subprocess.run(
        [COMMAND[0], "-B", "-c", script], check=True, timeout=300,
        env=environment | {"HOME": str(tmp_path)},
    )  # fmt: skip
    assert not list(tmp_path.rglob("*"))
