"""Calibration of the four cameras of Human3.6M per subject, which its files do not contain.

Source: calibration of Human3.6M (Ionescu et al. 2014), as published with VideoPose3D; rounded to
    nine digits.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy.spatial.transform import Rotation

from langpose_rt.geometry.camera import Intrinsics

CAMERAS = ("54138969", "55011271", "58860488", "60457274")
"""Camera names, in the order of the lists in the npz files."""

SIZES_PX: Mapping[str, tuple[int, int]] = {
    "54138969": (1000, 1002),
    "55011271": (1000, 1000),
    "58860488": (1000, 1000),
    "60457274": (1000, 1002),
}

_LENSES: Mapping[str, tuple[float, ...]] = {
    "54138969": (
        1145.04944,
        1143.78113,
        512.541504,
        515.451477,
        -0.207098916,
        0.247775182,
        -0.000975698873,
        -0.00142447161,
        -0.00307515031,
    ),
    "55011271": (
        1149.67566,
        1147.59167,
        508.848633,
        508.064911,
        -0.194213629,
        0.24040854,
        -0.00161902665,
        -0.00274089444,
        0.00681997556,
    ),
    "58860488": (
        1149.14075,
        1148.79895,
        519.815857,
        501.402649,
        -0.208338186,
        0.255488008,
        0.00148438697,
        -0.000759999326,
        -0.00246049743,
    ),
    "60457274": (
        1145.51135,
        1144.77393,
        514.968201,
        501.882019,
        -0.198384091,
        0.218323678,
        -0.000587205577,
        -0.001813362,
        -0.00894780736,
    ),
}
"""Intrinsics: fx, fy, cx, cy in pixels, then distortion k1, k2, p1, p2, k3."""

_PLACES: Mapping[str, tuple[tuple[float, ...], ...]] = {
    "S1": (
        (0.140705645, -0.150070176, -0.755240798, 0.622328043, 1841.10706, 4955.28467, 1563.44543),
        (0.615718782, -0.764836311, -0.148338258, 0.117947407, 1761.27856, -5078.00684, 1606.26501),
        (0.146514729, -0.146478519, 0.76530236, -0.609417558, -1846.77771, 5215.04639, 1491.97241),
        (0.583400846, -0.785316229, 0.145488232, -0.14749594, -1794.78967, -3722.69897, 1574.8927),
    ),
    "S5": (
        (0.146737725, -0.162370965, -0.7551893, 0.617893875, 2097.3916, 4880.94482, 1605.73242),
        (0.615975857, -0.762679219, -0.15728192, 0.118981503, 2031.70081, -5167.93311, 1612.9231),
        (0.142913714, -0.129078418, 0.767838478, -0.611014307, -1620.59485, 5171.65869, 1496.43701),
        (0.592047989, -0.781421781, 0.127474859, -0.150364175, -1637.17371, -3867.31738, 1547.0332),
    ),
    "S6": (
        (0.133789778, -0.156923965, -0.757109046, 0.619887948, 1935.45178, 4950.24561, 1618.08386),
        (0.614719748, -0.762881279, -0.161747679, 0.118192449, 1969.80396, -5128.73877, 1632.77881),
        (0.152994812, -0.135291308, 0.764609635, -0.611278117, -1769.59644, 5185.36133, 1476.99341),
        (0.591610134, -0.780477405, 0.128322706, -0.156159386, -1721.6687, -3884.13135, 1540.48792),
    ),
    "S7": (
        (0.143524185, -0.163133681, -0.754832864, 0.618882477, 1974.51294, 4926.35449, 1597.83264),
        (0.614167273, -0.763826251, -0.159664556, 0.117792994, 1937.05847, -5119.79004, 1631.56653),
        (0.1455006, -0.128748164, 0.76605165, -0.612713933, -1741.81116, 5208.24951, 1464.82458),
        (
            0.591284811,
            -0.782176435,
            0.124454737,
            -0.151964873,
            -1734.71057,
            -3832.42139,
            1548.58301,
        ),
    ),
    "S8": (
        (0.141105875, -0.155898675, -0.75619173, 0.619644046, 2150.65186, 4896.16113, 1611.90466),
        (0.616960168, -0.764766812, -0.148463503, 0.111581579, 2219.96558, -5148.45312, 1613.04407),
        (0.147144407, -0.133771196, 0.767012835, -0.610036969, -1571.22156, 5137.01855, 1498.17615),
        (
            0.592782438,
            -0.782587051,
            0.121478163,
            -0.146319956,
            -1476.91333,
            -3896.74121,
            1547.97217,
        ),
    ),
    "S9": (
        (0.155405879, -0.155482158, -0.753209531, 0.619959474, 2044.4585, 4935.11719, 1481.22754),
        (0.618784487, -0.763473511, -0.141322389, 0.119339682, 1990.95972, -5123.81055, 1568.80481),
        (0.133578271, -0.136710048, 0.768945456, -0.610073864, -1670.99219, 5211.98584, 1528.38794),
        (
            0.587939918,
            -0.782340705,
            0.142761439,
            -0.147948697,
            -1696.04346,
            -3827.09985,
            1591.41272,
        ),
    ),
    "S11": (
        (0.152324721, -0.154423207, -0.754756331, 0.619107008, 2098.44019, 4926.55469, 1500.27856),
        (0.618944943, -0.760091722, -0.15300633, 0.125525832, 2083.18237, -4912.17285, 1561.07861),
        (0.149432287, -0.156502277, 0.768123388, -0.602630436, -1609.81531, 5177.33594, 1537.89673),
        (0.589425147, -0.78188771, 0.139912114, -0.147153616, -1590.73804, -3854.16895, 1578.01758),
    ),
}
"""Extrinsics per camera: rotation camera to world as quaternion w, x, y, z; position in mm."""


@dataclass(frozen=True, kw_only=True)
class H36mCamera:
    """Calibrated camera of a subject.

    Attributes:
        name: Number of the camera.
        size_px: Width and height of its images.
        intrinsics: Intrinsics and distortion.
        rotation: Camera axes to world axes.
        place_m: Position in the world.
    """

    name: str
    size_px: tuple[int, int]
    intrinsics: Intrinsics
    rotation: Float64[np.ndarray, "3 3"]
    place_m: Float64[np.ndarray, "3"]

    def to_camera(self, joints_world_m: Float64[np.ndarray, "*batch 3"]) -> np.ndarray:
        """Transform world to camera axes, metres."""
        return np.asarray((joints_world_m - self.place_m) @ self.rotation)


def cameras_of_subject(subject: str) -> tuple[H36mCamera, ...]:
    """Return the four cameras of a subject, in the order of CAMERAS.

    Raises:
        KeyError: If the subject has no calibration: only S1, S5 to S9 and S11 have one.
    """
    return tuple(
        H36mCamera(
            name=name,
            size_px=SIZES_PX[name],
            intrinsics=_intrinsics(name),
            rotation=Rotation.from_quat((*place[1:4], place[0])).as_matrix(),
            place_m=np.array(place[4:]) / 1000,
        )
        for name, place in zip(CAMERAS, _PLACES[subject], strict=True)
    )


def _intrinsics(name: str) -> Intrinsics:
    fx_px, fy_px, cx_px, cy_px, *dist = _LENSES[name]
    width_px, height_px = SIZES_PX[name]
    return Intrinsics(
        fx_px=fx_px, fy_px=fy_px, cx_px=cx_px, cy_px=cy_px, width_px=width_px, height_px=height_px,
        dist=tuple(dist),
    )  # fmt: skip
