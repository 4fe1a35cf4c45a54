"""Units, systems, people, posts, training, sessions, cutoffs."""

from alembic import op

from common.storage.migrations import create_idempotency, create_inbox, create_outbox

revision = "0001"
down_revision = None


def upgrade() -> None:
    _units()
    _accounts()
    _posts()
    _systems()
    _suspensions()
    _training()
    _sessions()
    _cutoffs()
    create_outbox("identity_app")
    create_inbox("identity_app")
    create_idempotency("identity_app")
    op.execute("""
        GRANT SELECT, INSERT, UPDATE ON units, accounts, invitations, appointments, systems, suspensions,
            sessions, refresh_tokens, epochs, cutoffs TO identity_app""")
    op.execute("""
        GRANT SELECT, INSERT ON posts, training_attempts, training_results, undertaking_signatures,
            cutoff_receipts TO identity_app""")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON sign_in_attempts TO identity_app")


def _units() -> None:
    op.execute("""
        CREATE TABLE units (
            id uuid CONSTRAINT units_pkey PRIMARY KEY,
            kind text NOT NULL CONSTRAINT units_kind_check
                CHECK (kind IN ('authority', 'center', 'agency', 'public-service', 'social-institution')),
            level text NOT NULL CONSTRAINT units_level_check
                CHECK (level IN ('national', 'provincial', 'municipal', 'district', 'township')),
            duties text[] NOT NULL CONSTRAINT units_duties_check
                CHECK (cardinality(duties) > 0 AND duties <@ ARRAY['builds', 'runs', 'maintains', 'uses']),
            name text NOT NULL CONSTRAINT units_name_check CHECK (char_length(name) BETWEEN 2 AND 200),
            uscc text NOT NULL CONSTRAINT units_uscc_key UNIQUE
                CONSTRAINT units_uscc_check CHECK (uscc ~ '^[0-9A-HJ-NPQRTUWXY]{18}$'),
            registered_at timestamptz NOT NULL,
            state text NOT NULL CONSTRAINT units_state_check CHECK (state IN ('registered', 'suspended', 'decommissioned')),
            decommissioned_at timestamptz,
            CONSTRAINT units_decommissioned_check CHECK ((state = 'decommissioned') = (decommissioned_at IS NOT NULL)),
            CONSTRAINT units_steady_check CHECK (kind NOT IN ('authority', 'center') OR state = 'registered')
        )""")
    # There is one authority and one center (clauses 5d.1, 5d.2).
    op.execute("CREATE UNIQUE INDEX units_authority_center_idx ON units (kind) WHERE kind IN ('authority', 'center')")


def _accounts() -> None:
    op.execute("""
        CREATE TABLE accounts (
            id uuid CONSTRAINT accounts_pkey PRIMARY KEY,
            unit_id uuid NOT NULL CONSTRAINT accounts_unit_id_fkey REFERENCES units (id),
            name text NOT NULL CONSTRAINT accounts_name_check CHECK (char_length(name) BETWEEN 2 AND 100),
            login text NOT NULL CONSTRAINT accounts_login_check CHECK (login ~ '^[a-z][a-z0-9._-]{2,63}$'),
            person bytea NOT NULL CONSTRAINT accounts_person_check CHECK (octet_length(person) = 32),
            invited_at timestamptz NOT NULL,
            invited_by uuid CONSTRAINT accounts_invited_by_fkey REFERENCES accounts (id),
            state text NOT NULL CONSTRAINT accounts_state_check
                CHECK (state IN ('invited', 'active', 'suspended', 'revoked')),
            password_hash text,
            totp_secret bytea,
            totp_step bigint,
            activated_at timestamptz,
            revoked_at timestamptz,
            CONSTRAINT accounts_active_check CHECK (state <> 'active' OR activated_at IS NOT NULL),
            CONSTRAINT accounts_revoked_check CHECK ((state = 'revoked') = (revoked_at IS NOT NULL)),
            CONSTRAINT accounts_factors_check CHECK (
                (password_hash IS NULL) = (totp_secret IS NULL)
                AND (password_hash IS NOT NULL) = (activated_at IS NOT NULL AND state <> 'revoked')),
            CONSTRAINT accounts_invited_by_check CHECK (invited_by <> id)
        )""")
    # One person, one account, over all units (clause 7.6).
    op.execute("CREATE UNIQUE INDEX accounts_person_live_idx ON accounts (person) WHERE state <> 'revoked'")
    op.execute("CREATE UNIQUE INDEX accounts_login_live_idx ON accounts (login) WHERE state <> 'revoked'")
    op.execute("CREATE INDEX accounts_unit_id_idx ON accounts (unit_id, id)")


