"""The tables of datashare's first version."""

from alembic import op

from common.storage.migrations import create_idempotency, create_inbox, create_outbox

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

APP = "datashare_app"


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS btree_gist")
    _projections()
    _resources()
    _openings_and_rules()
    _applications()
    _agreements()
    _grants()
    _use()
    create_outbox(APP)
    create_inbox(APP)
    create_idempotency(APP)


def _projections() -> None:
    # Projections of identity's events; no foreign keys, because events of different keys come in any order.
    op.execute("""
        CREATE TABLE units (
            id uuid PRIMARY KEY,
            kind text,
            name text,
            uscc text,
            suspended_for text[] NOT NULL DEFAULT '{}'
        )""")
    op.execute("""
        CREATE TABLE accounts (
            id uuid PRIMARY KEY,
            unit_id uuid NOT NULL,
            activated boolean NOT NULL DEFAULT false,
            revoked boolean NOT NULL DEFAULT false,
            suspended_for text[] NOT NULL DEFAULT '{}',
            trained_until timestamptz,
            undertaking_signed boolean NOT NULL DEFAULT false
        )""")
    op.execute("""
        CREATE TABLE appointments (
            id uuid PRIMARY KEY,
            account_id uuid NOT NULL,
            unit_id uuid NOT NULL,
            post text,
            permissions text[] NOT NULL DEFAULT '{}',
            ended boolean NOT NULL DEFAULT false
        )""")
    op.execute("CREATE INDEX appointments_account_id_idx ON appointments (account_id)")
    op.execute("""
        CREATE TABLE systems (
            id uuid PRIMARY KEY,
            unit_id uuid NOT NULL,
            name text,
            origins cidr[] NOT NULL DEFAULT '{}',
            responsible uuid,
            approved boolean NOT NULL DEFAULT false,
            decommissioned boolean NOT NULL DEFAULT false,
            suspended_for text[] NOT NULL DEFAULT '{}'
        )""")
    op.execute("CREATE INDEX systems_responsible_idx ON systems (responsible)")
    op.execute(f"GRANT SELECT, INSERT, UPDATE ON units, accounts, appointments, systems TO {APP}")


def _resources() -> None:
    op.execute("""
        CREATE TABLE resources (
            id uuid PRIMARY KEY,
            code text NOT NULL UNIQUE CHECK (code ~ '^[a-z][a-z0-9-]{1,62}$'),
            kind text NOT NULL CHECK (kind IN ('record', 'statistic', 'report')),
            title text NOT NULL,
            fields jsonb NOT NULL CHECK (jsonb_typeof(fields) = 'array'),
            subject_field text NOT NULL,
            name_field text NOT NULL,
            responsible_unit uuid NOT NULL,
            registered_by uuid NOT NULL,
            registered_at timestamptz NOT NULL
        )""")
    op.execute("""
        CREATE TABLE loads (
            id uuid PRIMARY KEY,
            resource_id uuid NOT NULL REFERENCES resources (id),
            digest text NOT NULL CHECK (digest ~ '^[0-9a-f]{64}$'),
            loaded integer NOT NULL CHECK (loaded >= 0),
            repeated integer NOT NULL CHECK (repeated >= 0),
            rejected integer NOT NULL CHECK (rejected >= 0),
            loaded_by uuid NOT NULL,
            loaded_at timestamptz NOT NULL,
            UNIQUE (resource_id, digest)
        )""")
    # The load's row is inserted last, when its digest and counts are known.
    op.execute("""
        CREATE TABLE records (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            resource_id uuid NOT NULL REFERENCES resources (id),
            load_id uuid NOT NULL REFERENCES loads (id) DEFERRABLE INITIALLY DEFERRED,
            subject text NOT NULL,
            subject_name text NOT NULL,
            data jsonb NOT NULL,
            digest bytea NOT NULL,
            UNIQUE (resource_id, digest)
        )""")
    op.execute("CREATE INDEX records_resource_id_id_idx ON records (resource_id, id)")
    op.execute("CREATE INDEX records_resource_id_subject_id_idx ON records (resource_id, subject, id)")
    op.execute("CREATE INDEX records_resource_id_subject_name_id_idx ON records (resource_id, subject_name, id)")
    op.execute("""
        CREATE TABLE rejects (
            load_id uuid NOT NULL REFERENCES loads (id) DEFERRABLE INITIALLY DEFERRED,
            line integer NOT NULL,
            field text NOT NULL,
            reason text NOT NULL,
            content text NOT NULL,
            PRIMARY KEY (load_id, line)
        )""")
    op.execute(f"GRANT SELECT, INSERT ON resources, loads, records, rejects TO {APP}")
    # A row lock needs the UPDATE privilege on one column.
    op.execute(f"GRANT UPDATE (title) ON resources TO {APP}")


