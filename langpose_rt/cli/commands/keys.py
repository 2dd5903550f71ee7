"""`langpose-rt keys`: make and list the CURVE keys of a server, its rigs and consumers."""

import argparse
import json
from pathlib import Path

from langpose_rt.errors import ConfigError

SUMMARY = "make keys for a server, a rig or a consumer, or list those in a folder"
EXAMPLE = "langpose-rt keys new rig0"

KEYS_FOLDER = Path("keys")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    new = actions.add_parser("new", help="make a pair of keys, never over an existing one")
    new.add_argument(
        "name", metavar="NAME", help="server, or the name of the rig or consumer that gets it"
    )
    for action in (new, actions.add_parser("list", help="names and public keys in a folder")):
        action.add_argument(
            "--dir", type=Path, default=KEYS_FOLDER, metavar="FOLDER",
            help="where the key files are (default: %(default)s)",
        )  # fmt: skip
        action.add_argument("--json", action="store_true", help="print as JSON; never a secret")


def run(arguments: argparse.Namespace) -> int:
    """Make a key pair, or list the keys of a folder."""
    if arguments.action == "new":
        _make(arguments.name, arguments.dir, as_json=arguments.json)
    else:
        _list(arguments.dir, as_json=arguments.json)
    return 0


def _make(name: str, folder: Path, *, as_json: bool) -> None:
    from langpose_rt.security.key_files import new_key_files, public_key_from_file

    public, secret = new_key_files(name, folder)
    if as_json:
        made = {
            "name": name,
            "public_key": public_key_from_file(public),
            "public_file": str(public),
            "secret_file": str(secret),
        }
        print(json.dumps(made))
        return
    print(f"{public}         public: copy it to the other machine")
    print(f"{secret}  secret: stays here")


def _list(folder: Path, *, as_json: bool) -> None:
    from langpose_rt.security.key_files import PUBLIC, SECRET, public_key_from_file

    files = sorted(folder.glob(f"*{PUBLIC}"))
    if not files:
        raise ConfigError(
            f"there are no keys in {folder}; choose another --dir, or make one with "
            "'langpose-rt keys new NAME'"
        )
    found = [
        {
            "name": file.name.removesuffix(PUBLIC),
            "public_key": public_key_from_file(file),
            "secret_here": file.with_suffix(SECRET).exists(),
        }
        for file in files
    ]
    if as_json:
        print(json.dumps(found))
        return
    for key in found:
        secret = "  secret here" if key["secret_here"] else ""
        print(f"{key['name']:<16}  {key['public_key']}{secret}")
