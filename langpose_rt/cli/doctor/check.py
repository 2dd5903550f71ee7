"""Check result of the doctor: name, verdict, finding and advice."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from langpose_rt.cli.terminal.printable import printable
from langpose_rt.errors import LangPoseError

Verdict = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, kw_only=True)
class Check:
    """Result of one check.

    Args:
        name: Subject of the check.
        verdict: "ok"; "warn" if it serves, but worse than it could; "fail" if it cannot serve.
        found: The finding, one line.
        advice: Next step, with a command where there is one.
    """

    name: str
    verdict: Verdict
    found: str
    advice: str = ""


def guarded(name: str, check: Callable[[], list[Check]]) -> list[Check]:
    """Run a check; an unexpected exception becomes its result."""
    try:
        found = check()
    except LangPoseError as error:
        found = [Check(name=name, verdict="fail", found=str(error))]
    except ImportError as error:
        text = f"needs {error.name}, which does not load: {error}"
        advice = "the line 'packages' says what to install"
        found = [Check(name=name, verdict="fail", found=text, advice=advice)]
    except Exception as error:  # noqa: BLE001 - the other checks still have to run
        advice = "this is a mistake of the doctor; please report this line"
        text = f"the check itself failed: {type(error).__name__}: {error}"
        found = [Check(name=name, verdict="fail", found=text, advice=advice)]
    return [_without_private_paths(one) for one in found]


def _without_private_paths(check: Check) -> Check:
    """Return the check on one line, without the paths of working and home directory."""
    found, advice = (_shortened(text) for text in (check.found, check.advice))
    return Check(name=check.name, verdict=check.verdict, found=found, advice=advice)


def _shortened(text: str) -> str:
    for place, short in ((str(Path.cwd()), "."), (str(Path.home()), "~")):
        if place != "/":
            text = text.replace(place, short)
    return printable(" ".join(text.split()))
