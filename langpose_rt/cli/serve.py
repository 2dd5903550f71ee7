"""`langpose-rt serve`: the server. Keypoints in on one port, poses out on the next."""

import argparse
import json
import logging
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langpose_rt.cli.options import (
    add_config_arguments,
    add_model_arguments,
    backend_from_arguments,
    config_from_arguments,
)
from langpose_rt.errors import ConfigError

if TYPE_CHECKING:
    from langpose_rt.camera import Camera
    from langpose_rt.runtime.base import Backend
    from langpose_rt.streaming.server import Server

SUMMARY = "lift the keypoint streams of capture rigs to 3D, live"
EXAMPLE = "langpose-rt serve --port 5555 --lookahead-ms 60 --cameras calib.toml"

_SECOND_SIGNAL = 1

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from langpose_rt.streaming.options import PipelineConfig, ServerConfig

    network = parser.add_argument_group("network")
    add_config_arguments(network, ServerConfig, leave_out=("pipeline",))
    network.add_argument("--no-http", action="store_true", help="serve neither health nor metrics")
    pipeline = parser.add_argument_group("pipeline")
    add_config_arguments(pipeline, PipelineConfig)
    pipeline.add_argument(
        "--cameras", type=Path, metavar="FILE", help="calibration TOML of Pose2Sim, anipose, ..."
    )
    parser.add_argument(
        "--json", action="store_true", help="print ports and model as one JSON line"
    )
    parser.add_argument(
        "--slots", type=int, default=64, metavar="N", help="people at once (default: %(default)s)"
    )
    add_model_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT; the first drains within a second, a second ends at once.

    SIGHUP opens the model anew; on a terminal it means that the terminal is gone, and drains.
    """
    from langpose_rt.streaming.options import PipelineConfig, ServerConfig
    from langpose_rt.streaming.server import Server

    if not 1 <= arguments.slots <= 4096:
        raise ConfigError(f"--slots is {arguments.slots}; expected 1 to 4096")
    pipeline = config_from_arguments(PipelineConfig, arguments)
    given: dict[str, Any] = {"http_port": None} if arguments.no_http else {}
    config = config_from_arguments(ServerConfig, arguments, pipeline=pipeline, **given)
    cameras = _cameras(arguments.cameras)

    def open_model(folder: Path | None) -> "Backend":
        pipeline = server.pipeline
        failing = pipeline.model.name if pipeline.incidents.persist else None
        return backend_from_arguments(
            arguments, slots=arguments.slots, folder=folder, failing=failing, say=log.info
        )

    backend = backend_from_arguments(arguments, slots=arguments.slots, say=log.info)
    server = Server(backend, config, cameras, open_model=open_model)
    _heed_signals(server)
    licence = str(backend.manifest.card.get("licence", "not stated"))
    server.run(on_start=lambda: _announce(server, licence, as_json=arguments.json))
    return 0


def _cameras(path: Path | None) -> "Mapping[str, Camera]":
    if path is None:
        return {}
    from langpose_rt.formats.calibration import cameras_from_toml

    return cameras_from_toml(path)


def _announce(server: "Server", licence: str, *, as_json: bool) -> None:
    model, ports = server.snapshot().model, server.ports
    if as_json:
        said = {
            "port": ports.keypoints, "output_port": ports.poses, "control_port": ports.control,
            "http_port": ports.http, "model": model.id, "sha256": model.sha256,
            "precision": model.precision, "backend": model.backend, "licence": licence,
        }  # fmt: skip
        print(json.dumps(said), flush=True)
        return
    bind = server.config.bind
    health = f"health        http://{bind}:{ports.http}/status\n" if ports.http else ""
    print(
        f"keypoints in  tcp://{bind}:{ports.keypoints}\n"
        f"poses out     tcp://{bind}:{ports.poses}\n"
        f"control       tcp://{bind}:{ports.control}\n"
        f"{health}"
        f"model         {model.id} {model.sha256[:12]}, {model.precision} on {model.backend}\n"
        f"weights       {licence}",
        file=sys.stderr,
        flush=True,
    )


def _heed_signals(server: "Server") -> None:
    def drain(*_: object) -> None:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(_SECOND_SIGNAL))
        signal.signal(signal.SIGINT, lambda *_: os._exit(_SECOND_SIGNAL))
        server.drain()

    signal.signal(signal.SIGTERM, drain)
    signal.signal(signal.SIGINT, drain)
    if sys.stdin is not None and sys.stdin.isatty():
        signal.signal(signal.SIGHUP, drain)
    else:
        signal.signal(signal.SIGHUP, lambda *_: server.reload(None, lambda _: None))
