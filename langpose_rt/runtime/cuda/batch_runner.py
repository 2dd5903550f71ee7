"""Any number of people through programs of fixed batch sizes: padded up, in chunks, as graphs."""

import logging
from collections.abc import Mapping

import numpy as np

from langpose_rt.errors import BackendError
from langpose_rt.runtime.cuda.device_network import Recording
from langpose_rt.runtime.cuda.step_programs import PROGRAMS, Blocks, DeviceContext, StepProgram

PADDING_SLOT = -1
"""The slot of a padded row: its window does not exist."""

log = logging.getLogger(__name__)


class BatchRunner:
    """Runs programs; all of them are made, run once and recorded before the first step.

    Args:
        place: Where; its context is entered here and in every call.
        graphs: Whether to launch recordings instead of enqueueing piece by piece.

    Attributes:
        graphs: Whether it does.
    """

    def __init__(self, place: DeviceContext, *, graphs: bool = True) -> None:
        self._place, self._sizes = place, place.network.sizes
        blocks = Blocks(place, self._sizes[-1])
        self._programs = {
            (name, size): StepProgram(name, size, place, blocks)
            for size in self._sizes
            for name in PROGRAMS
        }
        self._recordings: dict[tuple[str, int], Recording] = {}
        self.graphs = False
        self._warm_up()
        if graphs:
            self._record()

    @property
    def largest(self) -> int:
        """People one program takes at most."""
        return self._sizes[-1]

    def run(self, name: str, rows: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run a program for all rows, in as many chunks as it takes.

        Args:
            name: One of PROGRAMS.
            rows: Its arrays, one row per person, ``slots`` among them.

        Returns:
            What it answers, one row per person; new arrays.

        Raises:
            BackendError: If the device fails.
        """
        count = len(rows["slots"])
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
        """Free the recordings."""
        for recording in self._recordings.values():
            recording.close()
        self._recordings.clear()

    def _chunk(self, name: str, rows: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        count = len(rows["slots"])
        size = next(size for size in self._sizes if size >= count)
        program = self._programs[name, size]
        for key, array in program.given.items():
            array[:count] = rows[key]
            array[count:] = PADDING_SLOT if key == "slots" else 0
        recording = self._recordings.get((name, size))
        if recording is None:
            program.enqueue()
        else:
            recording.launch()
        self._place.driver.synchronize(self._place.stream)
        return {key: array[:count].copy() for key, array in program.answer.items()}

    def _warm_up(self) -> None:
        """Everything once, for nobody: libraries choose and allocate now, not before people."""
        for program in self._programs.values():
            for key, array in program.given.items():
                array[:] = PADDING_SLOT if key == "slots" else 0
            program.enqueue()
            self._place.driver.synchronize(self._place.stream)

    def _record(self) -> None:
        """All or nothing, so that the speed of a step does not depend on who is in the room."""
        place = self._place
        try:
            for key, program in self._programs.items():
                self._recordings[key] = place.network.recorded(program.enqueue, place.stream)
        except BackendError as error:
            log.warning("no CUDA graphs, steps are enqueued piece by piece: %s", error)
            self.close()
        self.graphs = bool(self._recordings)
