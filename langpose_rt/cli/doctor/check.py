"""One line of the doctor: what was looked at, what was found, and what to do next."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from langpose_rt.errors import LangPoseError

Verdict = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, kw_only=True)
class Check:
    """What was found of one thing.

    Args:
        name: Of the thing.
        verdict: "ok"; "warn" if it serves, but worse than it could; "fail" if it cannot serve.
        found: One line.
        advice: What to do next, with a command where there is one.
    """

    name: str
    verdict: Verdict
    found: str
    advice: str = ""


def guarded(name: str, look: Callable[[], list[Check]]) -> list[Check]:
    """What a look finds; one that fails in an unforeseen way has found just that."""
    try:
        found = look()
    except LangPoseError as error:
        found = [Check(name=name, verdict="fail", found=str(error))]
    except ImportError as error:
        text = f"needs {error.name}, which does not load: {error}"
        advice = "the line 'packages' says what to install"
        found = [Check(name=name, verdict="fail", found=text, advice=advice)]
    except Exception as error:  # noqa: BLE001 - a doctor that dies says nothing of the rest
        advice = "this is a mistake of the doctor; please report this line"
        text = f"the check itself failed: {type(error).__name__}: {error}"
        found = [Check(name=name, verdict="fail", found=text, advice=advice)]
    return [_discreet(check) for check in found]


def _discreet(check: Check) -> Check:
    """The same on one line, and without where this person keeps files."""
    found, advice = (_without_places(text) for text in (check.found, check.advice))
    return Check(name=check.name, verdict=check.verdict, found=found, advice=advice)


def _without_places(text: str) -> str:
    for place, short in ((str(Path.cwd()), "."), (str(Path.home()), "~")):
        if place != "/":
            text = text.replace(place, short)
    return " ".join(text.split())
