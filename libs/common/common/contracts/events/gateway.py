"""Events of the gateway. It has no database: it numbers its events per process start, under its own source."""

from common.messaging.events import Event, Refusal

PUBLISHER = "gateway"


class AccessRefused(Refusal, Event, publisher=PUBLISHER, name="access.refused", key="subject"):
    """A known subject was refused at the gateway; repeats within a second are counted in one event."""
