"""CUDA graphs: what a stream is given is recorded once and launched as one.

Capture belongs to the stream, not to the library that fills it, so one implementation serves
PyCUDA (which has none), TensorRT and our own launches.
"""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from langpose_rt.errors import BackendError

Work = Callable[[], None]
"""Enqueues something."""


class Graph:
    """A recording of what some work enqueued.

    Args:
        work: Everything it enqueues goes to the stream. It has run once before, so that nothing is
            allocated any more.
        stream: Not the default one; the context is entered.

    Raises:
        BackendError: If the driver cannot, or cuda.bindings is missing.
    """

    def __init__(self, work: Work, stream: int) -> None:
        if find_spec("cuda") is None:
            raise BackendError("cuda-bindings is not installed")
        from cuda.bindings import driver as cuda

        from langpose_rt.runtime.cuda.cuda_bindings import asked

        self._cuda, self._asked, self._stream = cuda, asked, stream
        mode = cuda.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        asked(cuda.cuStreamBeginCapture(stream, mode), "beginning a graph")
        try:
            work()
        except Exception:
            cuda.cuStreamEndCapture(stream)  # leaves the stream as it was
            raise
        graph = asked(cuda.cuStreamEndCapture(stream), "recording a graph")
        try:
            self._executable: Any = asked(cuda.cuGraphInstantiate(graph, 0), "making a graph")
        finally:
            cuda.cuGraphDestroy(graph)

    def launch(self) -> None:
        """Enqueue all of it at once."""
        self._asked(self._cuda.cuGraphLaunch(self._executable, self._stream), "launching a graph")

    def close(self) -> None:
        """Free it; the context is entered."""
        self._cuda.cuGraphExecDestroy(self._executable)
