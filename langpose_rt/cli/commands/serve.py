"""`langpose-rt serve`: the server, with keypoints in on one port and poses out on the next."""

import argparse
import gc
import json
import logging
import os
import sys
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langpose_rt.cli.arguments.options import (
    add_config_arguments,
    add_model_arguments,
    add_up_argument,
    backend_from_arguments,
    config_from_arguments,
)
from langpose_rt.cli.serving_signals import serving_signals
from langpose_rt.errors import ConfigError

if TYPE_CHECKING:
    from langpose_rt.formats.gallery_npz import Gallery
    from langpose_rt.formats.volume_calibration import VolumeCalibration
    from langpose_rt.pipeline.config import PipelineConfig
    from langpose_rt.pipeline.journal import Recorder
    from langpose_rt.runtime.backend import Backend
    from langpose_rt.server.server import Server

SUMMARY = "lift the keypoint streams of capture rigs to 3D, live"
EXAMPLE = "langpose-rt serve --lookahead-ms 60 --cameras calib.toml --fuse"

_COLLECT_S = 60.0

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from langpose_rt.pipeline.config import PipelineConfig
    from langpose_rt.server.config import ServerConfig

    network = parser.add_argument_group("network")
    add_config_arguments(network, ServerConfig, leave_out=("pipeline",))
    network.add_argument("--no-http", action="store_true", help="serve neither health nor metrics")
    pipeline = parser.add_argument_group("pipeline")
    add_config_arguments(pipeline, PipelineConfig)
    pipeline.add_argument(
        "--cameras",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="calibration TOML of Pose2Sim, anipose, ...; with --fuse the cameras of one file are "
        "a capture volume, named after it; may be given several times",
    )
    add_up_argument(pipeline)
    pipeline.add_argument(
        "--actions", type=Path, metavar="FILE",
        help="npz of action sentences (training.tools.embed_actions) that persons are scored with",
    )  # fmt: skip
    recording = parser.add_argument_group("recording")
    recording.add_argument(
        "--record", type=Path, metavar="FILE.mcap", help="record what comes in and goes out"
    )
    recording.add_argument("--force", action="store_true", help="replace a recording of that name")
    parser.add_argument(
        "--json", action="store_true", help="print ports and model as one JSON line"
    )
    parser.add_argument(
        "--end-with-stdin", action="store_true",
        help="drain once standard input ends: the process that started this one is gone",
    )  # fmt: skip
    parser.add_argument(
        "--slots", type=int, default=64, metavar="N", help="people at once (default: %(default)s)"
    )
    add_model_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT; the first drains within a second, a second exits at once.

    SIGHUP reloads the model; on a terminal it means that the terminal was closed, and drains.

    """
    from langpose_rt.formats.volume_calibration import cameras_of_volumes
    from langpose_rt.pipeline.config import PipelineConfig
    from langpose_rt.server.config import ServerConfig
    from langpose_rt.server.server import Server
    from langpose_rt.server.systemd import supervised, supervised_reload

    if not 1 <= arguments.slots <= 4096:
        raise ConfigError(f"--slots is {arguments.slots}; expected 1 to 4096")
    pipeline = config_from_arguments(PipelineConfig, arguments)
    overrides: dict[str, Any] = {"http_port": None} if arguments.no_http else {}
    config = config_from_arguments(ServerConfig, arguments, pipeline=pipeline, **overrides)
    if pipeline.fuse and not arguments.cameras:
        raise ConfigError(
            "--fuse needs calibrated cameras; give their file with --cameras, or make one with "
            "'langpose-rt calibrate'"
        )
    volumes, gallery = _volumes(arguments.cameras, arguments.up), _gallery(arguments.actions)

    def open_model(folder: Path | None) -> "Backend":
        pipeline = server.pipeline
        failing = pipeline.model.name if pipeline.faults.persist else None
        return backend_from_arguments(
            arguments, slots=arguments.slots, folder=folder, failing=failing, report=log.info
        )

    reasons: list[str] = []  # logged once it serves: a wrong option prints one line only
    backend = backend_from_arguments(arguments, slots=arguments.slots, report=reasons.append)
    recorder = _recorder(arguments, backend, pipeline, volumes)
    server = Server(
        backend, config, cameras_of_volumes(volumes), recorder, gallery=gallery,
        open_model=open_model, volumes=volumes, up=arguments.up,
    )  # fmt: skip
    licence = backend.manifest.licence

    def on_start() -> None:
        _announce(server, licence, arguments, reasons)
        _keep_memory_flat(server)
        if arguments.end_with_stdin:
            threading.Thread(target=_drain_after_stdin, args=[server], daemon=True).start()

    with serving_signals(server, partial(supervised_reload, server)), supervised(server):
        server.run(on_start=on_start)
    return 0


def _volumes(paths: list[Path], up: str | None) -> "list[VolumeCalibration]":
    if not paths:
        return []
    from langpose_rt.formats.volume_calibration import volumes_from_toml

    return volumes_from_toml(paths, up)


def _gallery(path: Path | None) -> "Gallery | None":
    if path is None:
        return None
    from langpose_rt.formats.gallery_npz import gallery_from_file

    return gallery_from_file(path)


def _recorder(
    arguments: argparse.Namespace,
    backend: "Backend",
    pipeline: "PipelineConfig",
    volumes: "list[VolumeCalibration]",
) -> "Recorder | None":
    if arguments.record is None:
        return None
    from langpose_rt.cli.arguments.options import check_writable
    from langpose_rt.recording.recorder import FileRecorder
    from langpose_rt.recording.setup import RecordedSetup

    check_writable(arguments.record, "recording", "--record")
    gallery = b"" if arguments.actions is None else arguments.actions.read_bytes()
    setup = RecordedSetup.of(
        backend,
        pipeline,
        threads=arguments.threads,
        volumes={volume.name: volume.text for volume in volumes},
        gallery=gallery,
        up=arguments.up or "",
    )
    return FileRecorder(arguments.record, setup.to_facts(), force=arguments.force)


def _keep_memory_flat(server: "Server") -> None:
    """Collect garbage once a minute, except the objects of the start, until the server ends.

    CPython keeps up to 2,000 freed tuples of every length, which takes half an hour to fill up and
    which a full collection releases. A collection of all loaded objects would stop every thread for
    60 ms, so those are frozen first.

    """
    gc.freeze()

    def collect() -> None:
        while not server.wait(_COLLECT_S):
            gc.collect()

    threading.Thread(target=collect, name="collect", daemon=True).start()


def _drain_after_stdin(server: "Server") -> None:
    """Drain the server at the end of standard input."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    server.drain()