def _openings_and_rules() -> None:
    op.execute("""
        CREATE TABLE openings (
            id uuid PRIMARY KEY,
            resource_id uuid NOT NULL REFERENCES resources (id),
            version integer NOT NULL CHECK (version > 0),
            fields text[] NOT NULL,
            purposes text[] NOT NULL,
            unit_kinds text[] NOT NULL
                CHECK (unit_kinds <@ ARRAY['agency', 'public-service', 'social-institution']),
            longest_term_days integer NOT NULL CHECK (longest_term_days > 0),
            quota_calls integer NOT NULL CHECK (quota_calls > 0),
            quota_rows integer NOT NULL CHECK (quota_rows > 0),
            quota_subjects integer NOT NULL CHECK (quota_subjects > 0),
            withdrawn boolean NOT NULL,
            reason text NOT NULL,
            set_by uuid NOT NULL,
            set_at timestamptz NOT NULL,
            UNIQUE (resource_id, version),
            CONSTRAINT openings_content_check CHECK (withdrawn OR
                (cardinality(fields) > 0 AND cardinality(purposes) > 0 AND cardinality(unit_kinds) > 0))
        )""")
    op.execute("""
        CREATE TABLE data_rules (
            id uuid PRIMARY KEY,
            unit_id uuid NOT NULL,
            title text NOT NULL,
            text text,
            digest text NOT NULL CHECK (digest ~ '^[0-9a-f]{64}$'),
            filed_by uuid NOT NULL,
            filed_at timestamptz NOT NULL,
            valid_until timestamptz NOT NULL,
            CONSTRAINT data_rules_term_check CHECK (valid_until > filed_at)
        )""")
    op.execute("CREATE INDEX data_rules_unit_id_valid_until_idx ON data_rules (unit_id, valid_until)")
    op.execute(f"GRANT SELECT, INSERT ON openings, data_rules TO {APP}")


