"""The choice of a detector, and what is said when there is none."""

import importlib.util
import sys
import types

import pytest

from langpose_rt.capture.detector_config import (
    DetectorConfig,
    detector_from_config,
    installed_detector,
)
from langpose_rt.capture.rtmlib_detector import RtmlibDetector
from langpose_rt.errors import ConfigError


def only(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Let these detectors, and no other, be installed."""
    real = importlib.util.find_spec

    def find(name: str, package: str | None = None) -> object:
        if name in ("rtmlib", "mediapipe"):
            return object() if name in names else None
        return real(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find)


@pytest.mark.parametrize(
    ("installed", "taken"),
    [
        (("rtmlib", "mediapipe"), "rtmlib"),
        (("rtmlib",), "rtmlib"),
        (("mediapipe",), "mediapipe"),
    ],
)
def test_without_a_choice_the_first_that_is_installed_is_taken(
    monkeypatch: pytest.MonkeyPatch, installed: tuple[str, ...], taken: str
) -> None:
    only(monkeypatch, *installed)
    assert installed_detector(DetectorConfig()) == taken


def test_a_choice_wins_over_what_else_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "rtmlib", "mediapipe")
    assert installed_detector(DetectorConfig(detector="mediapipe")) == "mediapipe"


@pytest.mark.parametrize("chosen", ["auto", "rtmlib", "mediapipe"])
def test_without_a_detector_the_sentence_says_how_to_install_one(
    monkeypatch: pytest.MonkeyPatch, chosen: str
) -> None:
    only(monkeypatch)
    with pytest.raises(ConfigError, match="not installed; install it from the checkout") as refused:
        detector_from_config(DetectorConfig(detector=chosen))  # type: ignore[arg-type]
    for name in ("rtmlib", "mediapipe"):
        assert (f"--no-deps {name}" in str(refused.value)) == (chosen in ("auto", name))


@pytest.mark.parametrize(
    ("option", "value"), [("keypoints", "feet"), ("mode", "balanced"), ("device", "cuda")]
)
def test_an_option_of_rtmlib_is_refused_for_mediapipe(option: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"--{option} is an option of rtmlib"):
        DetectorConfig(detector="mediapipe", **{option: value})
    assert getattr(DetectorConfig(**{option: value}), option) == value


def test_rtmlib_is_opened_with_the_options(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "rtmlib")
    module = types.ModuleType("rtmlib")
    opened = {}

    class Feet:
        det_model = pose_model = None

        def __init__(self, **options: object) -> None:
            opened.update(options)

    module.BodyWithFeet = Feet  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "rtmlib", module)
    detector = detector_from_config(DetectorConfig(keypoints="feet", mode="performance"))
    assert isinstance(detector, RtmlibDetector)
    assert detector.skeleton == "halpe26"
    assert opened == {"mode": "performance", "backend": "onnxruntime", "device": "cpu"}
