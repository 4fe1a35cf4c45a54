"""What the toy says, and what it hears from the asker; declared only while its tests run."""

from common.contracts.topics import TOPICS
from common.messaging.events import REGISTRY, DeadLetterDecision, Event, Refusal
from common.messaging.topics import Topic, events_topic, receipts_topic

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
    topic.name: topic
    for topic in (
        Topic(events_topic("toy"), owner="toy", partitions=4),
        Topic(events_topic("asker"), owner="asker", partitions=4),
        Topic(receipts_topic("toy"), owner="toy"),
    )
}


def declare() -> None:
    REGISTRY.update(DECLARED)
    TOPICS.update(THEIR_TOPICS)


def take_back() -> None:
    for type_ in DECLARED:
        del REGISTRY[type_]
    for topic in THEIR_TOPICS:
        del TOPICS[topic]
