"""Drops the NOTIFY trigger of the outbox, which serialised commits; the process wakes its relay after the commit."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    # Compatible with the earlier version: its relay polls every two seconds.
    op.execute("DROP TRIGGER outbox_notify ON outbox")
    op.execute("DROP FUNCTION outbox_notify()")


def downgrade() -> None:
    raise NotImplementedError("forward only")