def _posts() -> None:
    op.execute("""
        CREATE TABLE posts (
            id uuid CONSTRAINT posts_pkey PRIMARY KEY,
            unit_id uuid NOT NULL CONSTRAINT posts_unit_id_fkey REFERENCES units (id),
            name text NOT NULL CONSTRAINT posts_name_check CHECK (name ~ '^[a-z][a-z0-9-]{2,63}$'),
            title text NOT NULL,
            permissions text[] NOT NULL,
            made_at timestamptz NOT NULL,
            CONSTRAINT posts_unit_id_name_key UNIQUE (unit_id, name),
            CONSTRAINT posts_id_unit_id_key UNIQUE (id, unit_id)
        )""")
    op.execute("ALTER TABLE accounts ADD CONSTRAINT accounts_id_unit_id_key UNIQUE (id, unit_id)")
    # The foreign keys over (id, unit_id) keep person, post and appointment in one unit.
    op.execute("""
        CREATE TABLE appointments (
            id uuid CONSTRAINT appointments_pkey PRIMARY KEY,
            account_id uuid NOT NULL,
            unit_id uuid NOT NULL,
            post_id uuid NOT NULL,
            made_by uuid CONSTRAINT appointments_made_by_fkey REFERENCES accounts (id),
            made_at timestamptz NOT NULL,
            until timestamptz,
            ended_at timestamptz,
            ended_by uuid CONSTRAINT appointments_ended_by_fkey REFERENCES accounts (id),
            reason text,
            CONSTRAINT appointments_account_id_unit_id_fkey FOREIGN KEY (account_id, unit_id) REFERENCES accounts (id, unit_id),
            CONSTRAINT appointments_post_id_unit_id_fkey FOREIGN KEY (post_id, unit_id) REFERENCES posts (id, unit_id),
            CONSTRAINT appointments_hands_check CHECK (made_by <> account_id),
            CONSTRAINT appointments_until_check CHECK (until > made_at),
            CONSTRAINT appointments_ended_check CHECK ((ended_at IS NULL) = (reason IS NULL))
        )""")
    op.execute("CREATE INDEX appointments_live_idx ON appointments (account_id, post_id) WHERE ended_at IS NULL")
    op.execute("CREATE INDEX appointments_unit_id_idx ON appointments (unit_id, id)")
    op.execute("""
        CREATE TABLE invitations (
            id uuid CONSTRAINT invitations_pkey PRIMARY KEY,
            account_id uuid NOT NULL CONSTRAINT invitations_account_id_fkey REFERENCES accounts (id),
            code_hash bytea NOT NULL CONSTRAINT invitations_code_hash_key UNIQUE
                CONSTRAINT invitations_code_hash_check CHECK (octet_length(code_hash) = 32),
            made_at timestamptz NOT NULL,
            expires_at timestamptz NOT NULL,
            invited_by uuid CONSTRAINT invitations_invited_by_fkey REFERENCES accounts (id),
            post_id uuid CONSTRAINT invitations_post_id_fkey REFERENCES posts (id),
            password_hash text,
            totp_secret bytea,
            ended_at timestamptz,
            CONSTRAINT invitations_expires_at_check CHECK (expires_at > made_at),
            CONSTRAINT invitations_challenge_check CHECK ((password_hash IS NULL) = (totp_secret IS NULL)),
            CONSTRAINT invitations_ended_check CHECK (ended_at IS NULL OR password_hash IS NULL)
        )""")
    op.execute("CREATE UNIQUE INDEX invitations_open_idx ON invitations (account_id) WHERE ended_at IS NULL")


