"""Runs a service's migrations as its owner role, one runner at a time, and holds the tables that every service has."""

from ssl import SSLContext

from alembic import command, context, op
from alembic.config import Config
from sqlalchemy import Connection, pool, text
from sqlalchemy.ext.asyncio import create_async_engine


async def migrate(owner_url: str, service: str, *, tls: SSLContext | None = None) -> None:
    """Bring the database of `service` to its newest version; safe when several processes do it at once."""
    config = Config()
    config.set_main_option("script_location", f"{service}:migrations")
    config.set_main_option("path_separator", "os")

    def upgrade(connection: Connection) -> None:
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('xindun.migrate'))"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

    engine = create_async_engine(owner_url, poolclass=pool.NullPool, connect_args={"ssl": tls or False})
    try:
        async with engine.begin() as connection:
            await connection.run_sync(upgrade)
    finally:
        await engine.dispose()


def run_migrations() -> None:
    """Run the migrations on the connection that `migrate` holds: all that a service's `env.py` does."""
    context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()


def create_outbox(serving_role: str) -> None:
    """Create the outbox as of version 1: the serving role can add and read, and take part in relaying through two functions."""
    op.execute("""
        CREATE TABLE outbox (
            id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT outbox_pkey PRIMARY KEY,
            topic text NOT NULL,
            key text NOT NULL,
            body bytea NOT NULL,
            sequence bigint CONSTRAINT outbox_sequence_key UNIQUE,
            created_at timestamptz NOT NULL,
            published_at timestamptz
        )""")
    op.execute("CREATE INDEX outbox_unpublished_idx ON outbox (id) WHERE published_at IS NULL")
    op.execute("CREATE TABLE outbox_counter (last bigint NOT NULL)")
    op.execute("CREATE UNIQUE INDEX outbox_counter_one_idx ON outbox_counter ((true))")
    op.execute("INSERT INTO outbox_counter VALUES (0)")
    op.execute("""
        CREATE FUNCTION outbox_notify() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_notify('outbox', '');
            RETURN NULL;
        END $$""")
    op.execute("""
        CREATE TRIGGER outbox_notify AFTER INSERT ON outbox
        FOR EACH STATEMENT EXECUTE FUNCTION outbox_notify()""")
    # Numbers in the order of ids among what is committed now; entries of the feed carry no number.
    op.execute("""
        CREATE FUNCTION relay_take(most integer)
        RETURNS TABLE (id bigint, topic text, key text, body bytea, sequence bigint, created_at timestamptz)
        LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
            WITH batch AS (
                SELECT o.id, o.topic, o.sequence FROM outbox o
                WHERE o.published_at IS NULL ORDER BY o.id LIMIT most
            ), fresh AS (
                SELECT b.id, row_number() OVER (ORDER BY b.id) AS n FROM batch b
                WHERE b.sequence IS NULL AND b.topic <> 'xindun.feed'
            ), counter AS (
                UPDATE outbox_counter SET last = last + (SELECT count(*) FROM fresh)
                WHERE EXISTS (SELECT FROM fresh)
                RETURNING last - (SELECT count(*) FROM fresh) AS base
            ), numbered AS (
                UPDATE outbox o SET sequence = counter.base + fresh.n
                FROM fresh, counter WHERE o.id = fresh.id
                RETURNING o.id, o.sequence
            )
            SELECT o.id, o.topic, o.key, o.body, coalesce(n.sequence, o.sequence), o.created_at
            FROM batch b JOIN outbox o ON o.id = b.id LEFT JOIN numbered n ON n.id = b.id
            ORDER BY o.id
        $$""")
    # Only what has its number can be marked: what was never published leaves a gap that audit sees.
    op.execute("""
        CREATE FUNCTION relay_done(ids bigint[]) RETURNS void
        LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
            UPDATE outbox SET published_at = now()
            WHERE id = ANY (ids) AND published_at IS NULL AND (sequence IS NOT NULL OR topic = 'xindun.feed')
        $$""")
    op.execute("REVOKE ALL ON FUNCTION relay_take(integer), relay_done(bigint[]) FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION relay_take(integer), relay_done(bigint[]) TO {serving_role}")
    op.execute(f"GRANT SELECT, INSERT (topic, key, body, created_at) ON outbox TO {serving_role}")
    op.execute(f"GRANT SELECT ON outbox_counter TO {serving_role}")


