"""Breaches, containment orders, probes, lifting, and the projections that they need."""

from alembic import op

from common.storage.migrations import create_idempotency, create_inbox, create_outbox

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

APP = "incident_app"


def upgrade() -> None:
    _projections()
    _breaches()
    _containment()
    _lifting()
    create_outbox(APP)
    create_inbox(APP)
    create_idempotency(APP)
    op.execute(f"GRANT SELECT, INSERT, UPDATE ON units, accounts, systems, grants TO {APP}")
    op.execute(f"GRANT SELECT, INSERT ON incidents, incident_facts, obligations, authority_reports TO {APP}")
    op.execute(f"GRANT UPDATE (version) ON incidents TO {APP}")
    op.execute(f"GRANT SELECT, INSERT ON containment_orders, containment_steps, probes, lift_proposals TO {APP}")
    op.execute(f"""
        GRANT UPDATE (state, attempts, next_at, give_up_at, grants, unprobed, confirmed_at, probed_at, lifted_at,
            restored_at, reopened_at)
        ON containment_orders TO {APP}""")
    op.execute(f"GRANT UPDATE (state, decided_by, decided_at) ON lift_proposals TO {APP}")


def downgrade() -> None:
    raise NotImplementedError("forward only")


def _projections() -> None:
    op.execute("CREATE TABLE units (id uuid PRIMARY KEY, status text NOT NULL, heard bigint NOT NULL)")
    for table in ("accounts", "systems"):
        op.execute(f"""
            CREATE TABLE {table} (id uuid PRIMARY KEY, unit uuid NOT NULL, status text NOT NULL, heard bigint NOT NULL)""")
    op.execute("CREATE INDEX systems_unit_idx ON systems (unit)")
    op.execute("""
        CREATE TABLE grants (
            id uuid PRIMARY KEY,
            unit uuid NOT NULL,
            status text NOT NULL,
            heard bigint NOT NULL,
            resource uuid,
            systems uuid[] NOT NULL DEFAULT '{}',
            purposes text[] NOT NULL DEFAULT '{}'
        )""")
    op.execute("CREATE INDEX grants_systems_idx ON grants USING gin (systems)")


def _breaches() -> None:
    op.execute("""
        CREATE TABLE incidents (
            id uuid PRIMARY KEY,
            kind text NOT NULL CONSTRAINT incidents_kind_check CHECK (kind IN ('leak', 'damage', 'loss', 'misuse')),
            description text NOT NULL,
            unit_id uuid,
            reporter_id uuid NOT NULL,
            reporter_unit uuid NOT NULL,
            reported_at timestamptz NOT NULL,
            version integer NOT NULL DEFAULT 1
        )""")
    op.execute("CREATE INDEX incidents_unit_id_idx ON incidents (unit_id, id)")
    op.execute("""
        CREATE TABLE incident_facts (
            id uuid PRIMARY KEY,
            incident_id uuid NOT NULL REFERENCES incidents,
            kind text NOT NULL
                CONSTRAINT incident_facts_kind_check CHECK (kind IN ('occurred', 'detected', 'aware', 'reported')),
            at timestamptz,
            recorded_by text NOT NULL,
            recorded_at timestamptz NOT NULL,
            supersedes uuid UNIQUE,
            reason text,
            CONSTRAINT incident_facts_correction_check CHECK ((supersedes IS NULL) = (reason IS NULL)),
            UNIQUE (id, incident_id, kind),
            -- A correction is of the same kind and incident as what it supersedes.
            CONSTRAINT incident_facts_supersedes_fkey
                FOREIGN KEY (supersedes, incident_id, kind) REFERENCES incident_facts (id, incident_id, kind)
        )""")
    op.execute("CREATE INDEX incident_facts_incident_id_idx ON incident_facts (incident_id)")
    # One chain per kind: only its first fact supersedes nothing.
    op.execute("""
        CREATE UNIQUE INDEX incident_facts_first_idx ON incident_facts (incident_id, kind) WHERE supersedes IS NULL""")
    op.execute("""
        CREATE TABLE obligations (
            id uuid PRIMARY KEY,
            incident_id uuid NOT NULL REFERENCES incidents,
            content text NOT NULL,
            clause text NOT NULL,
            basis text NOT NULL,
            policy text NOT NULL,
            policy_version integer NOT NULL,
            from_at timestamptz NOT NULL,
            due_at timestamptz NOT NULL,
            UNIQUE (incident_id, content),
            CONSTRAINT obligations_term_check CHECK (due_at >= from_at)
        )""")
    op.execute("""
        CREATE TABLE authority_reports (
            id uuid PRIMARY KEY,
            incident_id uuid NOT NULL REFERENCES incidents,
            content text NOT NULL,
            reported_by uuid NOT NULL,
            reported_at timestamptz NOT NULL
        )""")
    op.execute("CREATE INDEX authority_reports_incident_id_idx ON authority_reports (incident_id)")


