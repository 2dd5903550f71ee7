"""What goes wrong while serving: counted, and said as events.

Who is forgotten for it is the pipeline's business.
"""

from collections.abc import Callable

from langpose_rt.errors import BackendError, MessageError
from langpose_rt.monitoring.announcer import Announcer
from langpose_rt.monitoring.counters import Stats
from langpose_rt.protocol.header import RejectReason
from langpose_rt.protocol.poses import ModelStamp

FAILURES_IN_A_ROW = 3
"""A backend that fails so often in a row is not expected to recover by itself."""


class FaultReporter:
    """Counts and says what went wrong.

    Args:
        stats: Where it is counted.
        bulletin: Where it is said.

    Attributes:
        failures: Computations of the backend that have failed since the last that did not.
    """

    def __init__(self, stats: Stats, announcer: Announcer) -> None:
        self._stats, self._announcer = stats, announcer
        self.failures = 0

    @property
    def stats(self) -> Stats:
        """Where it is counted."""
        return self._stats

    @property
    def persist(self) -> bool:
        """Whether the backend is not expected to recover by itself."""
        return self.failures >= FAILURES_IN_A_ROW

    def backend_failed(self, error: BackendError) -> None:
        """A step was not computed."""
        self.failures += 1
        self._stats.add("backend_errors")
        self._announcer.report("fault", "backend_error", str(error))

    def guard_reset(self, forget: Callable[[], None]) -> None:
        """Forget people; a backend that cannot is counted, and their windows expire by age."""
        try:
            forget()
        except BackendError as error:
            self._stats.add("reset_errors")
            self._announcer.report("fault", "reset_error", str(error))

    def slots_refused(self, refused: int, slots: int) -> None:
        """So many people were refused a slot in all; says those that are new."""
        if new := refused - self._stats.slots_refused:
            self._stats.add("slots_refused", new)
            detail = f"all {slots} slots are taken; people are left out"
            self._announcer.report("shed", "no_slot", detail, count=new)

    def people_reset(self, count: int) -> None:
        """The backend gave numbers for these people that are no pose."""
        if count:
            self._stats.add("forgotten", count)
            detail = "the model gave impossible numbers; these people begin anew"
            self._announcer.report("fault", "impossible_numbers", detail, count=count)

    def unsendable(self, error: MessageError, topic: str) -> None:
        """Poses could not be made a message."""
        self._stats.add("unsendable")
        self._announcer.report("fault", error.reason, error.detail, topic)

    def handshake_rejected(self, reason: RejectReason, detail: str) -> None:
        """Somebody was not let in."""
        self._stats.reject(reason.value)
        self._announcer.report("reject", reason.value, detail)

    def rigs_reconnected(self, renewed: int, fallen: list[str]) -> None:
        """So many rigs that bind were connected to anew; these have only now fallen silent."""
        self._stats.add("reconnects", renewed)
        for endpoint in fallen:
            detail = f"{endpoint} is silent; the server connects to it anew until it is heard"
            self._announcer.report("rig", "silent", detail)

    def fault(self, detail: str) -> None:
        """A fault of this program cost one message or step."""
        self._stats.add("internal_errors")
        self._announcer.report("fault", "internal_error", detail)

    def model_changed(self, model: ModelStamp) -> None:
        """Another model answers, or the same one opened anew."""
        self.failures = 0
        self._stats.add("reloads")
        what = f"{model.id} {model.sha256[:12]}, {model.precision} on {model.backend}"
        self._announcer.report("model", "changed", f"{what}, answers from now on")

    def model_refused(self, sentence: str) -> None:
        """A model that was to answer cannot; the one before it goes on."""
        self._stats.add("reloads_refused")
        self._announcer.report("model", "model_refused", sentence)

    def recording_ended(self, reason: str, detail: str) -> None:
        """There is no more recording from here on."""
        self._announcer.report("record", reason, detail)
