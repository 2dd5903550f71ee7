"""`langpose-rt vmc`: animate an avatar with one person, over the VMC protocol (OSC on UDP)."""

import argparse
import contextlib
import time
from typing import TYPE_CHECKING

from langpose_rt.cli.arguments.bridging import add_bridge_arguments, bridge, follower_from_arguments
from langpose_rt.errors import ConfigError, LangPoseError

if TYPE_CHECKING:
    from langpose_rt.bridges.vmc import Message
    from langpose_rt.protocol.messages import PoseMessage

SUMMARY = "move an avatar: one person to a VMC receiver (Unity, Unreal, Blender, VSeeFace)"
EXAMPLE = "langpose-rt vmc --to 127.0.0.1:39539 --rig rig0"

_MESSAGES_A_PACKET = 12
"""12 messages of about 80 bytes stay below the 1500 bytes of an Ethernet frame."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_bridge_arguments(parser)
    parser.add_argument(
        "--to", default="127.0.0.1:39539", metavar="HOST:PORT",
        help="where the avatar listens (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--mirror", action="store_true", help="swap left and right, as in a mirror")
    parser.add_argument(
        "--recentre", action="store_true",
        help="begin at the origin, facing forward, whenever somebody comes to be followed",
    )  # fmt: skip
    parser.add_argument(
        "--floor-m", type=float, metavar="X",
        help="height of the floor in level axes, such as 0 (default: under the feet)",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Send every frame until interrupted."""
    from langpose_rt.bridges.vmc import Avatar

    host, port = _address(arguments.to)
    floor_m = arguments.floor_m
    if floor_m is not None and not abs(floor_m) < 1e4:
        raise ConfigError(f"--floor-m is {floor_m:g}; expected metres, such as 0 or -1.2")
    follower = follower_from_arguments(arguments)
    avatar = Avatar(mirror=arguments.mirror, recentre=arguments.recentre, floor_m=floor_m)
    start_s = time.monotonic()
    sender = _Sender(host, port)

    def send(message: "PoseMessage") -> bool:
        person = follower.person(message)
        sender.send(avatar.messages(message, person, time.monotonic() - start_s))
        return person is not None

    with contextlib.closing(sender):
        return bridge(arguments, send, what=f"VMC at {arguments.to}", follower=follower)


class _Sender:
    """Sender of OSC bundles over UDP."""

    def __init__(self, host: str, port: int) -> None:
        try:
            from pythonosc import osc_bundle_builder, osc_message_builder, udp_client
        except ImportError as error:
            raise ConfigError(
                f"vmc needs python-osc, which cannot be imported ({error}); "
                "install it with 'pip install \".[bridges]\"'"
            ) from None
        self._bundles, self._builders = osc_bundle_builder, osc_message_builder
        self._to = f"{host}:{port}"
        try:
            self._client = udp_client.UDPClient(host, port)
        except OSError as error:
            raise ConfigError(f"cannot send to {self._to}: {error.strerror or error}") from None

    def send(self, messages: "list[Message]") -> None:
        """Send messages as bundles, in as many packets as they need."""
        for first in range(0, len(messages), _MESSAGES_A_PACKET):
            bundle = self._bundles.OscBundleBuilder(self._bundles.IMMEDIATELY)
            for address, values in messages[first : first + _MESSAGES_A_PACKET]:
                builder = self._builders.OscMessageBuilder(address=address)
                for value in values:
                    builder.add_arg(value)
                bundle.add_content(builder.build())
            try:
                self._client.send(bundle.build())
            except ConnectionRefusedError:  # no receiver yet
                continue
            except OSError as error:
                raise LangPoseError(f"cannot send to {self._to}: {error.strerror}") from None

    def close(self) -> None:
        """Close the socket."""
        self._client.close()


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise ConfigError(f"--to is {text!r}; expected HOST:PORT such as 127.0.0.1:39539")
    return host, int(port)
