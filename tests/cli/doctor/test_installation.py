"""Check of the installation: versions against bounds, extras."""

import sys
from importlib import metadata

import pytest

from langpose_rt.cli.doctor import installation
from langpose_rt.cli.doctor.installation import (
    check_detectors,
    check_extension,
    check_opencv,
    check_packages,
    check_python,
    check_version,
    declared_requirements,
    parted_requirements,
)
from langpose_rt.extension import NOT_BUILT, OTHER_SOURCES


def test_requirements_are_those_of_the_checkout_and_hold_here() -> None:
    needed, extras = parted_requirements(declared_requirements())
    assert any(text.startswith("pyzmq") for text in needed)
    assert {"gpu", "rtx", "train", "view", "test"} <= extras.keys()
    packages, _ = check_packages()
    assert packages.verdict == "ok"
    assert f"numpy {metadata.version('numpy')}" in packages.found


def test_extras_are_told_apart_as_metadata_spells_them() -> None:
    needed, extras = parted_requirements(
        ["a>=1", 'tomli>=2; python_version < "3.11"', 'b>=2; extra == "gpu"', "c; extra == 'gpu'"]
    )
    assert needed == ["a>=1", 'tomli>=2; python_version < "3.11"']
    assert extras == {"gpu": ['b>=2; extra == "gpu"', "c; extra == 'gpu'"]}


def test_what_is_missing_or_too_old_is_named_with_what_was_expected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = ["numpy>=99", "no-such-thing>=1", "packaging>=1", "old>=1; python_version < '3'"]
    monkeypatch.setattr(installation, "declared_requirements", lambda: asked)
    packages, extras = check_packages()
    assert packages.verdict == "fail"
    expected = f"numpy is {metadata.version('numpy')}, expected >=99; no-such-thing is not"
    assert packages.found == expected + " installed"
    assert packages.advice == 'pip install "numpy>=99" "no-such-thing>=1"'
    assert extras.found == "none installed"


def test_an_extra_of_which_a_part_is_installed_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [
        "numpy; extra == 'one'", "old; python_version < '3' and extra == 'one'",
        "numpy; extra == 'two'", "no-such-thing; extra == 'two'",
        "no-such-thing; extra == 'three'",
    ]  # fmt: skip
    monkeypatch.setattr(installation, "declared_requirements", lambda: asked)
    version = metadata.version("numpy")
    assert check_packages()[1].found == f"one: numpy {version}; two in part: numpy {version}"


def test_detectors_are_named_or_how_to_install_one(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"mediapipe": "0.10.14"}
    monkeypatch.setattr(installation, "_version", versions.get)
    assert [check.found for check in check_detectors()] == ["mediapipe 0.10.14"]
    versions.clear()
    (check,) = check_detectors()
    assert check.verdict == "ok"
    assert "for cameras and videos only (pip install" in check.found


def test_numpy_instead_of_the_extension_is_something_to_look_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(installation, "why_no_extension", lambda: "")
    assert check_extension()[0].verdict == "ok"
    for reason in (NOT_BUILT, OTHER_SOURCES):
        monkeypatch.setattr(installation, "why_no_extension", lambda reason=reason: reason)
        (check,) = check_extension()
        assert check.verdict == "warn"
        assert check.found.startswith(reason)
        assert "g++" in check.advice


def test_version_and_python_are_said() -> None:
    assert check_version()[0].found.startswith("0.")
    assert check_python()[0].found[:2] == "3."


def test_several_opencvs_over_one_another_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_opencv()[0].verdict == "ok"
    version = installation._version
    both = {"opencv-contrib-python": "4.11.0", "opencv-python": "4.11.0"}
    monkeypatch.setattr(installation, "_version", lambda name: both.get(name) or version(name))
    (several,) = check_opencv()
    assert several.verdict == "warn"
    assert "opencv-python 4.11.0, opencv-contrib-python 4.11.0 over one another" in several.found
    assert several.advice.startswith("pip uninstall -y opencv-python-headless opencv-python ")
    assert several.advice.endswith("&& pip install --no-deps opencv-python-headless")


def test_an_opencv_that_does_not_load_cannot_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    (broken,) = check_opencv()
    assert broken.verdict == "fail"
    assert "import cv2 fails" in broken.found


def test_any_one_opencv_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    version = installation._version
    monkeypatch.setattr(
        installation,
        "_version",
        lambda name: (
            {"opencv-python-headless": None, "opencv-contrib-python": "4.11.0"}[name]
            if name in ("opencv-python-headless", "opencv-contrib-python")
            else version(name)
        ),
    )
    assert check_packages()[0].verdict == "ok"
    assert check_opencv()[0].found == "opencv-contrib-python 4.11.0"
