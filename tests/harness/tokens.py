"""Access tokens and the revocation feed as identity makes them, for whatever runs without identity."""

from datetime import datetime

from common.enforcement.revocation_feed import Heartbeat, VerificationKey
from common.enforcement.tokens import SigningKey, sign
from common.ids import new_id
from common.messaging.bus import Bus, Message
from common.messaging.topics import FEED_TOPIC

ISSUER = "https://xindun.local"


def access_token(key: SigningKey, now: datetime, subject: str, *, term: int = 600, **claims) -> str:
    """Sign a token that lives `term` seconds; `claims` replace or complete the usual ones."""
    at = int(now.timestamp())
    usual = {"iss": ISSUER, "aud": "xindun", "sub": subject, "epc": 0, "perms": [], "jti": str(new_id())}
    return sign(key, usual | {"iat": at, "nbf": at, "exp": at + term} | claims)


async def publish_feed(bus: Bus, *entries) -> None:
    await bus.publish([Message(FEED_TOPIC, entry.key, entry.to_bytes()) for entry in entries])


async def publish_key(bus: Bus, key: SigningKey, now: datetime) -> None:
    """Publish what a point needs before it accepts tokens: the verification key and a heartbeat."""
    await publish_feed(bus, VerificationKey(kid=key.kid, jwk=key.public_jwk), Heartbeat(at=now))
