"""Follower: selection of one person, for receivers that show only one."""

from langpose_rt.protocol.messages import PoseMessage


class Follower:
    """Tracks one person until they are lost, then the next.

    Only one stream is followed, the first one that arrives: two cameras see every person twice.

    Args:
        person_id: Only this person; None for the first one.
    """

    def __init__(self, person_id: int | None = None) -> None:
        self._only = person_id
        self._id = person_id
        self._topic: str | None = None

    def accepts(self, message: PoseMessage) -> bool:
        """Return True if a message belongs to the followed stream."""
        if self._topic is None:
            self._topic = message.topic
        return message.topic == self._topic

    def person(self, message: PoseMessage) -> int | None:
        """Return the index of the followed person in a message; None if there is none."""
        here = {
            int(number): index
            for index, (number, state) in enumerate(zip(message.ids, message.state, strict=True))
            if state != "lost"
        }
        if self._id not in here and self._only is None and here:
            self._id = next(iter(here))
        return None if self._id is None else here.get(self._id)
