"""The two-person trial of four cameras as rigs send it, at any rate and delay of each camera."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from langpose_rt.formats.volume_calibration import VolumeCalibration, volumes_from_toml
from langpose_rt.protocol.messages import KeypointMessage, PoseMessage, encode_keypoints
from tests.fusion.rigs import TWO_PEOPLE

NS_PER_S = 1_000_000_000
BEGIN_NS = 1_700_000_000 * NS_PER_S
FRAMES = 100


def trial_volume(name: str = "stage") -> VolumeCalibration:
    """The calibration of the trial."""
    found = volumes_from_toml([TWO_PEOPLE.with_suffix(".toml")])[0]
    return VolumeCalibration(name=name, cameras=found.cameras, text=found.text)


@dataclass(frozen=True)
class Sent:
    """A message, and when it comes."""

    now_ns: int
    t_ns: int
    camera: str
    parts: list[bytes]


def trial_messages(
    *,
    rigs: Mapping[str, str] | None = None,
    every: Mapping[str, int] | None = None,
    delay_ms: Mapping[str, float] | None = None,
    begin_ns: int = BEGIN_NS,
    repeats: int = 1,
) -> list[Sent]:
    """Messages of all cameras in the order in which they come.

    Args:
        rigs: Rig of each camera; "rig0" by default.
        every: Cameras that send only one of so many frames.
        delay_ms: Time on the way of each camera's frames.
        begin_ns: Capture time of the first frame.
        repeats: How often the trial is played, forwards and backwards in turn.
    """
    rigs, every, delay_ms = rigs or {}, every or {}, delay_ms or {}
    volume = trial_volume()
    sent = []
    for number, (name, camera) in enumerate(volume.cameras.items()):
        lens = camera.intrinsics
        size = (round(lens.width_px), round(lens.height_px))
        for place, keypoints in enumerate(_frames(name, repeats)):
            if place % every.get(name, 1):
                continue
            t_ns = begin_ns + round(place * NS_PER_S / 60)
            now_ns = t_ns + round(1e6 * delay_ms.get(name, 1.0 + 0.1 * number))
            message = KeypointMessage(
                rig=rigs.get(name, "rig0"), camera=name, epoch=7 + number,
                seq=place // every.get(name, 1), t_ns=t_ns, skeleton="body25b", wh=size,
                keypoints=keypoints, ids=np.full(len(keypoints), -1, np.int64),
            )  # fmt: skip
            sent.append(Sent(now_ns, t_ns, name, encode_keypoints(message)))
    return sorted(sent, key=lambda one: one.now_ns)


def _frames(camera: str, repeats: int) -> Iterator[np.ndarray]:
    data = np.load(TWO_PEOPLE)[camera].astype(np.float32)
    for turn in range(repeats):
        for keypoints in data[:: 1 if turn % 2 == 0 else -1]:
            yield keypoints[(keypoints[..., 2] > 0).any(-1)]


def trial_errors(
    fused: list[PoseMessage], begin_ns: int = BEGIN_NS, *, skip: int = 0
) -> dict[int, tuple[float, set[int]]]:
    """Median distance in metres of both people from the published joints, and their ids.

    Of the first playing of the trial; frames before `skip` are left out. Errors are of the
    keypoints, interpolated in the truth at the instants that were fused.
    """
    data = np.load(TWO_PEOPLE)
    columns = data["trc_keypoints"]
    found: dict[int, tuple[float, set[int]]] = {}
    for person, truth in enumerate(data["trc"]):
        off, who = [], set()
        for message in fused:
            place = (message.t_srv - begin_ns) * 60 / NS_PER_S
            if not skip <= place <= FRAMES - 1 or not len(message.ids):
                continue
            assert message.keypoints is not None
            assert message.root is not None
            low = min(int(place), FRAMES - 2)
            joints = truth[low] + (truth[low + 1] - truth[low]) * (place - low)
            known = (message.keypoints[:, columns] != 0).any(-1)
            points = message.keypoints[:, columns, :3] + message.root[:, None]
            away = np.where(known, np.linalg.norm(points - joints, axis=-1), np.nan)
            nearest = int(np.nanmedian(away, axis=1).argmin())
            off.append(away[nearest])
            who.add(int(message.ids[nearest]))
        found[person] = (float(np.nanmedian(off)), who)
    return found
