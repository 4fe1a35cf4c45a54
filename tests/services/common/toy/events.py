"""What the toy says, and what it hears from the asker; declared only while its tests run."""

from common.bus.topics import TOPICS, Topic, events_of
from common.events import REGISTRY, DeadLetterDecision, Event, Refusal

known = set(REGISTRY)


class ThingMade(Event, publisher="toy", name="thing.made", key="name"):
    name: str
    size: int = 0


class AccessRefused(Refusal, Event, publisher="toy", name="access.refused", key="subject"):
    pass


class DeadLetterSettled(DeadLetterDecision, Event, publisher="toy", name="dead-letter.settled", key="message_id"):
    pass


class QuestionAsked(Event, publisher="asker", name="question.asked", key="about"):
    about: str
    text: str = ""


DECLARED = {type_: REGISTRY.pop(type_) for type_ in set(REGISTRY) - known}
THEIR_TOPICS = {
    events_of(publisher): Topic(events_of(publisher), owner=publisher, partitions=4) for publisher in ("toy", "asker")
}


def declare() -> None:
    REGISTRY.update(DECLARED)
    TOPICS.update(THEIR_TOPICS)


def take_back() -> None:
    for type_ in DECLARED:
        del REGISTRY[type_]
    for topic in THEIR_TOPICS:
        del TOPICS[topic]
