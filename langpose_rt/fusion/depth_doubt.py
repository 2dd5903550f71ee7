"""Say how little is known of the depth of joints that one camera alone sees.

There the lift of that camera is all there is, and its error is the same from instant to instant:
seeing it again and again makes nobody surer. An update takes every lift as news; what it says of
the depth is widened here again, so that the person also follows the lift and does not stand still.
"""

import numpy as np
from jaxtyping import Bool, Float

from langpose_rt.fusion.people import UNWATCHED_M2_PER_S
from langpose_rt.fusion.triangulation import Triangulated

LIFT_DEPTH_SHARE = 0.15
"""Standard deviation of a person's distance in a monocular lift, as a share of it."""

_NO_LIFT_SIGMA_M = 0.3
"""About a limb: as far as a joint is from the body that holds it."""


def most_doubt(
    sigma_lift: Float[np.ndarray, "person camera joint"],
    root_lift_m: Float[np.ndarray, "person camera"],
    several: Bool[np.ndarray, " person"],
    least_m: Float[np.ndarray, " person"],
) -> Float[np.ndarray, "person joint"]:
    """Return the variance that a joint's depth has by the lift alone, in m^2.

    Args:
        sigma_lift: Of every joint relative to the body; NaN without a lift.
        root_lift_m: Distance of the body from each camera in its lift; NaN without one.
        several: Whose body several cameras hold; of the others its distance is the lift's.
        least_m: Whose lifted joints have been off so far.
    """
    sigma = np.where(np.isfinite(sigma_lift), sigma_lift, _NO_LIFT_SIGMA_M)
    sigma = np.maximum(sigma.min(1), least_m[:, None])
    lifted = np.isfinite(root_lift_m)
    away = np.where(lifted, root_lift_m, np.inf).min(1)
    body = np.where(several, 0.0, LIFT_DEPTH_SHARE * away)
    return np.asarray(sigma**2 + (body**2)[:, None])


def learn_doubt(
    variance_m2: Float[np.ndarray, "person joint"],
    measured: Bool[np.ndarray, "person joint"],
    most_m2: Float[np.ndarray, "person joint"],
    dt_s: float,
) -> None:
    """Follow, in place, the variance of depths: 0 while two views measure one, then it grows.

    Args:
        variance_m2: Changed in place.
        measured: Joints that two views or more hold.
        most_m2: As far as it grows.
        dt_s: Time since the instant before.
    """
    variance_m2 += dt_s * UNWATCHED_M2_PER_S
    np.minimum(variance_m2, most_m2, out=variance_m2)
    variance_m2[measured] = 0.0


def doubt_depth(
    fused: Triangulated,
    seen: Bool[np.ndarray, "person camera"],
    origin: Float[np.ndarray, "camera 3"],
    variance_m2: Float[np.ndarray, "person joint"],
) -> Float[np.ndarray, "person joint 3 3"]:
    """Return the covariances, widened along the rays of joints that one camera holds.

    Those are joints with one view, and joints without any of a person whom one camera sees.

    Args:
        fused: The joints.
        seen: Which cameras see each person.
        origin: Where the cameras are.
        variance_m2: The least variance along the ray.
    """
    count = fused.used.sum(1)
    alone = (count == 1) | ((count == 0) & (seen.sum(1) == 1)[:, None])
    person, joint = np.nonzero(alone & np.isfinite(fused.joints[..., 0]))
    if not len(person):
        return fused.covariance_m2
    used = fused.used[person, :, joint]
    camera = np.where(used.any(1), used.argmax(1), seen[person].argmax(1))
    ray = fused.joints[person, joint] - origin[camera]
    ray /= np.linalg.norm(ray, axis=1, keepdims=True)
    spread = fused.covariance_m2[person, joint]
    along = ((spread @ ray[..., None])[..., 0] * ray).sum(-1)
    missing = np.maximum(variance_m2[person, joint] - along, 0.0)
    widened = fused.covariance_m2.copy()
    widened[person, joint] += missing[:, None, None] * ray[:, :, None] * ray[:, None]
    return widened
