"""Rig client: publishes 2D keypoints to a server.

The socket itself is in `socket.py`. A publisher belongs to one thread; once closed it raises
LangPoseError. The bytes are specified in `langpose_rt.protocol.keypoints`.
"""

import secrets
import time
from dataclasses import replace
from typing import SupportsFloat

import numpy.typing as npt
import zmq

from langpose_rt.client.socket import ClientSocket
from langpose_rt.errors import ConfigError, MessageError
from langpose_rt.geometry.camera import Intrinsics
from langpose_rt.protocol.camera_info import RigCamera
from langpose_rt.protocol.frames import empty_frame, frame_with_people
from langpose_rt.protocol.header import MAX_UINT
from langpose_rt.protocol.keypoints import ClockSync, encode_keypoints, keypoints_from_msgpack


class RigPublisher(ClientSocket):
    """Publishes the keypoints of one camera to a server.

        with RigPublisher("tcp://127.0.0.1:5555", "rig0", "cam0", size=(1920, 1080)) as publisher:
            publisher.wait_for_server(timeout_s=5.0)
            publisher.publish(keypoints)

    Publishing never blocks: without a server, or when it cannot keep up, frames are lost.

    Args:
        endpoint: Keypoint endpoint of the server, such as "tcp://127.0.0.1:5555".
        rig, camera: Names of this machine and of the camera.
        skeleton: Keypoint format.
        size: Width and height of the image in pixels.
        fps: Nominal frame rate in Hz.
        intrinsics: Intrinsics of the camera; a RigCamera may also give its pose and gravity.
        person_height_m: Standing height of the people, if known.
        clk: Clock of the capture times: "unix", "ptp" or "mono:<boot id>".
        server_key: Public CURVE key of the server; enables encryption and authenticates the server.
        key_pair: Public and secret CURVE key of this rig; new ones if only server_key is given.

    Raises:
        ConfigError: If an argument is invalid.
    """

    def __init__(
        self,
        endpoint: str,
        rig: str,
        camera: str,
        *,
        skeleton: str = "coco17",
        size: tuple[SupportsFloat, SupportsFloat],
        fps: SupportsFloat | None = None,
        intrinsics: Intrinsics | RigCamera | None = None,
        person_height_m: SupportsFloat | None = None,
        clk: str = "unix",
        server_key: str | None = None,
        key_pair: tuple[str, str] | None = None,
    ) -> None:
        self._empty_frame = empty_frame(
            rig,
            camera,
            epoch=secrets.randbelow(MAX_UINT + 1),
            skeleton=skeleton,
            size=size,
            fps=fps,
            intrinsics=intrinsics,
            person_height_m=person_height_m,
            clk=clk,
        )
        self._seq = 0
        self._subscriptions: set[bytes] = set()
        # XPUB sends as PUB does, and also receives the subscriptions
        super().__init__(zmq.XPUB, endpoint, server_key, key_pair)

    def wait_for_server(self, timeout_s: float) -> bool:
        """Wait until a server subscribes to this stream; return False if none did in time."""
        deadline_s = time.monotonic() + timeout_s
        while not self._has_subscriber():
            if not self._wait(deadline_s):
                return False
        return True

    def publish(
        self,
        keypoints: npt.ArrayLike,
        ids: npt.ArrayLike | None = None,
        t_ns: SupportsFloat | None = None,
        *,
        bones_m: npt.ArrayLike | None = None,
    ) -> int:
        """Send one frame.

        Args:
            keypoints: [P, K, 3], or [K, 3] for one person: x and y in pixels and score; a missing
                joint is NaN or has score 0. An empty list is a frame without people.
            ids: A number for every person, -1 for untracked; all -1 if left out.
            t_ns: Capture time of the image in nanoseconds of `clk`; now if left out.
            bones_m: [P, 16], or [16] for one person: measured bone lengths in metres, in the order
                of `langpose_rt.geometry.skeleton.BONES`; NaN where a person's are not known.

        Returns:
            The frame number.

        Raises:
            MessageError: If the shapes of the arrays do not match, the time has a fraction, as
                seconds have, or a bone is not 0.01 to 1.5 m long; nothing is sent.
        """
        self._has_subscriber()
        frame = frame_with_people(
            self._empty_frame,
            keypoints,
            ids,
            seq=self._seq,
            t_ns=time.time_ns() if t_ns is None else t_ns,
            bones_m=bones_m,
        )
        self._socket.send_multipart(encode_keypoints(frame), zmq.NOBLOCK)
        self._seq += 1
        return frame.seq

    def synchronise(self, offset_ns: int, uncertainty_ns: int) -> None:
        """Send a clock offset with every frame from now on.

        Args:
            offset_ns: Server time minus capture time; `ControlClient.clock` measures it for "unix".
            uncertainty_ns: Largest error of the offset.

        Raises:
            ConfigError: If a server would reject the values.
        """
        claim = replace(self._empty_frame, sync=ClockSync(offset_ns, uncertainty_ns))
        try:
            keypoints_from_msgpack(encode_keypoints(claim))
        except MessageError as error:
            raise ConfigError(f"a server would refuse this offset: {error.detail}") from None
        self._empty_frame = claim

    def restart(self) -> None:
        """Begin a new epoch, like a restarted publisher: capture times may repeat."""
        self._empty_frame = replace(self._empty_frame, epoch=secrets.randbelow(MAX_UINT + 1))
        self._seq = 0

    def _has_subscriber(self) -> bool:
        """Read pending subscriptions and return whether one matches this stream."""
        for (frame,) in self._receive_available():
            if frame[:1] == b"\x01":
                self._subscriptions.add(frame[1:])
            else:
                self._subscriptions.discard(frame[1:])
        topic = self._empty_frame.topic.encode()
        return any(topic.startswith(prefix) for prefix in self._subscriptions)
