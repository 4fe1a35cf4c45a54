"""Identifiers that sort by the time at which they were made."""

import os
import time
from uuid import UUID

__all__ = ["new_id"]


def new_id() -> UUID:
    """Return a new UUID version 7 (RFC 9562 §5.7): 48 bits of Unix milliseconds, then random bits."""
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=value)
