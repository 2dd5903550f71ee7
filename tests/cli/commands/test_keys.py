"""`keys`: makes and lists, and never shows a secret."""

import json
from pathlib import Path

from langpose_rt.security.key_files import key_pair_from_file
from tests.commands import run_here


def test_keys_are_made_and_listed_and_no_secret_is_shown(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    made = run_here("keys", "new", "rig0", "--dir", folder)
    said = json.loads(run_here("keys", "new", "server", "--dir", folder, "--json").out)
    (folder / "server.key_secret").rename(tmp_path / "elsewhere")
    listed = run_here("keys", "list", "--dir", folder)
    as_json = run_here("keys", "list", "--dir", folder, "--json")
    pair = key_pair_from_file(folder / "rig0.key_secret")
    assert (made.code, listed.code, as_json.code) == (0, 0, 0)
    assert json.loads(as_json.out) == [
        {"name": "rig0", "public_key": pair.public, "secret_here": True},
        {"name": "server", "public_key": said["public_key"], "secret_here": False},
    ]
    assert said["secret_file"] == str(folder / "server.key_secret")
    assert pair.public in listed.out
    assert all(pair.secret not in done.out + done.err for done in (made, listed, as_json))


def test_what_is_there_is_not_made_again(tmp_path: Path) -> None:
    run_here("keys", "new", "rig0", "--dir", tmp_path)
    again = run_here("keys", "new", "rig0", "--dir", tmp_path)
    assert again.code == 2
    assert "exists and is not overwritten" in again.sentence


def test_a_folder_without_keys_is_one_sentence(tmp_path: Path) -> None:
    done = run_here("keys", "list", "--dir", tmp_path / "none")
    assert done.code == 2
    assert "there are no keys in" in done.sentence
    assert "keys new NAME" in done.sentence
