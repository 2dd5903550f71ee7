"""Every error that langpose-rt raises on purpose.

    LangPoseError
    ├── ConfigError      a wrong option, file or calibration; found before anything starts
    │   └── ModelError   a missing, damaged or mismatched model
    ├── BuildError       an engine that could not be built, or did not prove what it must
    ├── MessageError     one message from the network is not acceptable; costs that message
    └── BackendError     the thing that computes poses failed while running

Sentences are lower case and say what was found, what was expected, and what to do next.
"""

from dataclasses import dataclass


class LangPoseError(Exception):
    """Base of all errors raised on purpose; the command line prints it as one line."""

    exit_code = 1


class ConfigError(LangPoseError):
    """A wrong option, file or calibration, found before anything starts."""

    exit_code = 2


class ModelError(ConfigError):
    """A model that is missing, damaged, or not what its manifest says."""


class BuildError(LangPoseError):
    """An engine that could not be built, or did not prove what it must."""


@dataclass
class MessageError(LangPoseError):
    """One message from the network is not acceptable.

    Args:
        reason: Short snake_case label; it names the counter and the event.
        detail: One sentence for a person: what was found and what was expected.
    """

    reason: str
    detail: str

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


class BackendError(LangPoseError):
    """The backend that computes poses failed while running."""