def _containment() -> None:
    op.execute("""
        CREATE TABLE containment_orders (
            id uuid PRIMARY KEY,
            incident_id uuid NOT NULL REFERENCES incidents,
            executor text NOT NULL
                CONSTRAINT containment_orders_executor_check CHECK (executor IN ('identity', 'datashare')),
            measure text NOT NULL,
            target_kind text NOT NULL,
            target_id uuid NOT NULL,
            unit_id uuid NOT NULL,
            ordered_at timestamptz NOT NULL,
            give_up_at timestamptz,
            next_at timestamptz,
            state text NOT NULL CONSTRAINT containment_orders_state_check CHECK (state IN
                ('ordered', 'confirmed', 'probed', 'failed', 'lifted', 'restored', 'reopened', 'not-reopened')),
            attempts integer NOT NULL,
            grants uuid[] NOT NULL,
            confirmed_at timestamptz,
            probed_at timestamptz,
            lifted_at timestamptz,
            restored_at timestamptz,
            reopened_at timestamptz,
            unprobed text,
            CONSTRAINT containment_orders_once_key
                UNIQUE (incident_id, executor, measure, target_kind, target_id),
            CONSTRAINT containment_orders_measure_check CHECK (
                (executor = 'identity' AND measure = 'suspend-system' AND target_kind = 'system')
                OR (executor = 'identity' AND measure = 'suspend-account' AND target_kind = 'account')
                OR (executor = 'datashare' AND measure = 'suspend-grants' AND target_kind IN ('system', 'grant', 'unit'))),
            CONSTRAINT containment_orders_probed_check
                CHECK ((state = 'probed') <= (confirmed_at IS NOT NULL AND probed_at IS NOT NULL))
        )""")
    op.execute("CREATE INDEX containment_orders_next_at_idx ON containment_orders (next_at) WHERE next_at IS NOT NULL")
    op.execute("""
        CREATE TABLE containment_steps (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            order_id uuid NOT NULL REFERENCES containment_orders,
            state text NOT NULL,
            at timestamptz NOT NULL,
            detail text,
            effective_at timestamptz
        )""")
    op.execute("CREATE INDEX containment_steps_order_id_idx ON containment_steps (order_id)")
    op.execute("""
        CREATE TABLE probes (
            id uuid PRIMARY KEY,
            order_id uuid NOT NULL REFERENCES containment_orders,
            expectation text NOT NULL
                CONSTRAINT probes_expectation_check CHECK (expectation IN ('refused', 'allowed')),
            subject text,
            grant_id uuid,
            status integer NOT NULL,
            problem text,
            reason text,
            passed boolean NOT NULL,
            milliseconds integer NOT NULL,
            at timestamptz NOT NULL
        )""")
    op.execute("CREATE INDEX probes_order_id_idx ON probes (order_id)")


def _lifting() -> None:
    op.execute("""
        CREATE TABLE lift_proposals (
            id uuid PRIMARY KEY,
            incident_id uuid NOT NULL REFERENCES incidents,
            proposed_by uuid NOT NULL,
            reason text NOT NULL,
            proposed_at timestamptz NOT NULL,
            state text NOT NULL
                CONSTRAINT lift_proposals_state_check CHECK (state IN ('open', 'approved', 'withdrawn')),
            decided_by uuid,
            decided_at timestamptz,
            CONSTRAINT lift_proposals_decided_check
                CHECK ((state = 'open') = (decided_by IS NULL) AND (state = 'open') = (decided_at IS NULL)),
            CONSTRAINT lift_proposals_two_people_check CHECK ((state = 'approved') <= (decided_by <> proposed_by)),
            CONSTRAINT lift_proposals_withdrawn_check CHECK ((state = 'withdrawn') <= (decided_by = proposed_by))
        )""")
    op.execute("CREATE INDEX lift_proposals_incident_id_idx ON lift_proposals (incident_id)")
    op.execute("CREATE UNIQUE INDEX lift_proposals_open_idx ON lift_proposals (incident_id) WHERE state = 'open'")
