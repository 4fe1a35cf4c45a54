"""The log, its producers, and the exports of evidence: append-only tables."""

from alembic import op

from common.storage.migrations import create_outbox

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

APP = "audit_app"
KEPT = ("leaves", "tiles", "checkpoints", "rejected", "gaps", "watermarks", "evidence_exports")
"""Append-only tables: the serving role lacks the right to change them, and a trigger refuses changes by any role."""


def upgrade() -> None:
    _log()
    _producers()
    _evidence()
    create_outbox(APP)
    _walls()


def downgrade() -> None:
    raise NotImplementedError("forward only")


def _log() -> None:
    op.execute("""
        CREATE TABLE leaves (
            index bigint PRIMARY KEY CONSTRAINT leaves_index_check CHECK (index >= 0),
            message_id uuid NOT NULL UNIQUE,
            source text NOT NULL,
            sequence bigint NOT NULL CONSTRAINT leaves_sequence_check CHECK (sequence > 0),
            type text NOT NULL,
            subject text NOT NULL,
            time timestamptz NOT NULL,
            actor text,
            requestid text,
            logged_at timestamptz NOT NULL,
            body bytea NOT NULL CONSTRAINT leaves_body_check CHECK (octet_length(body) <= 65535),
            UNIQUE (source, sequence)
        )""")
    op.execute("CREATE INDEX leaves_subject_idx ON leaves (subject, index)")
    op.execute("CREATE INDEX leaves_type_idx ON leaves (type, index)")
    op.execute("CREATE INDEX leaves_actor_idx ON leaves (actor, index) WHERE actor IS NOT NULL")
    op.execute("CREATE INDEX leaves_requestid_idx ON leaves (requestid, index) WHERE requestid IS NOT NULL")
    op.execute("CREATE INDEX leaves_time_idx ON leaves USING brin (time)")
    # A grown partial tile is a new row: rows never change, and a wider tile begins with the narrower one.
    op.execute("""
        CREATE TABLE tiles (
            level smallint NOT NULL,
            index bigint NOT NULL,
            width smallint NOT NULL CONSTRAINT tiles_width_check CHECK (width BETWEEN 1 AND 256),
            data bytea NOT NULL,
            CONSTRAINT tiles_pkey PRIMARY KEY (level, index, width),
            CONSTRAINT tiles_data_check CHECK (octet_length(data) = width * 32)
        )""")
    # Hashes do not compress.
    op.execute("ALTER TABLE tiles ALTER COLUMN data SET STORAGE EXTERNAL")
    op.execute("""
        CREATE TABLE checkpoints (
            size bigint PRIMARY KEY CONSTRAINT checkpoints_size_check CHECK (size >= 0),
            root bytea NOT NULL CONSTRAINT checkpoints_root_check CHECK (octet_length(root) = 32),
            note text NOT NULL,
            signed_at timestamptz NOT NULL
        )""")
    op.execute("""
        CREATE TABLE rejected (
            id uuid PRIMARY KEY,
            topic text NOT NULL,
            digest bytea NOT NULL CONSTRAINT rejected_digest_check CHECK (octet_length(digest) = 32),
            bytes bigint NOT NULL,
            reason text NOT NULL,
            rejected_at timestamptz NOT NULL,
            UNIQUE (topic, digest, reason)
        )""")


def _producers() -> None:
    op.execute("""
        CREATE TABLE gaps (
            source text NOT NULL,
            after bigint NOT NULL,
            before bigint NOT NULL,
            found_at timestamptz NOT NULL,
            CONSTRAINT gaps_pkey PRIMARY KEY (source, after),
            CONSTRAINT gaps_missing_check CHECK (after >= 0 AND before > after + 1)
        )""")
    op.execute("""
        CREATE TABLE watermarks (
            source text NOT NULL,
            number bigint NOT NULL,
            at timestamptz NOT NULL,
            CONSTRAINT watermarks_pkey PRIMARY KEY (source, number)
        )""")


def _evidence() -> None:
    op.execute("""
        CREATE TABLE evidence_exports (
            id uuid PRIMARY KEY,
            exported_by text NOT NULL,
            purpose text NOT NULL,
            scope jsonb NOT NULL,
            size bigint NOT NULL,
            records bigint NOT NULL CONSTRAINT evidence_exports_records_check CHECK (records > 0),
            complete boolean NOT NULL,
            digest text NOT NULL,
            exported_at timestamptz NOT NULL
        )""")


def _walls() -> None:
    op.execute("""
        CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'the rows of % are never changed', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
        END $$""")
    for table in KEPT:
        op.execute(f"""
            CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
            FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()""")
        op.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER refuse_change")
    op.execute(f"GRANT SELECT, INSERT ON {', '.join(KEPT)} TO {APP}")
