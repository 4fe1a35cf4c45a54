"""The audit service: a tamper-evident log of all events, and evidence from it."""