def create_inbox(serving_role: str) -> None:
    """Create the inbox as of version 1."""
    op.execute("""
        CREATE TABLE inbox (
            message_id uuid CONSTRAINT inbox_pkey PRIMARY KEY,
            topic text NOT NULL,
            key text NOT NULL,
            type text NOT NULL,
            status text NOT NULL CONSTRAINT inbox_status_check
                CHECK (status IN ('done', 'waiting', 'dead', 'dropped')),
            attempts integer NOT NULL DEFAULT 0,
            next_attempt_at timestamptz,
            error text,
            payload bytea,
            received_at timestamptz NOT NULL,
            settled_by text,
            reason text,
            arrival bigint GENERATED ALWAYS AS IDENTITY,
            CONSTRAINT inbox_payload_check CHECK ((status IN ('waiting', 'dead')) <= (payload IS NOT NULL)),
            CONSTRAINT inbox_dropped_check CHECK ((status = 'dropped') <= (reason IS NOT NULL AND settled_by IS NOT NULL))
        )""")
    op.execute("CREATE INDEX inbox_waiting_idx ON inbox (topic, key, arrival) WHERE status = 'waiting'")
    op.execute("CREATE INDEX inbox_dead_idx ON inbox (arrival) WHERE status = 'dead'")
    op.execute(f"GRANT SELECT, INSERT, UPDATE ON inbox TO {serving_role}")


def create_idempotency(serving_role: str) -> None:
    """Create the table of answers to repeatable writes as of version 1."""
    op.execute("""
        CREATE TABLE idempotency (
            actor text NOT NULL,
            key text NOT NULL,
            fingerprint bytea NOT NULL,
            status integer,
            media_type text,
            body bytea,
            created_at timestamptz NOT NULL,
            CONSTRAINT idempotency_pkey PRIMARY KEY (actor, key)
        )""")
    op.execute(f"GRANT SELECT, INSERT, UPDATE ON idempotency TO {serving_role}")


def create_prune(serving_role: str, *, inbox: bool = True, idempotency: bool = True) -> None:
    """Create `prune` as of version 1: it deletes rows that are past their use, and no younger ones.

    It reads the `most` oldest rows of each table only. Rows of the feed stay, but for those of sessions, which are
    past: the feed can be rebuilt from them. 30 days are what the topics keep; 45 days are that, the segment
    in which a message may outlive it, and a margin: so old a message does not come again. 7 days is the life of a key.
    """
    tables = [
        """
            DELETE FROM outbox WHERE id IN (
                SELECT id FROM (
                    SELECT id, published_at FROM outbox
                    WHERE topic <> 'xindun.feed' OR key LIKE 'session:%' ORDER BY id LIMIT most
                ) oldest
                WHERE published_at < now() - greatest(outbox_kept, interval '30 days')
            )"""
    ]
    if inbox:
        tables.append("""
            DELETE FROM inbox WHERE message_id IN (
                SELECT message_id FROM (
                    SELECT message_id, received_at FROM inbox WHERE status = 'done' ORDER BY message_id LIMIT most
                ) oldest
                WHERE received_at < now() - interval '45 days'
            )""")
    if idempotency:
        op.execute("CREATE INDEX idempotency_created_at_idx ON idempotency (created_at)")
        tables.append("""
            DELETE FROM idempotency WHERE ctid IN (
                SELECT ctid FROM idempotency WHERE created_at < now() - interval '7 days' ORDER BY created_at LIMIT most
            )""")
    counted = "".join(
        f"{deletion};\n            GET DIAGNOSTICS n = ROW_COUNT;\n            total := total + n;"
        for deletion in tables
    )
    op.execute(f"""
        CREATE FUNCTION prune(outbox_kept interval, most integer) RETURNS integer
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
        DECLARE
            n integer;
            total integer := 0;
        BEGIN{counted}
            RETURN total;
        END $$""")
    op.execute("REVOKE ALL ON FUNCTION prune(interval, integer) FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION prune(interval, integer) TO {serving_role}")
