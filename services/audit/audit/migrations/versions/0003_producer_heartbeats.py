"""Last messages of producers, shared by replicas; counts of rejected messages, and their claimed sources."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

APP = "audit_app"


def upgrade() -> None:
    _rejections()
    _signs()
    _silences()


def downgrade() -> None:
    raise NotImplementedError("forward only")


def _rejections() -> None:
    op.execute("ALTER TABLE rejected ADD COLUMN source text")
    op.execute("""
        CREATE TABLE rejection_counts (
            topic text NOT NULL,
            reason text NOT NULL,
            day date NOT NULL,
            count bigint NOT NULL,
            CONSTRAINT rejection_counts_pkey PRIMARY KEY (topic, reason, day)
        )""")
    op.execute("""
        CREATE FUNCTION count_rejected(topic text, reason text, day date, more bigint) RETURNS bigint
        LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
            INSERT INTO rejection_counts AS c VALUES ($1, $2, $3, $4)
            ON CONFLICT ON CONSTRAINT rejection_counts_pkey DO UPDATE SET count = c.count + greatest($4, 0)
            RETURNING c.count
        $$""")
    op.execute("REVOKE ALL ON FUNCTION count_rejected(text, text, date, bigint) FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION count_rejected(text, text, date, bigint) TO {APP}")
    op.execute(f"GRANT SELECT ON rejection_counts TO {APP}")


def _signs() -> None:
    op.execute("""
        CREATE TABLE signs (
            source text CONSTRAINT signs_pkey PRIMARY KEY,
            number bigint NOT NULL,
            beats boolean NOT NULL,
            watched_from timestamptz NOT NULL,
            heard_at timestamptz
        )""")
    # The latest message of all replicas; a later call never lowers it.
    op.execute("""
        CREATE FUNCTION note_signs(sources text[], numbers bigint[], beats boolean[], times timestamptz[]) RETURNS void
        LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
            INSERT INTO signs AS s
            SELECT n.source, n.number, n.beats, n.at, n.at
            FROM unnest($1, $2, $3, $4) AS n (source, number, beats, at) ORDER BY n.source
            ON CONFLICT ON CONSTRAINT signs_pkey DO UPDATE SET
                number = greatest(s.number, excluded.number),
                beats = s.beats OR excluded.beats,
                heard_at = greatest(s.heard_at, excluded.heard_at)
        $$""")
    op.execute("""
        CREATE FUNCTION watch_for(sources text[], since timestamptz) RETURNS void
        LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
            INSERT INTO signs AS s SELECT n.source, 0, true, $2, NULL FROM unnest($1) AS n (source) ORDER BY n.source
            ON CONFLICT ON CONSTRAINT signs_pkey DO UPDATE SET beats = true WHERE NOT s.beats
        $$""")
    for function in (
        "note_signs(text[], bigint[], boolean[], timestamptz[])",
        "watch_for(text[], timestamptz)",
    ):
        op.execute(f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION {function} TO {APP}")
    op.execute(f"GRANT SELECT ON signs TO {APP}")


def _silences() -> None:
    op.execute("""
        CREATE TABLE silences (
            source text NOT NULL,
            last_heard_at timestamptz NOT NULL,
            found_at timestamptz NOT NULL,
            CONSTRAINT silences_pkey PRIMARY KEY (source, last_heard_at)
        )""")
    op.execute("""
        CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON silences
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()""")
    op.execute("ALTER TABLE silences ENABLE ALWAYS TRIGGER refuse_change")
    op.execute(f"GRANT SELECT, INSERT ON silences TO {APP}")
