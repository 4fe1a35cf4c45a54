"""Waits for conditions that announce themselves in no other way."""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

POLL_INTERVAL = 0.01
TIMEOUT = 30.0


async def eventually(condition: Callable[[], Any], *, timeout: float = TIMEOUT) -> Any:
    """Call `condition`, which may be async, until its result is true; return that result."""
    async with asyncio.timeout(timeout):
        while True:
            result = condition()
            if inspect.isawaitable(result):
                result = await result
            if result:
                return result
            await asyncio.sleep(POLL_INTERVAL)
