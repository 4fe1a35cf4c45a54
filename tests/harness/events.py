"""Events as their publishers put them on the bus, and those that a service has published."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from common.ids import new_id
from common.messaging.bus import Message
from common.messaging.events import PREFIX, Envelope, Event
from common.messaging.topics import FEED_TOPIC, events_topic

PUBLISHED = f"SELECT body FROM outbox WHERE topic <> '{FEED_TOPIC}' ORDER BY id"
"""Every event of a service since its database is there, also those that the relay has not published yet."""


def message(event: Event, sequence: int, at: datetime, **changed: Any) -> Message:
    """Return the message of an event; `changed` replaces members of its envelope."""
    members = {
        "id": new_id(),
        "source": f"/{event.publisher}",
        "type": event.type,
        "subject": event.key,
        "time": at,
        "sequence": sequence,
        "data": event.model_dump(mode="json"),
    } | changed
    return Message(events_topic(event.publisher), event.key, Envelope(**members).to_bytes())


def select_events(bodies: Iterable[bytes], service: str, name: str, **members: Any) -> list[dict[str, Any]]:
    """Return the envelopes of the events with this name, such as `access.refused`, whose data has these members."""
    wanted = {key: str(value) if isinstance(value, UUID) else value for key, value in members.items()}
    envelopes = [orjson.loads(body) for body in bodies]
    type_ = f"{PREFIX}.{service}.{name}.v1"
    return [e for e in envelopes if e["type"] == type_ and wanted.items() <= e["data"].items()]
