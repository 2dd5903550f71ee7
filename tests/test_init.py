"""The public names of the package: there, typed by their homes, and loaded on first use only."""

import subprocess
import sys

import pytest

import langpose_rt

HEAVY = ("zmq", "numpy", "onnxruntime", "torch", "cv2")


def run(script: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.mark.parametrize("name", langpose_rt.__all__)
def test_a_public_name_is_the_one_of_its_module(name: str) -> None:
    found = getattr(langpose_rt, name)
    home = sys.modules[found.__module__]
    assert getattr(home, name) is found


def test_importing_the_package_loads_nothing_heavy() -> None:
    script = f"import sys, langpose_rt; print([m for m in {HEAVY} if m in sys.modules])"
    assert run(script) == "[]"


def test_the_pipeline_loads_no_socket_library() -> None:
    script = (
        "import sys, pkgutil, importlib, langpose_rt.pipeline as p\n"
        "for m in pkgutil.iter_modules(p.__path__):\n"
        "    importlib.import_module(f'{p.__name__}.{m.name}')\n"
        "print('zmq' in sys.modules)"
    )
    assert run(script) == "False"


def test_dir_lists_the_public_names() -> None:
    assert set(langpose_rt.__all__) <= set(dir(langpose_rt))


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'RigSubscriber'"):
        langpose_rt.RigSubscriber  # noqa: B018
