"""Verification keys rotate and retire; old rows are pruned."""

from alembic import op

from common.storage.migrations import create_prune

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute("""
        ALTER TABLE published_keys
            ADD COLUMN published_at timestamptz NOT NULL DEFAULT now(),
            ADD COLUMN signs_from timestamptz,
            ADD COLUMN needed_until timestamptz,
            ADD COLUMN retired_at timestamptz,
            ADD COLUMN retired_by text,
            ADD COLUMN retired_for text,
            ADD CONSTRAINT published_keys_signs_check CHECK ((signs_from IS NULL) = (needed_until IS NULL)),
            ADD CONSTRAINT published_keys_retired_check
                CHECK ((retired_at IS NULL) = (retired_by IS NULL) AND (retired_at IS NULL) = (retired_for IS NULL))""")
    # The previous version signs with the key it published, for an unknown time.
    op.execute("UPDATE published_keys SET signs_from = now(), needed_until = now() + interval '1 hour'")
    op.execute(
        "GRANT UPDATE (signs_from, needed_until, retired_at, retired_by, retired_for) ON published_keys TO identity_app"
    )
    create_prune("identity_app")
