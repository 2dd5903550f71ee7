"""Fault reporter: counts faults of the server and publishes them as events.

State reset after a fault is done by the pipeline.
"""

from collections.abc import Callable, Mapping

from langpose_rt.errors import BackendError, MessageError
from langpose_rt.monitoring.announcer import Announcer
from langpose_rt.monitoring.counters import Stats
from langpose_rt.protocol.header import RejectReason, topic_names, topic_of
from langpose_rt.protocol.poses import ModelStamp

FAILURES_IN_A_ROW = 3
"""A backend with so many failures in a row is not expected to recover by itself."""


class FaultReporter:
    """Counts and reports faults.

    Args:
        stats: Counters.
        announcer: Publishes events.

    Attributes:
        failures: Calls of the backend that have failed since the last success.
    """

    def __init__(self, stats: Stats, announcer: Announcer) -> None:
        self._stats, self._announcer = stats, announcer
        self.failures = 0

    @property
    def stats(self) -> Stats:
        """Counters of the server."""
        return self._stats

    @property
    def persist(self) -> bool:
        """True if the backend is not expected to recover by itself."""
        return self.failures >= FAILURES_IN_A_ROW

    def backend_failed(self, error: BackendError) -> None:
        """Report a step that the backend did not compute."""
        self.failures += 1
        self._stats.add("backend_errors")
        self._announcer.report("fault", "backend_error", str(error))

    def guard_reset(self, reset: Callable[[], None]) -> None:
        """Reset slots; a failing backend is reported, and their windows expire by age."""
        try:
            reset()
        except BackendError as error:
            self._stats.add("reset_errors")
            self._announcer.report("fault", "reset_error", str(error))

    def slots_refused(self, refused: Mapping[str, int], slots: int) -> None:
        """Report people without a slot, by the topic of their stream."""
        for topic, count in refused.items():
            self._stats.add("slots_refused", count)
            detail = (
                f"all {slots} slots are taken and this stream has its share; people are left out: "
                "serve with more --slots, or let the detector find fewer people"
            )
            self._announcer.report("shed", "no_slot", detail, topic, count)

    def ids_replaced(self, topic: str) -> None:
        """Report that the ids of a rig do not last and are the tracker's from now on."""
        detail = (
            "the ids of this rig change from frame to frame, so the server tracks the people "
            "itself; send ids that stay with a person, or -1"
        )
        self._announcer.report("suspect", "ids_do_not_last", detail, topic)

    def people_reset(self, count: int) -> None:
        """Report people for whom the backend gave impossible numbers."""
        if count:
            self._stats.add("forgotten", count)
            detail = "the model gave impossible numbers; these people begin again"
            self._announcer.report("fault", "impossible_numbers", detail, count=count)

    def unsendable(self, error: MessageError, topic: str) -> None:
        """Report poses that could not be encoded."""
        self._stats.add("unsendable")
        self._announcer.report("fault", error.reason, error.detail, topic)

    def peer_rejected(self, reason: RejectReason, detail: str) -> None:
        """Report a rejected handshake, or a peer that was cut."""
        self._stats.reject(reason.value)
        self._announcer.report("reject", reason.value, detail)

    def passed_over(self, topic: bytes) -> None:
        """Report a message that was not read because its sender had its share of the time.

        It does not count as a message, so that a recording of those that were read stays whole.
        """
        self._stats.reject(RejectReason.OVER_BUDGET.value)
        detail = (
            "the messages of this rig take more time than its share while others want it too, so "
            "some are passed over; send fewer people, msgpack instead of JSON, or what is accepted"
        )
        try:
            subject = topic_of("kp2d", *topic_names(topic, "kp2d", 2))
        except MessageError:
            subject = ""
        self._announcer.report("reject", RejectReason.OVER_BUDGET.value, detail, subject)

    def rigs_reconnected(self, count: int, fallen: list[str]) -> None:
        """Report reconnections to rigs that bind, and the rigs that have only now fallen silent."""
        self._stats.add("reconnects", count)
        for endpoint in fallen:
            detail = f"{endpoint} is silent; the server connects to it again until it is heard"
            self._announcer.report("rig", "silent", detail)

    def fault(self, detail: str) -> None:
        """Report an unexpected exception that cost one message or step."""
        self._stats.add("internal_errors")
        self._announcer.report("fault", "internal_error", detail)

    def model_changed(self, model: ModelStamp) -> None:
        """Report that another model, or the same one reopened, is active."""
        self.failures = 0
        self._stats.add("reloads")
        name = f"{model.id} {model.sha256[:12]}, {model.precision} on {model.backend}"
        self._announcer.report("model", "changed", f"{name}, is active from now on")

    def model_refused(self, sentence: str) -> None:
        """Report a model that cannot serve; the active one goes on."""
        self._stats.add("reloads_refused")
        self._announcer.report("model", "model_refused", sentence)

    def volume_event(self, topic: str, reason: str, detail: str) -> None:
        """Report an event of a capture volume, by the topic of its poses or of a stream."""
        self._announcer.report("volume", reason, detail, topic)

    def recording_ended(self, reason: str, detail: str) -> None:
        """Report that the recording has ended."""
        self._announcer.report("record", reason, detail)
