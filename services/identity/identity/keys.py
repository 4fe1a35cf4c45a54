"""Publishes the key with which access tokens are verified, on the feed that every point loads before it serves."""

from sqlalchemy import Text
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.orm import Mapped, mapped_column

from common import outbox
from common.feed import VerificationKey
from common.runtime import Runtime
from common.tokens import SigningKey
from identity.tables import Base

__all__ = ["PublishedKey", "publish_key"]


class PublishedKey(Base):
    """A verification key that went to the feed."""

    __tablename__ = "published_keys"

    kid: Mapped[str] = mapped_column(Text, primary_key=True)
    jwk: Mapped[dict[str, object]] = mapped_column(JSONB)


async def publish_key(runtime: Runtime, key: SigningKey) -> None:
    """Put the public half of `key` on the feed, once."""
    async with runtime.database.transaction() as session:
        row = insert(PublishedKey).values(kid=key.kid, jwk=key.public_jwk)
        fresh = await session.scalar(row.on_conflict_do_nothing().returning(PublishedKey.kid))
        if fresh:
            entry = VerificationKey(kid=key.kid, jwk=key.public_jwk)
            outbox.add_entry(session, entry, at=runtime.clock.now())