def _announce(
    server: "Server", licence: str, arguments: argparse.Namespace, reasons: list[str]
) -> None:
    for line in reasons:
        log.info(line)
    model, ports, keyring = server.snapshot().model, server.ports, server.keyring
    facts = {
        "port": ports.keypoints, "output_port": ports.poses, "control_port": ports.control,
        "http_port": ports.http, "model": model.id, "sha256": model.sha256,
        "precision": model.precision, "backend": model.backend, "licence": licence,
        "server_key": keyring.own.public if keyring else None,
    }  # fmt: skip
    if arguments.json:
        print(json.dumps(facts), flush=True)
    elif arguments.log_format == "json":
        log.info("the server is up", extra=facts)
    else:
        bind = server.config.bind
        keys = f"server key    {keyring.own.public}\n" if keyring else ""
        keys += f"clients       {', '.join(keyring.names) or 'none'}\n" if keyring else ""
        page = f"http://{server.config.http_bind}:{ports.http}/  (health: /status)"
        viewer = f"viewer        {page}\n" if ports.http else ""
        print(
            f"keypoints in  tcp://{bind}:{ports.keypoints}\n"
            f"poses out     tcp://{bind}:{ports.poses}\n"
            f"control       tcp://{bind}:{ports.control}\n"
            f"{viewer}{keys}"
            f"model         {model.id} {model.sha256[:12]}, {model.precision} on {model.backend}\n"
            f"weights       {licence}\n",
            end="",  # one write, because the log thread writes to the same stream
            file=sys.stderr,
            flush=True,
        )
