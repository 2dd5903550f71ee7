"""Choice of a detector: by name, or the first one that is installed."""

import importlib.util
from dataclasses import dataclass, field, fields
from typing import Literal

from langpose_rt.capture.detector import INSTALL, Detector, Device, Kind, Mode
from langpose_rt.errors import ConfigError

Name = Literal["auto", "rtmlib", "mediapipe"]


@dataclass(frozen=True, kw_only=True)
class DetectorConfig:
    """Options of the detector that finds people in pictures.

    Args:
        detector: Program that finds the keypoints.
        keypoints: Keypoints that rtmlib finds.
        mode: Size of rtmlib's models.
        device: What runs rtmlib's models.

    Raises:
        ConfigError: If an option of rtmlib is given for MediaPipe.
    """

    detector: Name = field(
        default="auto",
        metadata={
            "help": "rtmlib finds everybody and downloads its models; mediapipe finds one person, "
            "its model comes with it; auto takes the first one that is installed"
        },
    )
    keypoints: Kind = field(default="body", metadata={"help": "of rtmlib: 17, 26 or 133 keypoints"})
    mode: Mode = field(default="lightweight", metadata={"help": "size of rtmlib's models"})
    device: Device = field(default="cpu", metadata={"help": "what runs rtmlib's models"})

    def __post_init__(self) -> None:
        if self.detector != "mediapipe":
            return
        for option in fields(self)[1:]:
            if getattr(self, option.name) != option.default:
                raise ConfigError(
                    f"--{option.name} is an option of rtmlib, not of mediapipe; leave it out, or "
                    "choose --detector rtmlib"
                )


def detector_from_config(config: DetectorConfig) -> Detector:
    """Open a detector.

    Raises:
        ConfigError: If it is not installed.
        LangPoseError: If its models cannot be loaded.
    """
    if installed_detector(config) == "mediapipe":
        from langpose_rt.capture.mediapipe_detector import MediapipeDetector

        return MediapipeDetector()
    from langpose_rt.capture.rtmlib_detector import open_rtmlib

    return open_rtmlib(config.keypoints, config.mode, config.device)


def installed_detector(config: DetectorConfig) -> str:
    """Return the name of the detector to open: the chosen one, or the first that is installed.

    Raises:
        ConfigError: If none is installed.
    """
    names = [config.detector] if config.detector != "auto" else list(INSTALL)
    for name in names:
        if importlib.util.find_spec(name) is not None:
            return name
    ways = ", or ".join(f"'{INSTALL[name]}'" for name in names)
    raise ConfigError(
        f"finding people in pictures needs {' or '.join(names)}, which is not installed; "
        f"install it from the checkout with {ways}"
    )
