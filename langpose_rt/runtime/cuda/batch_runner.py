"""Run batches of any size through step programs of fixed sizes: padding, chunks, CUDA graphs."""

import logging
from collections.abc import Mapping

import numpy as np

from langpose_rt.errors import BackendError
from langpose_rt.runtime.cuda.device_network import CapturedWork
from langpose_rt.runtime.cuda.step_programs import PROGRAMS, DeviceContext, StepMemory, StepProgram

PADDING_SLOT = -1
"""Slot of a padding row; the kernels skip negative slots."""

log = logging.getLogger(__name__)


class BatchRunner:
    """Runs step programs; all are built, run once and captured before the first step.

    Args:
        context: Device context of the programs; its driver is entered here and in every call.
        graphs: Launch captured CUDA graphs instead of single kernels.

    Attributes:
        graphs: True if graphs could be captured.
    """

    def __init__(self, context: DeviceContext, *, graphs: bool = True) -> None:
        self._context, self._sizes = context, context.network.sizes
        memory = StepMemory(context, self._sizes[-1])
        self._programs = {
            (name, size): StepProgram(name, size, context, memory)
            for size in self._sizes
            for name in PROGRAMS
        }
        self._captured: dict[tuple[str, int], CapturedWork] = {}
        self.graphs = False
        self._warm_up()
        if graphs:
            self._capture()

    @property
    def largest(self) -> int:
        """Largest batch size of a program."""
        return self._sizes[-1]

    def run(self, name: str, rows: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run a program for all rows, in chunks of the largest size.

        Args:
            name: One of PROGRAMS.
            rows: Its input arrays, one row per person, ``slots`` among them.

        Returns:
            Its output arrays, one row per person; new arrays.

        Raises:
            BackendError: If the device fails.
        """
        count = len(rows["slots"])
        if not count:
            outputs = self._programs[name, self._sizes[0]].outputs
            return {key: array[:0].copy() for key, array in outputs.items()}
        parts = [
            self._chunk(
                name, {key: value[start : start + self.largest] for key, value in rows.items()}
            )
            for start in range(0, count, self.largest)
        ]
        if len(parts) == 1:
            return parts[0]
        return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}

    def close(self) -> None:
        """Free the captured graphs."""
        for captured in self._captured.values():
            captured.close()
        self._captured.clear()

    def _chunk(self, name: str, rows: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        count = len(rows["slots"])
        size = next(size for size in self._sizes if size >= count)
        program = self._programs[name, size]
        for key, array in program.inputs.items():
            array[:count] = rows[key]
            array[count:] = PADDING_SLOT if key == "slots" else 0
        captured = self._captured.get((name, size))
        if captured is None:
            program.enqueue()
        else:
            captured.launch()
        self._context.driver.synchronize(self._context.stream)
        return {key: array[:count].copy() for key, array in program.outputs.items()}

    def _warm_up(self) -> None:
        """Run every program once on padding, so that libraries select kernels and allocate now."""
        for program in self._programs.values():
            for key, array in program.inputs.items():
                array[:] = PADDING_SLOT if key == "slots" else 0
            program.enqueue()
            self._context.driver.synchronize(self._context.stream)

    def _capture(self) -> None:
        """Capture all programs or none, so that latency is uniform over the batch sizes."""
        context = self._context
        try:
            for key, program in self._programs.items():
                self._captured[key] = context.network.capture(program.enqueue, context.stream)
        except BackendError as error:
            log.warning("no CUDA graphs, steps are enqueued piece by piece: %s", error)
            self.close()
        self.graphs = bool(self._captured)
