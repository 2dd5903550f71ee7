"""One person out of many, for receivers that know only one."""

from langpose_rt.protocol.messages import PoseMessage


class Follower:
    """Stays with a person as long as they are there, then takes the next.

    The first stream that is heard is the one that is followed: two cameras see two of everybody.

    Args:
        person_id: Only this person; None for whoever is there first.
    """

    def __init__(self, person_id: int | None = None) -> None:
        self._only = person_id
        self._id = person_id
        self._topic: str | None = None

    def hears(self, message: PoseMessage) -> bool:
        """Whether a message is of the stream that is followed."""
        if self._topic is None:
            self._topic = message.topic
        return message.topic == self._topic

    def person(self, message: PoseMessage) -> int | None:
        """Index of the person in a message; None if nobody is there to follow."""
        here = {
            int(number): index
            for index, (number, state) in enumerate(zip(message.ids, message.state, strict=True))
            if state != "lost"
        }
        if self._id not in here and self._only is None and here:
            self._id = next(iter(here))
        return None if self._id is None else here.get(self._id)
