"""Wires identity: settings and a bus in, an app out."""

import asyncio
from importlib import import_module

from fastapi import FastAPI

from common.clock import Clock, SystemClock
from common.contracts.events.identity import AccessRefused
from common.enforcement.revocation_feed import Heartbeat
from common.messaging.bus import Bus, Message
from common.messaging.topics import FEED_TOPIC
from common.web.application import create_service
from identity.accounts.endpoints import routes as accounts
from identity.acknowledgements.endpoints import routes as acknowledgements
from identity.acknowledgements.service import confirm_cutoffs
from identity.departures.endpoints import routes as departures
from identity.feed.expiry import expire_feed_entries
from identity.feed.repair import repair_feed
from identity.handlers import handlers
from identity.handovers.endpoints import routes as handovers
from identity.policies.endpoints import routes as policies
from identity.policies.service import publish_first_versions
from identity.posts.endpoints import routes as posts
from identity.probes.endpoints import routes as probes
from identity.runtime import Runtime
from identity.sessions.endpoints import routes as sessions
from identity.settings import Settings
from identity.signing.endpoints import routes as signing
from identity.signing.service import publish_keys, rotate_signing_keys
from identity.systems.endpoints import routes as systems
from identity.tokens.endpoints import oauth_routes
from identity.tokens.endpoints import routes as tokens
from identity.training.endpoints import routes as training
from identity.units.endpoints import routes as units

ROUTERS = (
    oauth_routes,
    units,
    systems,
    posts,
    accounts,
    training,
    sessions,
    tokens,
    policies,
    departures,
    handovers,
    probes,
    signing,
    acknowledgements,
)


def create_app(settings: Settings, bus: Bus, *, clock: Clock | None = None) -> FastAPI:
    """Return identity's app."""
    return create_service(
        Runtime(settings, bus, clock or SystemClock()),
        routers=ROUTERS,
        refused=AccessRefused,
        handlers=handlers,
        prepare=_prepare,
        tasks=(_collect_receipts, confirm_cutoffs, rotate_signing_keys, repair_feed, expire_feed_entries),
        beats=(_feed_heartbeat,),
    )


async def _prepare(runtime: Runtime) -> None:
    asyncio.get_running_loop().run_in_executor(None, import_module, "identity.credentials.password_dictionary")
    await publish_keys(runtime)
    await publish_first_versions(runtime)


async def _collect_receipts(runtime: Runtime) -> None:
    await runtime.acknowledgements.run()


def _feed_heartbeat(runtime: Runtime) -> Message:
    entry = Heartbeat(at=runtime.clock.now())
    return Message(FEED_TOPIC, entry.key, entry.to_bytes())