def _systems() -> None:
    op.execute("""
        CREATE TABLE systems (
            id uuid CONSTRAINT systems_pkey PRIMARY KEY,
            unit_id uuid NOT NULL,
            name text NOT NULL CONSTRAINT systems_name_check CHECK (char_length(name) BETWEEN 2 AND 200),
            origins cidr[] NOT NULL CONSTRAINT systems_origins_check CHECK (cardinality(origins) BETWEEN 1 AND 50),
            responsible uuid NOT NULL,
            registered_by uuid NOT NULL CONSTRAINT systems_registered_by_fkey REFERENCES accounts (id),
            registered_at timestamptz NOT NULL,
            state text NOT NULL CONSTRAINT systems_state_check
                CHECK (state IN ('registered', 'approved', 'suspended', 'decommissioned')),
            approved_by uuid CONSTRAINT systems_approved_by_fkey REFERENCES accounts (id),
            approved_at timestamptz,
            secret_hash bytea CONSTRAINT systems_secret_hash_check CHECK (octet_length(secret_hash) = 32),
            secret_set_at timestamptz,
            decommissioned_at timestamptz,
            CONSTRAINT systems_unit_id_fkey FOREIGN KEY (unit_id) REFERENCES units (id),
            CONSTRAINT systems_responsible_unit_id_fkey FOREIGN KEY (responsible, unit_id) REFERENCES accounts (id, unit_id),
            CONSTRAINT systems_hands_check CHECK (approved_by <> registered_by),
            CONSTRAINT systems_approved_check CHECK (
                (approved_at IS NULL) = (approved_by IS NULL) AND (state <> 'approved' OR approved_at IS NOT NULL)),
            CONSTRAINT systems_secret_check CHECK (
                (secret_hash IS NULL OR approved_at IS NOT NULL) AND (secret_hash IS NULL OR state <> 'decommissioned')),
            CONSTRAINT systems_decommissioned_check CHECK ((state = 'decommissioned') = (decommissioned_at IS NOT NULL))
        )""")
    op.execute("CREATE INDEX systems_unit_id_idx ON systems (unit_id, id)")
    op.execute("CREATE INDEX systems_responsible_idx ON systems (responsible)")


def _suspensions() -> None:
    op.execute("""
        CREATE TABLE suspensions (
            id uuid CONSTRAINT suspensions_pkey PRIMARY KEY,
            unit_id uuid CONSTRAINT suspensions_unit_id_fkey REFERENCES units (id),
            account_id uuid CONSTRAINT suspensions_account_id_fkey REFERENCES accounts (id),
            system_id uuid CONSTRAINT suspensions_system_id_fkey REFERENCES systems (id),
            cause text NOT NULL,
            reason text NOT NULL,
            begun_at timestamptz NOT NULL,
            lifted_at timestamptz CONSTRAINT suspensions_lifted_at_check CHECK (lifted_at >= begun_at),
            CONSTRAINT suspensions_subject_check CHECK (num_nonnulls(unit_id, account_id, system_id) = 1)
        )""")
    for subject in ("unit_id", "account_id", "system_id"):
        op.execute(
            f"CREATE UNIQUE INDEX suspensions_{subject}_cause_idx ON suspensions ({subject}, cause)"
            f" WHERE lifted_at IS NULL AND {subject} IS NOT NULL"
        )


def _training() -> None:
    op.execute("""
        CREATE TABLE training_attempts (
            id uuid CONSTRAINT training_attempts_pkey PRIMARY KEY,
            account_id uuid NOT NULL CONSTRAINT training_attempts_account_id_fkey REFERENCES accounts (id),
            questions text[] NOT NULL CONSTRAINT training_attempts_questions_check CHECK (cardinality(questions) > 0),
            begun_at timestamptz NOT NULL,
            expires_at timestamptz NOT NULL
        )""")
    op.execute("CREATE INDEX training_attempts_account_id_idx ON training_attempts (account_id, begun_at)")
    op.execute("""
        CREATE TABLE training_results (
            attempt_id uuid CONSTRAINT training_results_pkey PRIMARY KEY
                CONSTRAINT training_results_attempt_id_fkey REFERENCES training_attempts (id),
            account_id uuid NOT NULL CONSTRAINT training_results_account_id_fkey REFERENCES accounts (id),
            answers jsonb NOT NULL,
            score integer NOT NULL CONSTRAINT training_results_score_check CHECK (score BETWEEN 0 AND 100),
            pass_mark integer NOT NULL,
            graded_at timestamptz NOT NULL,
            valid_until timestamptz,
            CONSTRAINT training_results_passed_check CHECK ((score >= pass_mark) = (valid_until IS NOT NULL))
        )""")
    op.execute("CREATE INDEX training_results_account_id_idx ON training_results (account_id)")
    op.execute("""
        CREATE TABLE undertaking_signatures (
            id uuid CONSTRAINT undertaking_signatures_pkey PRIMARY KEY,
            account_id uuid NOT NULL CONSTRAINT undertaking_signatures_account_id_fkey REFERENCES accounts (id),
            digest text NOT NULL CONSTRAINT undertaking_signatures_digest_check CHECK (digest ~ '^[0-9a-f]{64}$'),
            signed_at timestamptz NOT NULL,
            CONSTRAINT undertaking_signatures_account_id_digest_key UNIQUE (account_id, digest)
        )""")


