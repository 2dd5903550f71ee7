"""`langpose-rt cluster`: several servers behind one address."""

import argparse
import json
import logging
import sys
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langpose_rt.cli.arguments.options import (
    add_config_arguments,
    add_model_arguments,
    add_up_argument,
    config_from_arguments,
    model_flags,
)
from langpose_rt.cli.serving_signals import serving_signals
from langpose_rt.errors import ConfigError

if TYPE_CHECKING:
    from langpose_rt.cluster.front import Front
    from langpose_rt.cluster.placement import Placement

SUMMARY = "lift more streams than one server can: several servers (lifters) behind one address"
EXAMPLE = "langpose-rt cluster --lifters 3"

_OF_THE_FRONT = ("name", "max_streams", "front")
"""Options of the pipeline that are not passed on to the lifters."""

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from langpose_rt.cluster.config import ClusterConfig
    from langpose_rt.pipeline.config import PipelineConfig
    from langpose_rt.server.config import ServerConfig

    cluster = parser.add_argument_group("cluster")
    add_config_arguments(cluster, ClusterConfig)
    cluster.add_argument(
        "--address", metavar="RAY", help="Ray cluster that places the lifters, such as auto"
    )
    cluster.add_argument(
        "--gpus-per-lifter", type=int, default=0, metavar="N",
        help="GPUs of each lifter (default: all lifters see all GPUs)",
    )  # fmt: skip
    cluster.add_argument(
        "--lifter-keys", type=Path, metavar="PATH",
        help="folder with the keys server and front, for what passes between front and lifters",
    )  # fmt: skip
    network = parser.add_argument_group("network")
    add_config_arguments(network, ServerConfig, leave_out=("pipeline",))
    network.add_argument("--no-http", action="store_true", help="serve neither health nor metrics")
    pipeline = parser.add_argument_group("pipeline")
    add_config_arguments(pipeline, PipelineConfig, leave_out=("front",))
    pipeline.add_argument(
        "--cameras", type=Path, metavar="FILE", action="append", default=[],
        help="calibration TOML of Pose2Sim, anipose, ..., on the machine of every lifter",
    )  # fmt: skip
    add_up_argument(pipeline)
    pipeline.add_argument(
        "--actions", type=Path, metavar="FILE",
        help="npz of action sentences (training.tools.embed_actions) that persons are scored with",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the ports as one JSON line")
    parser.add_argument(
        "--slots", type=int, default=64, metavar="N",
        help="people at once at each lifter (default: %(default)s)",
    )  # fmt: skip
    add_model_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT; a second signal exits at once."""
    from langpose_rt.cluster.config import ClusterConfig
    from langpose_rt.cluster.front import Front
    from langpose_rt.pipeline.config import PipelineConfig
    from langpose_rt.server.config import ServerConfig

    if not 1 <= arguments.slots <= 4096:
        raise ConfigError(f"--slots is {arguments.slots}; expected 1 to 4096")
    if not 0 <= arguments.gpus_per_lifter <= 64:
        raise ConfigError(f"--gpus-per-lifter is {arguments.gpus_per_lifter}; expected 0 to 64")
    if arguments.address and not (arguments.lifter_keys or arguments.insecure):
        raise ConfigError(
            "lifters that Ray places listen on addresses that others can reach; make keys with "
            "'langpose-rt keys new server --dir inner' and 'langpose-rt keys new front --dir "
            "inner' and add --lifter-keys inner, or --insecure in a network of your own"
        )
    config = config_from_arguments(ClusterConfig, arguments)
    pipeline = config_from_arguments(PipelineConfig, arguments)
    overrides: dict[str, Any] = {"http_port": None} if arguments.no_http else {}
    server = config_from_arguments(ServerConfig, arguments, pipeline=pipeline, **overrides)
    placement = _placement(arguments, config.lifters, config.lifter)
    try:
        front = Front(placement, config, server, lifter_keys=arguments.lifter_keys)
    except ConfigError:
        placement.stop()
        raise
    with serving_signals(front, partial(_reload, front)):
        front.run(on_start=lambda: _announce(front, arguments))
    return 0


def lifter_options(arguments: argparse.Namespace) -> list[str]:
    """Return the options of ``serve`` for every lifter."""
    from langpose_rt.cluster.placement import key_options
    from langpose_rt.pipeline.config import PipelineConfig

    words = [*model_flags(arguments), "--slots", str(arguments.slots)]
    for field in fields(PipelineConfig):
        value = getattr(arguments, field.name, None)
        if field.name not in _OF_THE_FRONT and value not in (None, field.default):
            text = str(value).lower() if isinstance(value, bool) else str(value)
            words.append(f"--{field.name.replace('_', '-')}={text}")
    words += [f"--cameras={path.absolute()}" for path in arguments.cameras]
    words += [] if arguments.up is None else [f"--up={arguments.up}"]
    words += [] if arguments.actions is None else [f"--actions={arguments.actions.absolute()}"]
    if arguments.insecure and arguments.lifter_keys is None:
        words.append("--insecure")
    return words + key_options(arguments.lifter_keys)


def _placement(
    arguments: argparse.Namespace, count: int, endpoints: tuple[str, ...]
) -> "Placement":
    from langpose_rt.cluster.placement import FixedPlacement, JointPlacement, ProcessPlacement

    words = lifter_options(arguments)
    if not count:
        return FixedPlacement(endpoints)
    started: Placement
    if arguments.address is None:
        started = ProcessPlacement(
            count, words, log.warning, gpus_per_lifter=arguments.gpus_per_lifter
        )
    else:
        from langpose_rt.cluster.ray_placement import RayPlacement

        started = RayPlacement(
            count,
            words,
            log.warning,
            address=arguments.address,
            gpus_per_lifter=arguments.gpus_per_lifter,
        )
    return JointPlacement(started, FixedPlacement(endpoints)) if endpoints else started


def _announce(front: "Front", arguments: argparse.Namespace) -> None:
    ports, keyring = front.ports, front.keyring
    facts = {
        "port": ports.keypoints, "output_port": ports.poses, "control_port": ports.control,
        "http_port": ports.http, "server_key": keyring.own.public if keyring else None,
    }  # fmt: skip
    if arguments.json:
        print(json.dumps(facts), flush=True)
        return
    bind = front.config.bind
    keys = f"server key    {keyring.own.public}\n" if keyring else ""
    page = f"http://{front.config.http_bind}:{ports.http}/  (health: /status)"
    viewer = f"viewer        {page}\n" if ports.http else ""
    print(
        f"keypoints in  tcp://{bind}:{ports.keypoints}\n"
        f"poses out     tcp://{bind}:{ports.poses}\n"
        f"control       tcp://{bind}:{ports.control}\n"
        f"{viewer}{keys}"
        f"lifters       {arguments.lifters + len(arguments.lifter)}, as they come up\n",
        end="",
        file=sys.stderr,
        flush=True,
    )


def _reload(front: "Front") -> None:
    front.reload(None, lambda error: log.warning("reload: %s", error) if error else None)
