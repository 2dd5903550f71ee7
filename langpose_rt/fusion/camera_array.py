"""The cameras of a capture volume as arrays: from pixels to rays, from world points to rays."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from langpose_rt.errors import ConfigError
from langpose_rt.geometry.camera import Camera, Intrinsics, pixel_to_ray

MOST_CAMERAS = 32
"""As many as the bit mask of views has bits."""


@dataclass(frozen=True, eq=False)
class CameraArray:
    """Calibrated cameras that see the same space.

    Attributes:
        names: In the order of the calibration.
        intrinsics: Lens of each.
        centres: Where each stands, metres.
        R_camera_world: Takes directions from the world to camera axes.
        focal_px: Mean focal length of each.
        low, high: Corners of each image as rays without distortion.
    """

    names: tuple[str, ...]
    intrinsics: tuple[Intrinsics, ...]
    centres: Float[np.ndarray, "camera 3"]
    R_camera_world: Float[np.ndarray, "camera 3 3"]
    focal_px: Float[np.ndarray, " camera"]
    low: Float[np.ndarray, "camera 2"]
    high: Float[np.ndarray, "camera 2"]

    @classmethod
    def of_cameras(cls, cameras: Mapping[str, Camera]) -> "CameraArray":
        """Arrange the cameras of a calibration.

        Raises:
            ConfigError: If there are fewer than two or more than MOST_CAMERAS, one has no place,
                or all stand on one spot.
        """
        if len(cameras) > MOST_CAMERAS:
            raise ConfigError(
                f"the calibration has {len(cameras)} cameras; expected at most {MOST_CAMERAS} "
                "for one capture volume; split the file"
            )
        placed = {n: c.T_world_camera for n, c in cameras.items() if c.T_world_camera is not None}
        lost = [name for name in cameras if name not in placed]
        if lost:
            raise ConfigError(
                f'camera "{lost[0]}" has no rotation and translation; expected both for every '
                'camera that is fused; calibrate with "langpose-rt calibrate"'
            )
        if len(placed) < 2:
            raise ConfigError(
                f"the calibration has {len(placed)} cameras; expected at least 2 to fuse"
            )
        T = np.stack(list(placed.values())).astype(np.float64)
        if float(np.ptp(T[:, :3, 3], axis=0).max()) < 0.01:
            raise ConfigError(
                "all cameras of the calibration stand on one spot; expected extrinsics in metres"
            )
        lenses = tuple(camera.intrinsics for camera in cameras.values())
        corners = [_corner_rays(lens) for lens in lenses]
        return cls(
            names=tuple(cameras),
            intrinsics=lenses,
            centres=T[:, :3, 3].copy(),
            R_camera_world=T[:, :3, :3].transpose(0, 2, 1).copy(),
            focal_px=np.array([0.5 * (lens.fx_px + lens.fy_px) for lens in lenses], np.float64),
            low=np.stack([rays.min(0) for rays in corners]),
            high=np.stack([rays.max(0) for rays in corners]),
        )

    def __len__(self) -> int:
        """Count the cameras."""
        return len(self.names)

    def columns_in(self, old: "CameraArray") -> Int[np.ndarray, " camera"]:
        """Return for every camera its place in another calibration; -1 where it is not there."""
        places = {name: place for place, name in enumerate(old.names)}
        return np.array([places.get(name, -1) for name in self.names], np.intp)

    def axes_from(self, old: "CameraArray") -> Float[np.ndarray, "4 4"]:
        """Return the rigid transform from the world of an older calibration to this one's.

        The cameras that are in both tell: that one whose own move explains the places of the others
        best, so one camera that was moved does not count. Without one the worlds are the same.
        """
        columns = self.columns_in(old)
        best, T_new_old = np.inf, np.eye(4)
        new = np.flatnonzero(columns >= 0)
        for camera in new.tolist():
            R = self.R_camera_world[camera].T @ old.R_camera_world[columns[camera]]
            shift = self.centres[camera] - R @ old.centres[columns[camera]]
            off = old.centres[columns[new]] @ R.T + shift - self.centres[new]
            median = float(np.median(np.linalg.norm(off, axis=1)))
            if median < best:
                best, T_new_old = median, np.eye(4)
                T_new_old[:3, :3], T_new_old[:3, 3] = R, shift
        return T_new_old

    def rays_from_pixels(
        self, camera: int, joints_px: Float[np.ndarray, "person joint 2"]
    ) -> Float[np.ndarray, "person joint 2"]:
        """Undo lens and distortion of one camera; see `pixel_to_ray`."""
        return pixel_to_ray(joints_px, self.intrinsics[camera])

    def project(
        self, points_world: Float[np.ndarray, "*batch 3"]
    ) -> tuple[Float[np.ndarray, "camera *batch 2"], Float[np.ndarray, "camera *batch"]]:
        """See points with every camera, as rays without distortion, and their depths.

        Points behind a camera, or less than 1 cm before it, have NaN rays.
        """
        flat = points_world.reshape(1, -1, 3) - self.centres[:, None]
        seen = flat @ self.R_camera_world.transpose(0, 2, 1)
        depth = seen[..., 2]
        ahead = np.where(depth > 0.01, depth, np.nan)
        batch = points_world.shape[:-1]
        rays = (seen[..., :2] / ahead[..., None]).reshape(len(self), *batch, 2)
        return rays, depth.reshape(len(self), *batch)

    def sees(self, rays: Float[np.ndarray, "camera *batch 2"]) -> Bool[np.ndarray, "camera *batch"]:
        """Tell which rays of every camera lie inside its image; NaN does not."""
        shape = (len(self), *(1,) * (rays.ndim - 2), 2)
        inside = (rays >= self.low.reshape(shape)) & (rays <= self.high.reshape(shape))
        return np.asarray(inside.all(-1))

    def directions_world(
        self,
        camera: Float[np.ndarray, " detection"] | np.ndarray,
        rays: Float[np.ndarray, "detection joint 2"],
    ) -> Float[np.ndarray, "detection joint 3"]:
        """Turn rays of the given cameras into unit vectors in world axes."""
        ahead = np.concatenate([rays, np.ones_like(rays[..., :1])], -1)
        turned = ahead @ self.R_camera_world[camera]  # a row times R is R transposed times it
        norm = np.sqrt((ahead * ahead).sum(-1, keepdims=True))
        return np.asarray(turned / norm)


def _corner_rays(lens: Intrinsics) -> Float[np.ndarray, "corner 2"]:
    width, height = float(lens.width_px), float(lens.height_px)
    corners = [(0, 0), (width, 0), (0, height), (width, height)]
    sides = [(width / 2, 0), (width / 2, height), (0, height / 2), (width, height / 2)]
    return pixel_to_ray(np.array(corners + sides, np.float64), lens)