def _sessions() -> None:
    op.execute("""
        CREATE TABLE sessions (
            id uuid CONSTRAINT sessions_pkey PRIMARY KEY,
            account_id uuid NOT NULL CONSTRAINT sessions_account_id_fkey REFERENCES accounts (id),
            origin text NOT NULL,
            opened_at timestamptz NOT NULL,
            expires_at timestamptz NOT NULL,
            ended_at timestamptz,
            reason text,
            CONSTRAINT sessions_expires_at_check CHECK (expires_at > opened_at),
            CONSTRAINT sessions_ended_check CHECK ((ended_at IS NULL) = (reason IS NULL))
        )""")
    op.execute("CREATE INDEX sessions_open_idx ON sessions (account_id) WHERE ended_at IS NULL")
    op.execute("""
        CREATE TABLE refresh_tokens (
            hash bytea CONSTRAINT refresh_tokens_pkey PRIMARY KEY
                CONSTRAINT refresh_tokens_hash_check CHECK (octet_length(hash) = 32),
            session_id uuid NOT NULL CONSTRAINT refresh_tokens_session_id_fkey REFERENCES sessions (id),
            issued_at timestamptz NOT NULL,
            used_at timestamptz
        )""")
    # A family has one token that was not used yet.
    op.execute("CREATE UNIQUE INDEX refresh_tokens_unused_idx ON refresh_tokens (session_id) WHERE used_at IS NULL")
    op.execute("""
        CREATE TABLE sign_in_attempts (
            login bytea CONSTRAINT sign_in_attempts_pkey PRIMARY KEY,
            failures integer NOT NULL CONSTRAINT sign_in_attempts_failures_check CHECK (failures >= 0),
            failed_at timestamptz NOT NULL
        )""")
    op.execute("CREATE INDEX sign_in_attempts_failed_at_idx ON sign_in_attempts (failed_at)")


def _cutoffs() -> None:
    op.execute("""
        CREATE TABLE epochs (
            subject text CONSTRAINT epochs_pkey PRIMARY KEY,
            epoch integer NOT NULL CONSTRAINT epochs_epoch_check CHECK (epoch > 0)
        )""")
    op.execute("""
        CREATE TABLE cutoffs (
            id uuid CONSTRAINT cutoffs_pkey PRIMARY KEY,
            subject text NOT NULL CONSTRAINT cutoffs_subject_check CHECK (subject ~ '^(account|system|unit|session|service):.'),
            epoch integer NOT NULL CONSTRAINT cutoffs_epoch_check CHECK (epoch > 0),
            reason text NOT NULL,
            cause text,
            at timestamptz NOT NULL,
            effective_at timestamptz,
            CONSTRAINT cutoffs_subject_epoch_key UNIQUE (subject, epoch)
        )""")
    op.execute("CREATE INDEX cutoffs_cause_idx ON cutoffs (cause) WHERE cause IS NOT NULL")
    op.execute(
        "CREATE INDEX cutoffs_waiting_idx ON cutoffs (at) WHERE effective_at IS NULL AND subject NOT LIKE 'session:%'"
    )
    op.execute("""
        CREATE TABLE cutoff_receipts (
            cutoff_id uuid NOT NULL CONSTRAINT cutoff_receipts_cutoff_id_fkey REFERENCES cutoffs (id),
            point text NOT NULL,
            applied_at timestamptz NOT NULL,
            CONSTRAINT cutoff_receipts_pkey PRIMARY KEY (cutoff_id, point)
        )""")
