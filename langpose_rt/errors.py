"""Exceptions that langpose-rt raises on purpose.

    LangPoseError
    ├── ConfigError      a wrong option, file or calibration; found before anything starts
    │   └── ModelError   a missing, damaged or mismatched model
    ├── BuildError       an engine that could not be built, or failed its acceptance
    ├── MessageError     a message from the network is invalid; only that message is dropped
    └── BackendError     the backend that computes poses failed while running

Messages are lower case: what was found, what was expected, and what to do next.
"""

from dataclasses import dataclass


class LangPoseError(Exception):
    """Base of all errors raised on purpose; the command line prints it as one line."""

    exit_code = 1


class ConfigError(LangPoseError):
    """A wrong option, file or calibration, found before anything starts."""

    exit_code = 2


class ModelError(ConfigError):
    """A model that is missing, damaged, or does not match its manifest."""


class BuildError(LangPoseError):
    """An engine that could not be built, or failed its acceptance."""


@dataclass
class MessageError(LangPoseError):
    """A message from the network is invalid.

    Args:
        reason: Short snake_case label, the name of the counter and the event.
        detail: One readable sentence: what was found and what was expected.
    """

    reason: str
    detail: str

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


class BackendError(LangPoseError):
    """The backend that computes poses failed while running."""
