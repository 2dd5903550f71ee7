"""From rays to pixels, by OpenCV: how tests make the keypoints that a camera would see."""

import cv2
import numpy as np
from jaxtyping import Float

from langpose_rt.geometry.camera import Intrinsics


def ray_to_pixel(
    rays: Float[np.ndarray, "*batch joint 2"], intrinsics: Intrinsics
) -> Float[np.ndarray, "*batch joint 2"]:
    """Return where in the image directions land, as a new array of the same dtype; NaN stays."""
    flat = rays.reshape(-1, 2).astype(np.float64)
    points, zero = np.concatenate([flat, np.ones_like(flat[:, :1])], -1), np.zeros(3)
    pixels, known = np.full_like(flat, np.nan), np.isfinite(flat).all(-1)
    if known.any():
        dist = np.array(intrinsics.dist or (0.0,) * 4)
        found = cv2.projectPoints(points[known], zero, zero, intrinsics.matrix, dist)[0]
        pixels[known] = found.reshape(-1, 2)
    return np.asarray(pixels.reshape(rays.shape), rays.dtype)
