"""The interface of detectors, and that their install commands leave one OpenCV."""

import importlib.util
import re
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from langpose_rt.capture.detector import INSTALL, Detector
from langpose_rt.capture.rtmlib_detector import RtmlibDetector
from langpose_rt.cli.doctor.installation import OPENCV, declared_requirements, parted_requirements

EXTRAS = {"rtmlib": "rig", "mediapipe": "rig-mediapipe"}
NOT_TO_RUN = {"jax", "jaxlib", "sounddevice"}
"""What MediaPipe declares and its pose model does not import."""


def test_a_detector_is_anything_with_a_format_that_takes_a_picture() -> None:
    assert isinstance(RtmlibDetector(None, "coco17", 17), Detector)
    assert not isinstance(np.zeros(3), Detector)


@pytest.mark.parametrize("name", INSTALL)
def test_a_detector_is_installed_without_its_opencv(name: str) -> None:
    assert f'pip install ".[{EXTRAS[name]}]"' in INSTALL[name]
    assert re.search(rf"--no-deps {name}\b", INSTALL[name])
    _, extras = parted_requirements(declared_requirements())
    assert not [text for text in extras[EXTRAS[name]] if re.match("opencv", text)]


@pytest.mark.parametrize("name", INSTALL)
def test_the_extra_holds_whatever_else_the_detector_declares(name: str) -> None:
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed: {INSTALL[name]}")
    names = {re.split(r"[^\w-]", text)[0] for text in metadata.requires(name) or []}
    needed, extras = parted_requirements(declared_requirements())
    ours = {re.split(r"[^\w-]", text)[0] for text in (*needed, *extras[EXTRAS[name]])}
    assert names - set(OPENCV) - NOT_TO_RUN - {"pytest"} <= ours


def test_importing_the_interface_imports_no_detector() -> None:
    assert Path(sys.modules[Detector.__module__].__file__ or "").name == "detector.py"
    assert not {"cv2", "rtmlib", "mediapipe"} & vars(sys.modules[Detector.__module__]).keys()
