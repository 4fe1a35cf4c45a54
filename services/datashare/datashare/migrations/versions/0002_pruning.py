"""Creates the function that prunes expired rows of outbox, inbox and idempotency."""

from common.storage.migrations import create_prune

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    create_prune("datashare_app")
