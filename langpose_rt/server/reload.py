"""Reloader: opens another model on a thread of its own and lets it replace the active one.

The active model serves until the new one is open, warmed up, and its windows are filled; the switch
is in `langpose_rt.pipeline.model_swap`. A model that keeps failing is reopened in the same way.
"""

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from langpose_rt.errors import ConfigError, LangPoseError
from langpose_rt.pipeline.model_swap import warm_up_backend
from langpose_rt.pipeline.pipeline import Pipeline
from langpose_rt.runtime.backend import Backend

OpenModel = Callable[[Path | None], Backend]
"""Opens the model of a folder, or for None the one the server was started with. It may return
another backend than the last time: one that has failed can be replaced by a slower one."""

FIRST_RETRY_S, LONGEST_RETRY_S = 1.0, 60.0
"""A model that keeps failing is reopened after this, then after twice as long, and so on."""

_IDLE_S = 0.1
_LONGEST_JOIN_S = 0.5

log = logging.getLogger(__name__)


class Reloader:
    """Changes the model of a pipeline while it serves.

    Args:
        pipeline: Owner of the model.
        open_model: Opens one with the slots, precision and threads of the first.
    """

    def __init__(self, pipeline: Pipeline, open_model: OpenModel | None) -> None:
        self._pipeline, self._open = pipeline, open_model
        self._folder: Path | None = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._retry_s, self._retry_at_s = FIRST_RETRY_S, 0.0

    def begin(self, folder: Path | None, on_end: Callable[[str | None], None]) -> bool:
        """Begin to change the model; return at once, False if a change is under way.

        Args:
            folder: Of the new model; None is the one the server was started with, read again.
            on_end: Called once, from another thread, with the error, or None once it is active.

        Raises:
            ConfigError: If there is no `open_model`.
        """
        if self._open is None:
            raise ConfigError("this server was not told how to open another model; restart it")
        if self._thread is not None and self._thread.is_alive():
            return False
        self._thread = threading.Thread(
            target=self._change, args=(self._open, folder, on_end), name="reload", daemon=True
        )
        self._thread.start()
        return True

    def retry_if_failing(self, now_s: float) -> None:
        """Reopen the model if it keeps failing; called regularly."""
        faults = self._pipeline.faults
        if self._open is None or now_s < self._retry_at_s:
            return
        if faults.failures == 0:
            self._retry_s = FIRST_RETRY_S
        elif faults.persist and self.begin(self._folder, lambda _: None):
            self._retry_at_s = now_s + self._retry_s
            self._retry_s = min(2 * self._retry_s, LONGEST_RETRY_S)

    def stop(self) -> None:
        """Cancel a change that is under way; one that is just reading files ends by itself."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(_LONGEST_JOIN_S)

    def _change(
        self, open_model: OpenModel, folder: Path | None, on_end: Callable[[str | None], None]
    ) -> None:
        reason: str | None = None
        try:
            self._replace(open_model(folder))
            self._folder = folder
        except LangPoseError as error:
            reason = str(error)
        except Exception as error:  # whatever it is, the model before goes on
            log.exception("a model could not be opened")
            reason = f"{type(error).__name__}: {error}"[:300]
        if reason is not None:
            log.warning("the model stays: %s", reason)
            self._pipeline.faults.model_refused(reason)
        on_end(reason)

    def _replace(self, backend: Backend) -> None:
        """Replace the active backend by another one, and close the one that is not used."""
        unused = backend
        try:
            slots = self._pipeline.model.slots
            if backend.slots != slots:
                raise ConfigError(f"the model was opened for {backend.slots} people, not {slots}")
            self._pipeline.check_model(backend.manifest)
            warm_up_backend(backend)
            shadow = self._pipeline.model.start_shadow(backend)
            while not (shadow.ended.is_set() or self._stopping.is_set()):
                shadow.run_queued(_IDLE_S)
            if shadow.error is not None:
                raise shadow.error
            if shadow.replaced is None:
                raise LangPoseError("the server ended before the model could answer")
            unused = shadow.replaced
        finally:
            unused.close()
