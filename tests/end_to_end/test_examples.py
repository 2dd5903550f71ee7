"""The examples that ship, run as they are against a real server, Python and JavaScript alike."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from langpose_rt.protocol.messages import decode_pose
from tests.background import process
from tests.commands import ENVIRONMENT, ROOT
from tests.end_to_end.test_commands import PATIENT, serving
from tests.protocol.samples import golden_parts

EXAMPLES = ROOT / "langpose_rt" / "assets" / "examples"
NODE_MODULES = os.environ.get("LANGPOSE_NODE_MODULES", "")
"""Folder with npm's zeromq and @msgpack/msgpack; .ci/run installs them where there is npm."""


@contextlib.contextmanager
def running(
    name: str, server: str, folder: Path, *words_after: str
) -> Iterator["subprocess.Popen[str]"]:
    words = [sys.executable, str(EXAMPLES / name)]
    if name.endswith(".mjs"):
        if shutil.which("node") is None:
            pytest.skip("node is not on PATH")
        if not Path(NODE_MODULES, "zeromq").is_dir():
            pytest.skip("LANGPOSE_NODE_MODULES is no folder with npm's zeromq")
        if not (folder / "node_modules").exists():
            (folder / "node_modules").symlink_to(NODE_MODULES)
        words = ["node", str(shutil.copy(EXAMPLES / name, folder))]
    with process(
        [*words, server, *words_after],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    ) as example:
        yield example


@pytest.mark.parametrize(
    ("rig", "consumer"),
    [("rig.py", "consumer.py"), ("rig.mjs", "consumer.mjs"), ("rig.py", "consumer.mjs")],
)
def test_a_consumer_prints_what_a_rig_sends(
    model: Path, tmp_path: Path, rig: str, consumer: str
) -> None:
    with serving(model, *PATIENT) as (_, said):
        keypoints, poses = (f"tcp://127.0.0.1:{said[k]}" for k in ("port", "output_port"))
        with (
            running(consumer, poses, tmp_path) as reader,
            running(rig, keypoints, tmp_path) as sender,
        ):
            assert reader.stdout is not None
            lines = [reader.stdout.readline() for _ in range(5)]
            assert sender.poll() is None or sender.returncode == 0, sender.communicate()
    numbers = [float(line.split()[0].rstrip("n")) for line in lines]
    assert numbers == sorted(set(numbers)), lines
    for line in lines:
        assert "NaN" not in line
        assert "nan" not in line
        assert line.count("(") == 17 or consumer.endswith("mjs")


def test_javascript_reads_which_cameras_saw_a_fused_person(tmp_path: Path) -> None:
    """The golden message, published by a socket of the test."""
    parts = golden_parts("pose3d_fused")
    with zmq.Context() as context, context.socket(zmq.XPUB) as publisher:
        port = publisher.bind_to_random_port("tcp://127.0.0.1")
        where = f"tcp://127.0.0.1:{port}"
        with running("fused.mjs", where, tmp_path, "studio") as reader:
            assert publisher.poll(60_000)
            publisher.recv()
            publisher.send_multipart(parts)
            assert reader.stdout is not None
            first = reader.stdout.readline()
    message = decode_pose(parts)
    assert message.views is not None
    assert message.fused is not None
    seen = message.fused.cameras_in(message.views)[0, 0]
    names = " ".join(n for n, own in zip(message.fused.cameras, seen, strict=True) if own)
    assert first.rstrip("\n").endswith(f"seen by {names}")
    assert first.startswith(f"{message.src.seq} 0 hip")


@pytest.mark.parametrize("name", ["rig.py", "consumer.py", "rig.mjs", "consumer.mjs", "fused.mjs"])
def test_an_example_is_about_ten_lines(name: str) -> None:
    lines = (EXAMPLES / name).read_text().splitlines()
    code = [line for line in lines if line.strip() and not line.startswith(("//", '"""'))]
    assert len(code) <= 14
    assert all(len(line) <= 100 for line in lines), "it is read in a terminal"


@pytest.mark.parametrize("name", ["rig.py", "consumer.py"])
def test_the_readme_shows_the_very_examples(name: str) -> None:
    shown = (ROOT / "README.md").read_text().split(f"<!-- langpose_rt/assets/examples/{name} -->")
    assert shown[1].startswith(f"\n```python\n{(EXAMPLES / name).read_text()}```\n")
