"""`langpose-rt lsl`: publish one person as a Lab Streaming Layer stream."""

import argparse
import time
from typing import TYPE_CHECKING, Any

from langpose_rt.cli.arguments.bridging import add_bridge_arguments, bridge, follower_from_arguments
from langpose_rt.errors import ConfigError

if TYPE_CHECKING:
    from langpose_rt.protocol.messages import PoseMessage

SUMMARY = "one person as a Lab Streaming Layer outlet: 17 joints in metres, on LSL's clock"
EXAMPLE = "langpose-rt lsl --rig rig0 --name langpose"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_bridge_arguments(parser)
    parser.add_argument(
        "--name", default="langpose", metavar="NAME",
        help="name of the LSL stream (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--rate-hz", type=float, default=0.0, metavar="X",
        help="nominal rate that is announced (default: 0, irregular, which is always true)",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Push every frame until interrupted."""
    from langpose_rt.bridges.lsl import lsl_time_s, sample_of_person

    if not 0 <= arguments.rate_hz <= 1000:
        raise ConfigError(f"--rate-hz is {arguments.rate_hz:g}; expected 0 to 1000")
    pylsl = _pylsl()
    outlet = pylsl.StreamOutlet(_info(pylsl, arguments))
    follower = follower_from_arguments(arguments)

    def push(message: "PoseMessage") -> bool:
        person = follower.person(message)
        if person is None:
            return False
        captured_s = lsl_time_s(message.t_srv, now_ns=time.time_ns(), now_lsl_s=pylsl.local_clock())
        outlet.push_sample(sample_of_person(message, person).tolist(), captured_s)
        return True

    return bridge(arguments, push, what=f'LSL as "{arguments.name}"', follower=follower)


def _pylsl() -> Any:
    try:
        import pylsl
    except (ImportError, RuntimeError) as error:  # RuntimeError: without liblsl
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"lsl needs pylsl and liblsl, which cannot be loaded ({reason}); "
            "install them with 'pip install \".[bridges]\"'"
        ) from None
    return pylsl


def _info(pylsl: Any, arguments: argparse.Namespace) -> Any:
    """Return the description of the LSL stream."""
    from langpose_rt.bridges.lsl import AXES, CHANNELS, UNIT

    source = f"langpose-rt:{arguments.server}:{arguments.rig}/{arguments.camera}"
    info = pylsl.StreamInfo(
        arguments.name, "MoCap", len(CHANNELS), arguments.rate_hz, "float32", source
    )
    info.desc().append_child_value("manufacturer", "langpose-rt")
    info.desc().append_child_value("axes", AXES)
    channels = info.desc().append_child("channels")
    for label in CHANNELS:
        channel = channels.append_child("channel")
        channel.append_child_value("label", label)
        kind = "Error" if label.endswith("sigma") else "Position"
        channel.append_child_value("unit", "none" if label == "person" else UNIT)
        channel.append_child_value("type", "Id" if label == "person" else kind)
    return info
