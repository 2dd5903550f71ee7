"""Measure the structure of the package: its largest folder, and the files one frame goes through.

    python -m tests.structure [--json]

A real server with the model that ships runs between real sockets. Its ingest and lift threads are
profiled while one frame of a stream that is known already passes.
"""

import json
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from langpose_rt.pipeline.batch_lifter import LiftResult
from langpose_rt.pipeline.camera_stream import PersonBatch, TrackedFrame
from langpose_rt.pipeline.config import PipelineConfig
from langpose_rt.pipeline.frame_queue import Frame
from langpose_rt.protocol.messages import KeypointMessage, PoseMessage
from langpose_rt.runtime.registry import open_backend
from langpose_rt.server.config import ServerConfig
from langpose_rt.server.server import Server
from tests.fakes import keypoint_parts, person_px
from tests.peers import next_of, peers

PACKAGE = Path(__file__).parents[1] / "langpose_rt"
SERVING = ("protocol", "pipeline", "server", "monitoring")
"""Packages of which a reader opens every file on the path of a frame."""

FORMS = (KeypointMessage, Frame, TrackedFrame, PersonBatch, LiftResult, PoseMessage)
"""Types that a frame has on its way; its first and last form are the parts of a message."""


@dataclass(frozen=True)
class FramePath:
    """Files of the package that one frame goes through, relative to it.

    Attributes:
        path: Files with a function that is given the frame, in one of its forms, and gives it on:
            to the caller, or to another function of the package. In the order of the first call.
        beside: Other files that run on the way: state, counters, arithmetic, and taps that
            take a copy.
    """

    path: tuple[str, ...]
    beside: tuple[str, ...]

    def count(self) -> int:
        """Number of files of the serving packages on the path."""
        return sum(name.split("/")[0] in SERVING for name in self.path)


def modules_by_folder() -> Counter[str]:
    """Count the modules of every folder of the package; __init__.py is none."""
    files = (path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")
    return Counter(path.parent.relative_to(PACKAGE.parent).as_posix() for path in files)


def frame_path() -> FramePath:
    """Send frames through a real server and profile its threads for one of them."""
    profile = _Profile()
    with profile.of_new_threads():
        pipeline = PipelineConfig(max_wait_ms=10_000.0)
        server = Server(open_backend(None, "onnx"), ServerConfig(port=0, pipeline=pipeline))
        server.start()
    try:
        with peers() as others:
            rig = others.publisher(server.ports.keypoints)
            consumer = others.subscriber(server.ports.poses, b"pose3d/")
            for seq in range(3):
                with profile.recording() if seq == 2 else nullcontext():
                    rig.send_multipart(keypoint_parts(person_px((0, 0, 4)), seq=seq, t_ms=20 * seq))
                    next_of(consumer, b"pose3d/")
    finally:
        server.stop()
    return profile.result()


class _Profile:
    """Profiler that follows the frame through the calls of several threads."""

    def __init__(self) -> None:
        self._generation = 0
        self._path: dict[str, None] = {}
        self._beside: dict[str, None] = {}
        self._stacks: dict[int, list[_Call]] = {}

    @contextmanager
    def of_new_threads(self) -> Iterator[None]:
        """Profile the threads that are started in the block."""
        threading.setprofile(self._note)
        try:
            yield
        finally:
            threading.setprofile(None)  # type: ignore[arg-type]  # None is how it is taken away

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record the files that run in the block; what is on the stack has no frame yet."""
        self._generation += 1
        try:
            yield
        finally:
            self._generation = 0

    def result(self) -> FramePath:
        """Return the files found."""
        beside = tuple(name for name in sorted(self._beside) if name not in self._path)
        return FramePath(tuple(self._path), beside)

    def _note(self, frame: FrameType, event: str, value: Any) -> None:
        name = _name_of(frame) if event in {"call", "return"} else None
        if name is None:
            return
        stack = self._stacks.setdefault(threading.get_ident(), [])
        if event == "call":
            call = _Call(frame, name)
            if self._generation:
                self._note_call(stack, call)
            stack.append(call)
        elif stack and stack[-1].frame is frame:
            call = stack.pop()
            if self._generation:
                self._note_return(stack, call, value)

    def _note_call(self, above: "list[_Call]", call: "_Call") -> None:
        generation = self._generation
        if any(map(_is_frame, list(call.frame.f_locals.values()))):
            call.generation = generation
            if above and above[-1].generation == generation:
                self._path.setdefault(above[-1].name)
        if any(caller.generation == generation for caller in above):
            self._beside.setdefault(call.name)

    def _note_return(self, above: "list[_Call]", call: "_Call", value: Any) -> None:
        generation = self._generation
        if _is_frame(value) or (call.generation == generation and value is not None):
            self._path.setdefault(call.name)
        if _is_frame(value) and above:
            above[-1].generation = generation


@dataclass
class _Call:
    """Call of a function of the package.

    Attributes:
        generation: Of the recording in which the function was given the frame.
    """

    frame: FrameType
    name: str
    generation: int = -1


def _name_of(frame: FrameType) -> str | None:
    path = Path(frame.f_code.co_filename)
    return path.relative_to(PACKAGE).as_posix() if path.is_relative_to(PACKAGE) else None


def _is_frame(value: Any, depth: int = 3) -> bool:
    """Return True for a form of the frame, or a container with one."""
    if isinstance(value, FORMS):
        return True
    if isinstance(value, bytes):
        return value.startswith((b"kp2d/", b"pose3d/")) or b"\xa4lprt" in value[:16]
    if depth and isinstance(value, list | tuple):
        return any(_is_frame(item, depth - 1) for item in value)
    return False


TEXT = """\
largest folder: {folder}, {modules} of {all_modules} modules

one frame goes through {count} files of {packages}:
{path}
Counted is every file with a function that is given the frame (as parts of a message or as
{forms})
and gives it on. The frame is not the first of its stream, whose camera is looked up too, in
pipeline/camera_lookup.py and protocol/camera_info.py.

Beside the path, and not counted, run {beside_count} files of the same packages, with state,
counters, arithmetic on arrays, and taps that take a copy:
{beside}
Below the pipeline, each package one box for the reader: {below}"""


def report(found: FramePath, folders: Counter[str]) -> str:
    """Return the printed text."""
    (largest, modules), *_ = folders.most_common(1)
    beside = [name for name in found.beside if name.split("/")[0] in SERVING]
    below = Counter(name.split("/")[0] for name in found.beside if name not in beside)
    return TEXT.format(
        folder=largest,
        modules=modules,
        all_modules=sum(folders.values()),
        count=found.count(),
        packages=", ".join(SERVING),
        path="".join(f"  {name}\n" for name in found.path),
        forms=", ".join(form.__name__ for form in FORMS),
        beside_count=len(beside),
        beside="".join(f"  {name}\n" for name in beside),
        below=", ".join(f"{package} ({count} files)" for package, count in sorted(below.items())),
    )


def main(arguments: Sequence[str] = ()) -> None:
    """Print the report, or with --json the two lists of files."""
    assert list(arguments) in ([], ["--json"]), f"got {arguments}, expected nothing or --json"
    found = frame_path()
    print(json.dumps(asdict(found)) if arguments else report(found, modules_by_folder()))


if __name__ == "__main__":
    main(sys.argv[1:])
