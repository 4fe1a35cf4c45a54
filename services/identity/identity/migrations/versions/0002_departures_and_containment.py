"""Departures, handovers, policies, containment, published keys."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE policy_versions (
            name text NOT NULL,
            version integer NOT NULL CONSTRAINT policy_versions_version_check CHECK (version > 0),
            value bigint NOT NULL CONSTRAINT policy_versions_value_check CHECK (value >= 0),
            effective_from timestamptz NOT NULL,
            basis text NOT NULL,
            set_by text NOT NULL,
            set_at timestamptz NOT NULL,
            CONSTRAINT policy_versions_pkey PRIMARY KEY (name, version)
        )""")
    op.execute("CREATE TABLE published_keys (kid text CONSTRAINT published_keys_pkey PRIMARY KEY, jwk jsonb NOT NULL)")
    op.execute("""
        CREATE TABLE departures (
            id uuid CONSTRAINT departures_pkey PRIMARY KEY,
            account_id uuid NOT NULL CONSTRAINT departures_account_id_key UNIQUE
                CONSTRAINT departures_account_id_fkey REFERENCES accounts (id),
            unit_id uuid NOT NULL CONSTRAINT departures_unit_id_fkey REFERENCES units (id),
            kind text NOT NULL CONSTRAINT departures_kind_check CHECK (kind IN ('transfer', 'departure')),
            left_at timestamptz NOT NULL,
            reported_at timestamptz NOT NULL,
            reported_by uuid NOT NULL CONSTRAINT departures_reported_by_fkey REFERENCES accounts (id),
            state text NOT NULL CONSTRAINT departures_state_check
                CHECK (state IN ('reported', 'account-cancelled', 'closed')),
            cancelled_at timestamptz,
            cancelled_by uuid CONSTRAINT departures_cancelled_by_fkey REFERENCES accounts (id),
            closed_at timestamptz,
            CONSTRAINT departures_hands_check CHECK (reported_by <> account_id AND cancelled_by <> account_id),
            CONSTRAINT departures_cancelled_check
                CHECK ((state = 'reported') = (cancelled_at IS NULL) AND (cancelled_at IS NULL) = (cancelled_by IS NULL)),
            CONSTRAINT departures_closed_check CHECK ((state = 'closed') = (closed_at IS NOT NULL))
        )""")
    op.execute("CREATE INDEX departures_unit_id_idx ON departures (unit_id)")
    op.execute("""
        CREATE TABLE handovers (
            id uuid CONSTRAINT handovers_pkey PRIMARY KEY,
            departure_id uuid NOT NULL CONSTRAINT handovers_departure_id_key UNIQUE
                CONSTRAINT handovers_departure_id_fkey REFERENCES departures (id),
            account_id uuid NOT NULL CONSTRAINT handovers_account_id_fkey REFERENCES accounts (id),
            unit_id uuid NOT NULL CONSTRAINT handovers_unit_id_fkey REFERENCES units (id),
            opened_at timestamptz NOT NULL,
            state text NOT NULL CONSTRAINT handovers_state_check CHECK (state IN ('opened', 'listed', 'completed')),
            listed_at timestamptz,
            completed_at timestamptz,
            countersigned_by uuid CONSTRAINT handovers_countersigned_by_fkey REFERENCES accounts (id),
            CONSTRAINT handovers_hands_check CHECK (countersigned_by <> account_id),
            CONSTRAINT handovers_listed_check CHECK ((state = 'opened') = (listed_at IS NULL)),
            CONSTRAINT handovers_completed_check
                CHECK ((state = 'completed') = (completed_at IS NOT NULL)
                       AND (completed_at IS NULL) = (countersigned_by IS NULL))
        )""")
    op.execute("CREATE INDEX handovers_unit_id_idx ON handovers (unit_id)")
    op.execute("""
        CREATE TABLE handover_items (
            id uuid CONSTRAINT handover_items_pkey PRIMARY KEY,
            handover_id uuid NOT NULL CONSTRAINT handover_items_handover_id_fkey REFERENCES handovers (id),
            source text NOT NULL,
            kind text NOT NULL,
            reference text NOT NULL,
            details jsonb NOT NULL,
            outcome text CONSTRAINT handover_items_outcome_check CHECK (outcome IN ('taken-over', 'destroyed')),
            settled_by uuid CONSTRAINT handover_items_settled_by_fkey REFERENCES accounts (id),
            settled_at timestamptz,
            note text,
            CONSTRAINT handover_items_handover_id_source_kind_reference_key UNIQUE (handover_id, source, kind, reference),
            CONSTRAINT handover_items_settled_check
                CHECK ((outcome IS NULL) = (settled_by IS NULL) AND (outcome IS NULL) = (settled_at IS NULL)),
            CONSTRAINT handover_items_destroyed_check CHECK (outcome <> 'destroyed' OR note IS NOT NULL)
        )""")
    op.execute("""
        CREATE TABLE containments (
            order_id uuid CONSTRAINT containments_pkey PRIMARY KEY,
            executor text NOT NULL,
            target_kind text NOT NULL,
            target_id uuid NOT NULL,
            ordered_at timestamptz NOT NULL,
            cutoff_id uuid CONSTRAINT containments_cutoff_id_fkey REFERENCES cutoffs (id),
            epoch_before integer,
            confirmed_at timestamptz,
            lifted_at timestamptz,
            CONSTRAINT containments_cutoff_check CHECK ((cutoff_id IS NULL) = (epoch_before IS NULL))
        )""")
    op.execute("CREATE INDEX containments_cutoff_id_idx ON containments (cutoff_id)")
    op.execute("GRANT SELECT, INSERT ON policy_versions, published_keys TO identity_app")
    op.execute("GRANT SELECT, INSERT, UPDATE ON departures, handovers, handover_items, containments TO identity_app")
