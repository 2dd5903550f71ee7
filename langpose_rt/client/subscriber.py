"""The client library: a rig that publishes 2D keypoints, a consumer that receives 3D poses.

The socket itself is in `connection.py`. Each object belongs to one thread; once closed it raises
LangPoseError. The bytes are specified in `messages.py`.
"""

import secrets
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import SupportsFloat

import numpy.typing as npt
import zmq

from langpose_rt.client.pose_backlog import PoseBacklog
from langpose_rt.client.socket import MAX_WAITING_MESSAGES, Connection
from langpose_rt.errors import ConfigError, MessageError
from langpose_rt.geometry.camera import Intrinsics
from langpose_rt.protocol.camera_info import RigCamera
from langpose_rt.protocol.clock_sync import ClockSync
from langpose_rt.protocol.frames import empty_frame, frame_with_people
from langpose_rt.protocol.header import MAX_UINT, topic_of
from langpose_rt.protocol.keypoints import encode_keypoints, keypoints_from_msgpack
from langpose_rt.protocol.poses import PoseMessage
from langpose_rt.protocol.status import Heartbeat

ALIVE_S = 3.0
"""A server whose last heartbeat is older is not alive; it sends one a second."""


class RigPublisher(Connection):
    """Publishes the keypoints of one camera to a server.

        with RigPublisher("tcp://127.0.0.1:5555", "rig0", "cam0", size=(1920, 1080)) as publisher:
            publisher.wait_for_server(timeout_s=5.0)
            publisher.publish(keypoints)

    Publishing never blocks: without a server, or when it cannot keep up, frames are lost.

    Args:
        endpoint: Where the server listens for keypoints, such as "tcp://127.0.0.1:5555".
        rig, camera: Names of this machine and of the camera.
        skeleton: Keypoint format.
        size: Width and height of the image in pixels.
        fps: Nominal frame rate in Hz.
        intrinsics: What is known of the camera; a RigCamera may also say position and gravity.
        person_height_m: Standing height of the people, if known.
        clk: Clock of the capture times: "unix", "ptp" or "mono:<boot id>".
        server_key: Public CURVE key of the server; encrypts, and proves the server.
        key_pair: Public and secret CURVE key of this rig; new ones if only server_key is given.

    Raises:
        ConfigError: If one of these cannot be.
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
        self._nobody = empty_frame(
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
        # XPUB sends exactly as PUB does, and also hears who subscribes
        super().__init__(zmq.XPUB, endpoint, server_key, key_pair)

    def wait_for_server(self, timeout_s: float) -> bool:
        """Wait until a server wants this stream, and say whether one does."""
        deadline_s = time.monotonic() + timeout_s
        while not self._is_wanted():
            if not self._wait(deadline_s):
                return False
        return True

    def publish(
        self,
        keypoints: npt.ArrayLike,
        ids: npt.ArrayLike | None = None,
        t_ns: SupportsFloat | None = None,
    ) -> int:
        """Send one frame.

        Args:
            keypoints: [P, K, 3], or [K, 3] for one person: x and y in pixels and score; a missing
                joint is NaN or has score 0. An empty list is a frame with nobody in it.
            ids: A number for every person, -1 for untracked; all -1 if left out.
            t_ns: When the image was captured, in nanoseconds of `clk`; now if left out.

        Returns:
            The frame's number.

        Raises:
            MessageError: If the arrays do not fit together, or the time has a fraction, as
                seconds have; nothing is sent.
        """
        self._is_wanted()
        frame = frame_with_people(
            self._nobody,
            keypoints,
            ids,
            seq=self._seq,
            t_ns=time.time_ns() if t_ns is None else t_ns,
        )
        self._socket.send_multipart(encode_keypoints(frame), zmq.NOBLOCK)
        self._seq += 1
        return frame.seq

    def synchronise(self, offset_ns: int, uncertainty_ns: int) -> None:
        """Tell the server with every frame from now on how far its clock is from the capture clock.

        Args:
            offset_ns: What to add to the capture clock; `ControlClient.clock` finds it for "unix".
            uncertainty_ns: How wrong that may be.

        Raises:
            ConfigError: If these are no times.
        """
        claim = replace(self._nobody, sync=ClockSync(offset_ns, uncertainty_ns))
        try:
            keypoints_from_msgpack(encode_keypoints(claim))
        except MessageError as error:
            raise ConfigError(f"a server would refuse this offset: {error.detail}") from None
        self._nobody = claim

    def restart(self) -> None:
        """Begin a new epoch, as a publisher started again: the same times may come again."""
        self._nobody = replace(self._nobody, epoch=secrets.randbelow(MAX_UINT + 1))
        self._seq = 0

    def _is_wanted(self) -> bool:
        """Whether anybody is subscribed to this stream, after reading the latest word on it."""
        for (frame,) in self._arrived():
            if frame[:1] == b"\x01":
                self._subscriptions.add(frame[1:])
            else:
                self._subscriptions.discard(frame[1:])
        topic = self._nobody.topic.encode()
        return any(topic.startswith(prefix) for prefix in self._subscriptions)


class PoseSubscriber(Connection):
    """Receives the poses of a server, of one rig or of one camera.

        with PoseSubscriber("tcp://127.0.0.1:5556", rig="rig0", latest=True) as poses:
            for message in poses:
                print(message.topic, message.ids, message.poses.shape)

    Args:
        endpoint: Where the server publishes, such as "tcp://127.0.0.1:5556".
        rig: Only this rig; all of them if empty.
        camera: Only this camera of the rig; all of them if empty.
        latest: Of every camera hand out only the newest of the messages that have arrived.
        timeout_s: Iteration ends when no pose came for so long; None waits for ever.
        server_key: Public CURVE key of the server.
        key_pair: Public and secret CURVE key of this consumer.

    Raises:
        ConfigError: If one of these cannot be.
    """

    def __init__(
        self,
        endpoint: str,
        rig: str = "",
        camera: str = "",
        *,
        latest: bool = False,
        timeout_s: float | None = None,
        server_key: str | None = None,
        key_pair: tuple[str, str] | None = None,
    ) -> None:
        if camera and not rig:
            raise ConfigError(f'camera "{camera}" is given without its rig; name the rig too')
        try:
            topic = topic_of("pose3d", *filter(None, (rig, camera)))
        except MessageError as error:
            raise ConfigError(error.detail) from None
        super().__init__(zmq.SUB, endpoint, server_key, key_pair)
        for prefix in (topic, "hb/"):
            self._socket.subscribe(prefix)
        self._timeout_s = timeout_s
        self._backlog = PoseBacklog(latest=latest, most=MAX_WAITING_MESSAGES)

    @property
    def heartbeat(self) -> Heartbeat | None:
        """The server's last sign of life; None before the first."""
        return self._read().heartbeat

    @property
    def heartbeat_age_s(self) -> float:
        """Seconds since the last heartbeat was read; infinite before the first."""
        return time.monotonic() - self._read().heartbeat_s

    @property
    def alive(self) -> bool:
        """Whether a server was heard in the last ALIVE_S seconds; tells silence from death."""
        return self.heartbeat_age_s <= ALIVE_S

    @property
    def skipped(self) -> int:
        """Poses that were passed over because newer ones were there."""
        return self._backlog.skipped

    @property
    def rejected(self) -> int:
        """Messages that could not be read."""
        return self._backlog.rejected

    def receive(self, timeout_s: float | None = None) -> PoseMessage | None:
        """The next poses, or None when none came in time.

        Args:
            timeout_s: How long to wait; None waits for ever.
        """
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        while (message := self._read().take()) is None:
            if not self._wait(deadline_s):
                return None
        return message

    def __iter__(self) -> Iterator[PoseMessage]:
        """Poses as they come, until none came for the timeout of this subscriber."""
        while (message := self.receive(self._timeout_s)) is not None:
            yield message

    def _read(self) -> PoseBacklog:
        self._backlog.put(self._arrived(), time.monotonic())
        return self._backlog
