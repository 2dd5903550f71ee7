"""CUDA graphs: capture the work of a stream and launch it as a whole.

Capture is a property of the stream, not of the library that enqueues, so one implementation serves
PyCUDA (which has none), TensorRT and the kernel launches here.
"""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from langpose_rt.errors import BackendError

Work = Callable[[], None]
"""Enqueues work on a stream."""


class Graph:
    """CUDA graph captured from a stream.

    Args:
        work: Enqueues only on the stream. It has run before, so that it allocates nothing during
            capture.
        stream: Stream other than the default one; the context is entered.

    Raises:
        BackendError: If the driver cannot capture, or cuda.bindings is missing.
    """

    def __init__(self, work: Work, stream: int) -> None:
        if find_spec("cuda") is None:
            raise BackendError("cuda-bindings is not installed")
        from cuda.bindings import driver as cuda

        from langpose_rt.runtime.cuda.cuda_bindings import checked

        self._cuda, self._checked, self._stream = cuda, checked, stream
        mode = cuda.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        checked(cuda.cuStreamBeginCapture(stream, mode), "beginning a graph")
        try:
            work()
        except Exception:
            cuda.cuStreamEndCapture(stream)  # restores the stream
            raise
        graph = checked(cuda.cuStreamEndCapture(stream), "recording a graph")
        try:
            self._executable: Any = checked(cuda.cuGraphInstantiate(graph, 0), "making a graph")
        finally:
            cuda.cuGraphDestroy(graph)

    def launch(self) -> None:
        """Enqueue the graph."""
        self._checked(self._cuda.cuGraphLaunch(self._executable, self._stream), "launching a graph")

    def close(self) -> None:
        """Free the graph; the context is entered."""
        self._cuda.cuGraphExecDestroy(self._executable)
