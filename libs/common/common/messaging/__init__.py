"""Events between services: the bus and its two implementations, outbox, relay, inbox, dead letters."""
