"""Camera lookup: intrinsics and pose of a frame's camera, from the rig, a file or an assumption."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float

from langpose_rt.errors import ConfigError, MessageError
from langpose_rt.formats.plausibility.cameras import size_finding
from langpose_rt.geometry.camera import ASSUMED_FOV_DEG, Camera, Intrinsics, name_of_stream
from langpose_rt.protocol.messages import KeypointMessage, RejectReason, RigCamera
from langpose_rt.protocol.poses import Frame, LevelSource


@dataclass(frozen=True, slots=True, eq=False)
class CameraModel:
    """Intrinsics and pose of one camera.

    Attributes:
        intrinsics: Of the image the keypoints are in.
        T_world_camera: None if it is not known.
        gravity: Unit vector in camera axes; NaN if it is not known.
        level_src: Source of the gravity.
        pinhole: fx, fy, cx, cy of the intrinsics in pixels.
    """

    intrinsics: Intrinsics
    T_world_camera: Float[np.ndarray, "4 4"] | None
    gravity: Float[np.ndarray, "3"]
    level_src: LevelSource = "none"
    pinhole: Float[np.ndarray, "4"] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        lens = self.intrinsics
        numbers = np.array([lens.fx_px, lens.fy_px, lens.cx_px, lens.cy_px])
        object.__setattr__(self, "pinhole", numbers)

    def gravity_in(
        self, frame: Frame, estimated: tuple[float, float, float] | None = None
    ) -> tuple[float, float, float] | None:
        """Return the gravity in the axes of a pose; None if it is neither known nor estimated.

        Args:
            frame: Axes of the pose.
            estimated: Unit vector in camera axes, for a camera whose gravity is not known.
        """
        if self.level_src == "none" and estimated is None:
            return None
        down = self.gravity if estimated is None else np.array(estimated)
        T = self.T_world_camera
        turned = down if frame == "camera" or T is None else T[:3, :3] @ down
        x, y, z = turned.tolist()
        return x, y, z


class CameraLookup:
    """Finds the camera model of a message.

    Args:
        cameras: Calibrated cameras by name: "rig/camera", or "camera" for every rig.
        fov_deg: Field of view of the long side of unknown cameras; None assumes 60 degrees.
        gravity: Unit vector in camera axes, for cameras whose gravity is not known otherwise.
        size: Image size of other cameras, for messages without one; None refuses those.

    Raises:
        ConfigError: If the field of view is out of range.
    """

    def __init__(
        self,
        cameras: Mapping[str, Camera],
        fov_deg: float | None = None,
        gravity: tuple[float, float, float] | None = None,
        size: tuple[int, int] | None = None,
    ) -> None:
        Intrinsics.from_fov(2.0, 2.0, ASSUMED_FOV_DEG if fov_deg is None else fov_deg)
        self._cameras, self._fov_deg = dict(cameras), fov_deg
        self._gravity, self._size = gravity, size

    def use(self, cameras: Mapping[str, Camera]) -> None:
        """Look up these cameras from now on."""
        self._cameras = dict(cameras)

    @property
    def sizes(self) -> dict[str, tuple[int, int]]:
        """Image sizes for messages without one, by camera; "" is that of all others."""
        known = {
            name: (int(camera.intrinsics.width_px), int(camera.intrinsics.height_px))
            for name, camera in self._cameras.items()
        }
        return known if self._size is None else known | {"": self._size}

    def assumption(self, camera: str) -> str:
        """Return the sentence about a camera whose intrinsics are assumed."""
        names = ", ".join(self._cameras)
        known = f'; the calibration has {names}, and no "{camera}"' if names else ""
        return (
            f"nobody knows the lens, so it is assumed to see {ASSUMED_FOV_DEG:g} degrees and "
            f"distances are guesses{known}; send k (focal lengths and principal point), or serve "
            "with --cameras or --fov-deg"
        )

    def no_world(self, camera: str) -> str:
        """Return the sentence about a camera without a pose where --axes world is asked for."""
        posed = [name for name, one in self._cameras.items() if one.T_world_camera is not None]
        return (
            f'--axes world needs the place of camera "{camera}", and the calibration has '
            f"{', '.join(posed) or 'none'}; its poses are in camera axes until --cameras knows it "
            "or its rig sends T_wc"
        )

    def camera_model_of(self, message: KeypointMessage) -> CameraModel:
        """Return the camera model of a message; it holds while camera and image size stay the same.

        Raises:
            MessageError: bad_camera.
        """
        name = name_of_stream(self._cameras, message.rig, message.camera)
        camera = None if name is None else self._cameras[name]
        sent = message.cam or RigCamera()
        try:
            intrinsics = self._intrinsics(message, sent, camera)
        except ConfigError as error:
            raise MessageError(RejectReason.BAD_CAMERA.value, str(error)) from None
        T_world_camera = None if camera is None else camera.T_world_camera
        if sent.T_wc is not None:
            T_world_camera = np.array(sent.T_wc, np.float64).reshape(4, 4)
        gravity, source = self._level(message)
        return CameraModel(intrinsics, T_world_camera, gravity.astype(np.float32), source)

    def gravity_of(self, message: KeypointMessage) -> Float[np.ndarray, "3"]:
        """Return the gravity that a message is lifted with, camera axes; NaN if it is unknown."""
        return self._level(message)[0]

    def _level(self, message: KeypointMessage) -> tuple[Float[np.ndarray, "3"], LevelSource]:
        """Return gravity in camera axes and its source: the rig, the calibration or the options."""
        if message.cam is not None and message.cam.gravity is not None:
            return np.array(message.cam.gravity), "given"
        name = name_of_stream(self._cameras, message.rig, message.camera)
        camera = None if name is None else self._cameras[name]
        if camera is not None and camera.gravity is not None:
            return np.asarray(camera.gravity), "calibration"
        if self._gravity is not None:
            return np.array(self._gravity), "given"
        return np.full(3, np.nan), "none"

    def _intrinsics(
        self, message: KeypointMessage, sent: RigCamera, camera: Camera | None
    ) -> Intrinsics:
        width_px, height_px = float(message.wh[0]), float(message.wh[1])
        if sent.k is not None:
            fx, fy, cx, cy = sent.k
            found = Intrinsics(
                fx_px=fx, fy_px=fy, cx_px=cx, cy_px=cy, width_px=width_px, height_px=height_px,
                dist=sent.dist,
            )  # fmt: skip
        elif camera is not None:
            lens = camera.intrinsics
            shape = size_finding((round(lens.width_px), round(lens.height_px)), message.wh)
            if shape is not None:
                raise ConfigError(f'camera "{camera.name}" is {shape.detail}')
            found = lens.resized(width_px, height_px)
        else:
            assumed = self._fov_deg is None
            fov_deg = ASSUMED_FOV_DEG if self._fov_deg is None else self._fov_deg
            found = Intrinsics.from_fov(width_px, height_px, fov_deg, assumed=assumed)
        return replace(found, dist=()) if sent.undistorted else found
