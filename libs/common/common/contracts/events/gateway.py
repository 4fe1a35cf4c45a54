"""Events of the gateway. It has no database: it numbers its events per process start, under its own source."""

from common.messaging.events import Event, Refusal

PUBLISHER = "gateway"


class AccessRefused(Refusal, Event, publisher=PUBLISHER, name="access.refused", key="subject"):
    """The gateway refused a known subject; one event counts the repeats within a second."""
