"""Things that are made, and effects of received events."""

from alembic import op

from common.storage.migrations import create_idempotency, create_inbox, create_outbox

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE things (
            id uuid CONSTRAINT things_pkey PRIMARY KEY,
            name text NOT NULL CONSTRAINT things_name_key UNIQUE DEFERRABLE INITIALLY DEFERRED,
            size integer NOT NULL,
            version integer NOT NULL
        )""")
    op.execute("CREATE TABLE effects (n bigint GENERATED ALWAYS AS IDENTITY, message_id uuid, about text, text text)")
    op.execute("GRANT SELECT, INSERT, UPDATE ON things, effects TO toy_app")
    create_outbox("toy_app")
    create_inbox("toy_app")
    create_idempotency("toy_app")
