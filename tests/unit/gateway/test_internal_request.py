"""The gateway's own requests keep to ASGI: after the request there is nothing to receive."""

import asyncio

import pytest

from gateway.internal_request import get


async def test_a_slow_service_may_wait_for_a_disconnect_that_never_comes():
    async def app(_scope, receive, send):
        assert (await receive())["type"] == "http.request"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})

    assert await get(app, "/openapi.json") == (200, b"done")
