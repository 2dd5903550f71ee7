"""`langpose-rt replay`: replay a recording offline and compare the poses, or live to a server."""

import argparse
import contextlib
import dataclasses
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from langpose_rt.cli.arguments.connection import add_key_arguments
from langpose_rt.cli.arguments.options import check_writable
from langpose_rt.cli.terminal.printable import printable
from langpose_rt.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from langpose_rt.formats.gallery_npz import Gallery
    from langpose_rt.formats.volume_calibration import VolumeCalibration
    from langpose_rt.manifest import Manifest
    from langpose_rt.recording.replay import Comparison, Replay
    from langpose_rt.recording.setup import RecordedSetup
    from langpose_rt.runtime.backend import Backend

SUMMARY = "replay a recording: the same poses offline, or the same messages live"
EXAMPLE = "langpose-rt replay session.mcap"

_DIFFERENT = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("file", type=Path, metavar="FILE.mcap", help="made by 'serve --record'")
    parser.add_argument("--json", action="store_true", help="print a summary as JSON")
    offline = parser.add_argument_group("offline (the default): lift again and compare")
    offline.add_argument(
        "-o", "--out", type=Path, metavar="OUT.mcap", help="write the replayed poses"
    )
    offline.add_argument("--force", action="store_true", help="replace a file of that name")
    for flag, kind, metavar, text in (
        ("--model", Path, "FOLDER", "model folder (default: the one that ships)"),
        ("--backend", str, "NAME", "auto, onnx or torch (default: as recorded)"),
        ("--precision", str, "NAME", "fp32 or fp16 (default: as recorded)"),
        ("--threads", int, "N", "CPU threads of the model (default: as recorded)"),
    ):
        offline.add_argument(flag, type=kind, metavar=metavar, help=text)
    live = parser.add_argument_group("live: send the keypoints as the rigs did")
    live.add_argument(
        "--to", metavar="URL", help="server that takes keypoints, such as tcp://127.0.0.1:5555"
    )
    live.add_argument(
        "--speed", type=float, default=1.0, metavar="X", help="2 plays twice as fast (default: 1)"
    )
    live.add_argument("--wait-s", type=float, default=10.0, metavar="S", help="wait for a server")
    add_key_arguments(live)


def run(arguments: argparse.Namespace) -> int:
    """Replay a recording; return 1 if the poses differ from the recorded ones."""
    from langpose_rt.formats.recording import Recording

    recording = Recording(arguments.file)
    if arguments.to is not None:
        from langpose_rt.cli.replay_live import replay_live

        return replay_live(recording, arguments)
    from langpose_rt.formats.volume_calibration import cameras_of_volumes
    from langpose_rt.recording.replay import Replay
    from langpose_rt.recording.setup import setup_from_facts

    setup = setup_from_facts(recording.facts)
    with contextlib.ExitStack() as stack:
        on_pose = stack.enter_context(_poses_out(arguments, recording.facts))
        backend = stack.enter_context(contextlib.closing(_backend(arguments, setup)))
        notes = _setup_differences(setup, backend)
        gallery = _gallery(setup.gallery, backend.manifest, notes)
        volumes = _volumes(setup)
        replay = Replay(
            recording,
            setup,
            backend,
            cameras_of_volumes(volumes),
            gallery=gallery,
            on_pose=on_pose,
            volumes=volumes,
        )
        comparison = _run_with_progress(replay)
    if comparison.model_changed:
        notes.append("the server changed its model; it was replayed up to there")
    elif recording.damaged_bytes:
        notes.append("the recording is damaged; it was replayed up to there")
    elif not recording.complete:
        notes.append("the recording was not closed in order; it was replayed as far as it goes")
    _print(arguments, comparison, notes)
    return 0 if comparison.equal else _DIFFERENT