def _applications() -> None:
    # The database itself keeps the persons apart: each fact repeats the earlier ones, by foreign key, under a check.
    op.execute("""
        CREATE TABLE applications (
            id uuid PRIMARY KEY,
            unit_id uuid NOT NULL,
            resource_id uuid NOT NULL REFERENCES resources (id),
            applicant uuid NOT NULL,
            purposes text[] NOT NULL CHECK (cardinality(purposes) > 0),
            fields text[] NOT NULL CHECK (cardinality(fields) > 0),
            systems uuid[] NOT NULL,
            origins cidr[] NOT NULL,
            term_days integer NOT NULL CHECK (term_days > 0),
            quota_calls integer NOT NULL CHECK (quota_calls > 0),
            quota_rows integer NOT NULL CHECK (quota_rows > 0),
            quota_subjects integer NOT NULL CHECK (quota_subjects > 0),
            reason text NOT NULL,
            submitted_at timestamptz NOT NULL,
            ends_at timestamptz CHECK (ends_at > submitted_at),
            state text NOT NULL
                CHECK (state IN ('submitted', 'advised', 'approved', 'rejected', 'withdrawn')),
            withdrawn_at timestamptz,
            withdrawn_for text,
            UNIQUE (id, applicant),
            CONSTRAINT applications_withdrawn_check
                CHECK ((state = 'withdrawn') = (withdrawn_at IS NOT NULL AND withdrawn_for IS NOT NULL))
        )""")
    op.execute("CREATE INDEX applications_unit_id_id_idx ON applications (unit_id, id)")
    op.execute("CREATE INDEX applications_applicant_idx ON applications (applicant)")
    op.execute("""
        CREATE TABLE advices (
            application_id uuid PRIMARY KEY,
            applicant uuid NOT NULL,
            advised_by uuid NOT NULL,
            advice text NOT NULL CHECK (advice IN ('support', 'oppose')),
            reason text NOT NULL,
            advised_at timestamptz NOT NULL,
            UNIQUE (application_id, applicant, advised_by),
            FOREIGN KEY (application_id, applicant) REFERENCES applications (id, applicant),
            CONSTRAINT advices_hands_check CHECK (advised_by <> applicant)
        )""")
    op.execute("""
        CREATE TABLE decisions (
            application_id uuid PRIMARY KEY,
            applicant uuid NOT NULL,
            advised_by uuid NOT NULL,
            decided_by uuid NOT NULL,
            decision text NOT NULL CHECK (decision IN ('approved', 'rejected')),
            reason text NOT NULL,
            decided_at timestamptz NOT NULL,
            FOREIGN KEY (application_id, applicant, advised_by)
                REFERENCES advices (application_id, applicant, advised_by),
            CONSTRAINT decisions_hands_check CHECK (decided_by <> applicant AND decided_by <> advised_by)
        )""")
    op.execute(f"GRANT SELECT, INSERT ON applications, advices, decisions TO {APP}")
    op.execute(f"GRANT UPDATE (state, withdrawn_at, withdrawn_for) ON applications TO {APP}")


def _agreements() -> None:
    op.execute("""
        CREATE TABLE agreements (
            id uuid PRIMARY KEY,
            application_id uuid NOT NULL UNIQUE REFERENCES applications (id),
            unit_id uuid NOT NULL,
            resource_id uuid NOT NULL REFERENCES resources (id),
            text text NOT NULL,
            terms jsonb NOT NULL,
            digest text NOT NULL CHECK (digest ~ '^[0-9a-f]{64}$'),
            drawn_up_at timestamptz NOT NULL,
            state text NOT NULL CHECK (state IN ('drawn-up', 'half-signed', 'in-force')),
            in_force_at timestamptz,
            UNIQUE (id, digest),
            CONSTRAINT agreements_in_force_check CHECK ((state = 'in-force') = (in_force_at IS NOT NULL))
        )""")
    op.execute("CREATE INDEX agreements_unit_id_resource_id_idx ON agreements (unit_id, resource_id)")
    op.execute("""
        CREATE TABLE signatures (
            agreement_id uuid NOT NULL,
            side text NOT NULL CHECK (side IN ('authority', 'unit')),
            signed_by uuid NOT NULL,
            digest text NOT NULL,
            signed_at timestamptz NOT NULL,
            PRIMARY KEY (agreement_id, side),
            UNIQUE (agreement_id, signed_by),
            FOREIGN KEY (agreement_id, digest) REFERENCES agreements (id, digest)
        )""")
    op.execute("CREATE INDEX signatures_signed_by_idx ON signatures (signed_by)")
    op.execute(f"GRANT SELECT, INSERT ON agreements, signatures TO {APP}")
    op.execute(f"GRANT UPDATE (state, in_force_at) ON agreements TO {APP}")


