"""`export` as a command; the folder it writes is tested in tests/engine/test_onnx_export.py."""

import json
from pathlib import Path

import pytest

from langpose_rt.cli.commands import export
from langpose_rt.manifest import read_manifest
from tests.commands import Done, run_here


def test_a_checkpoint_becomes_a_folder_whose_parity_is_printed(
    exported: tuple[Done, Path, Path],
) -> None:
    done, _, folder = exported
    assert (done.code, done.err) == (0, "")
    said = json.loads(done.out)
    assert said["folder"] == str(folder)
    assert said["products"]["fp32"]["parity"]["worst_mm"] < 0.05
    manifest = read_manifest(folder)
    assert set(manifest.products) == {"fp32"}
    assert manifest.command == "langpose-rt export small.safetensors --precision fp32"
    assert "pose2sim" in manifest.products["fp32"].parity.clip


def test_the_mirror_image_is_chosen_at_export(
    exported: tuple[Done, Path, Path], tmp_path: Path
) -> None:
    plain = read_manifest(exported[2])
    done = run_here("export", exported[1], "--out", tmp_path / "out", "--mirrored", "true")
    assert done.code == 0, done.err
    manifest = read_manifest(tmp_path / "out")
    assert manifest.command == f"{plain.command} --mirrored true"
    assert manifest.config == plain.config | {"mirrored": True}
    assert manifest.products["fp32"].parity.worst_mm < 0.05


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--precision", "int4"), "--precision is 'int4'; expected fp32 or fp32,int8"),
        (("--precision", "int8"), "--precision is 'int8'; expected fp32 or fp32,int8"),
        (("--out", __file__), "is a file; give a folder with --out"),
        (("--out", f"{__file__}/deeper"), "cannot be made: Not a directory; choose another"),
    ],
)
def test_a_wrong_option_is_one_sentence(
    exported: tuple[Done, Path, Path], tmp_path: Path, words: tuple[str, ...], sentence: str
) -> None:
    done = run_here("export", exported[1], "--out", tmp_path / "out", *words)
    assert done.code == 2
    assert sentence in done.sentence
    assert not (tmp_path / "out").exists()


def test_a_wrong_checkpoint_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "text.safetensors").write_text("hello")
    for name, sentence in {
        "missing.safetensors": "no checkpoint at",
        "": "no checkpoint at",
        "text.safetensors": "is not a readable safetensors file",
    }.items():
        done = run_here("export", tmp_path / name, "--out", tmp_path / "out")
        assert done.code == 2
        assert sentence in done.sentence


def test_without_its_libraries_it_says_what_to_install(
    exported: tuple[Done, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "find_spec", lambda name: None if name == "torch" else object())
    done = run_here("export", exported[1], "--out", tmp_path / "out")
    assert done.code == 2
    assert "export needs torch; install with" in done.sentence