@contextlib.contextmanager
def _poses_out(
    arguments: argparse.Namespace, facts: "Mapping[str, str]"
) -> "Iterator[Callable[[list[bytes], int], None]]":
    """Yield the function that receives replayed poses: it writes a file, or does nothing."""
    from langpose_rt.formats.recording import Entry, RecordingWriter
    from langpose_rt.recording.recorder import capture_ns

    path = arguments.out
    if path is None:
        yield lambda *_: None
        return
    if path.suffix != ".mcap":
        raise ConfigError(f"{path} is no .mcap file; 'langpose-rt convert' makes others from it")
    check_writable(path, "poses", "--out")
    if path.exists() and path.samefile(arguments.file):
        raise ConfigError(f"{path} is what is replayed; choose another --out")
    about = {"version": facts.get("version", ""), "replay": "true"}
    writer = RecordingWriter(path, about, force=arguments.force)

    def add(parts: list[bytes], now_ns: int) -> None:
        sent_ns = capture_ns(parts)
        topic = parts[0].decode()
        writer.add(Entry("published", topic, parts, now_ns, now_ns if sent_ns is None else sent_ns))

    try:
        yield add
        writer.finish()
    except OSError as error:
        writer.abandon()
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from None


def _backend(arguments: argparse.Namespace, setup: "RecordedSetup") -> "Backend":
    from langpose_rt.cli.arguments.options import backend_from_arguments

    recorded = {
        "model": None,
        "backend": setup.model.backend,
        "precision": setup.model.precision,
        "threads": setup.threads,
    }
    flags = {name: getattr(arguments, name) for name in recorded}
    chosen = recorded | {name: value for name, value in flags.items() if value is not None}
    return backend_from_arguments(argparse.Namespace(**chosen), slots=setup.slots)


def _setup_differences(setup: "RecordedSetup", backend: "Backend") -> list[str]:
    """Return one note for every difference between recording and replay setup."""
    from langpose_rt import __version__
    from langpose_rt.pipeline.responder import stamp_of_backend
    from langpose_rt.recording.setup import this_machine

    here, notes = this_machine(), []
    used = stamp_of_backend(backend)
    if used.sha256 != setup.model.sha256:
        notes.append(
            f"recorded with model {setup.model.id} {setup.model.sha256[:12]}, replayed with "
            f"{used.id} {used.sha256[:12]}; choose the recorded one with --model FOLDER"
        )
    was_run, is_run = (f"{stamp.precision} on {stamp.backend}" for stamp in (setup.model, used))
    if was_run != is_run:
        notes.append(f"the model ran as {was_run}, and runs as {is_run}")
    if setup.version != __version__:
        notes.append(f"langpose-rt was {setup.version} and is {__version__}")
    for name, was in setup.machine.items():
        if was != (now := here.get(name, "unknown")):
            notes.append(f"{name} was {was} and is {now}: the last bits may differ")
    return notes


def _volumes(setup: "RecordedSetup") -> "list[VolumeCalibration]":
    from langpose_rt.formats.volume_calibration import volume_from_text

    texts = {"recorded-cameras": setup.cameras} if setup.cameras else setup.volumes
    return [volume_from_text(name, text, setup.up or None) for name, text in texts.items()]


def _gallery(content: bytes, manifest: "Manifest", notes: list[str]) -> "Gallery | None":
    """Return the recorded action gallery; None, with a note, if the model does not fit it."""
    if not content:
        return None
    from langpose_rt.formats.gallery_npz import check_gallery, gallery_from_file

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recorded-actions.npz"
        path.write_bytes(content)
        gallery = gallery_from_file(path)
    try:
        check_gallery(gallery, manifest)
    except ConfigError as error:
        notes.append(f"actions are left out: {error}")
        return None
    return gallery


def _run_with_progress(replay: "Replay") -> "Comparison":
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn

    console = Console(stderr=True)
    columns = SpinnerColumn(), TextColumn("{task.completed} entries")
    with Progress(
        *columns, console=console, disable=not console.is_terminal, transient=True
    ) as bar:
        task = bar.add_task("replaying", total=None)
        return replay.run(on_entry=lambda: bar.advance(task))


def _print(arguments: argparse.Namespace, found: "Comparison", notes: list[str]) -> None:
    for sentence in notes:
        print(f"note: {printable(sentence)}", file=sys.stderr)
    if arguments.json:
        facts = dataclasses.asdict(found) | {"equal": found.equal, "notes": notes}
        print(json.dumps({"file": str(arguments.file)} | facts))
        return
    if not (found.frames or found.missing or found.extra):
        print("no poses were recorded, and none came of it")
    elif found.equal:
        print(f"equal: {found.frames} frames, {found.poses} poses, bit for bit")
    else:
        print(
            f"different: {found.different} of {found.frames} frames, "
            f"at most {found.largest_mm:.4g} mm; "
            f"{found.missing} frames were not replayed, {found.extra} were not recorded"
        )