def _grants() -> None:
    op.execute("""
        CREATE TABLE grants (
            id uuid PRIMARY KEY,
            unit_id uuid NOT NULL,
            resource_id uuid NOT NULL REFERENCES resources (id),
            agreement_id uuid NOT NULL UNIQUE REFERENCES agreements (id),
            systems uuid[] NOT NULL,
            purposes text[] NOT NULL CHECK (cardinality(purposes) > 0),
            fields text[] NOT NULL CHECK (cardinality(fields) > 0),
            origins cidr[] NOT NULL,
            valid_from timestamptz NOT NULL,
            valid_until timestamptz NOT NULL,
            quota_calls integer NOT NULL CHECK (quota_calls > 0),
            quota_rows integer NOT NULL CHECK (quota_rows > 0),
            quota_subjects integer NOT NULL CHECK (quota_subjects > 0),
            revoked_at timestamptz,
            revoked_by text,
            revoked_for text,
            CONSTRAINT grants_term_check CHECK (valid_until > valid_from),
            CONSTRAINT grants_revoked_check CHECK (
                (revoked_at IS NULL) = (revoked_by IS NULL) AND (revoked_at IS NULL) = (revoked_for IS NULL)),
            CONSTRAINT grants_one_at_a_time EXCLUDE USING gist (
                unit_id WITH =, resource_id WITH =, tstzrange(valid_from, valid_until) WITH &&
            ) WHERE (revoked_at IS NULL)
        )""")
    op.execute("CREATE INDEX grants_unit_id_resource_id_idx ON grants (unit_id, resource_id)")
    op.execute("CREATE INDEX grants_resource_id_idx ON grants (resource_id)")
    op.execute("""
        CREATE TABLE suspensions (
            id uuid PRIMARY KEY,
            grant_id uuid NOT NULL REFERENCES grants (id),
            cause text NOT NULL,
            reason text NOT NULL,
            suspended_by text NOT NULL,
            suspended_at timestamptz NOT NULL,
            lifted_at timestamptz,
            lifted_by text,
            CONSTRAINT suspensions_lifted_check CHECK ((lifted_at IS NULL) = (lifted_by IS NULL))
        )""")
    op.execute("""
        CREATE UNIQUE INDEX suspensions_grant_id_cause_key ON suspensions (grant_id, cause)
        WHERE lifted_at IS NULL""")
    op.execute("CREATE INDEX suspensions_cause_idx ON suspensions (cause) WHERE lifted_at IS NULL")
    op.execute("""
        CREATE TABLE containments (
            order_id uuid PRIMARY KEY,
            target_kind text NOT NULL,
            target_id uuid NOT NULL,
            applied_at timestamptz NOT NULL,
            lifted_at timestamptz
        )""")
    op.execute("CREATE INDEX containments_target_id_idx ON containments (target_id) WHERE lifted_at IS NULL")
    op.execute(f"GRANT SELECT, INSERT ON grants, suspensions, containments TO {APP}")
    op.execute(f"GRANT UPDATE (revoked_at, revoked_by, revoked_for) ON grants TO {APP}")
    op.execute(f"GRANT UPDATE (lifted_at, lifted_by) ON suspensions TO {APP}")
    op.execute(f"GRANT UPDATE (lifted_at) ON containments TO {APP}")


def _use() -> None:
    op.execute("""
        CREATE TABLE usage (
            grant_id uuid NOT NULL REFERENCES grants (id),
            day date NOT NULL,
            calls integer NOT NULL CHECK (calls >= 0),
            rows integer NOT NULL CHECK (rows >= 0),
            subjects integer NOT NULL CHECK (subjects >= 0),
            PRIMARY KEY (grant_id, day)
        )""")
    # `mark` is the SHA-256 of the subject: enough to count it once.
    op.execute("""
        CREATE TABLE usage_subjects (
            grant_id uuid NOT NULL REFERENCES grants (id),
            day date NOT NULL,
            mark bytea NOT NULL CHECK (octet_length(mark) = 32),
            PRIMARY KEY (grant_id, day, mark)
        )""")
    op.execute("""
        CREATE TABLE queries (
            id uuid PRIMARY KEY,
            grant_id uuid NOT NULL REFERENCES grants (id),
            principal text NOT NULL,
            purpose text NOT NULL,
            case_number text NOT NULL,
            fields text[] NOT NULL,
            mark bytea,
            rows integer NOT NULL CHECK (rows >= 0),
            origin text NOT NULL,
            day date NOT NULL,
            at timestamptz NOT NULL
        )""")
    op.execute("CREATE INDEX queries_principal_grant_id_day_idx ON queries (principal, grant_id, day)")
    op.execute(f"GRANT SELECT, INSERT, UPDATE ON usage TO {APP}")
    op.execute(f"GRANT SELECT, INSERT ON usage_subjects, queries TO {APP}")


def downgrade() -> None:
    raise NotImplementedError("forward only")
