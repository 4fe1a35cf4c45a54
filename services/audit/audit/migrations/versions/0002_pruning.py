"""Pruning of expired rows."""

from common.storage.migrations import create_prune

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    create_prune("audit_app", inbox=False, idempotency=False)
