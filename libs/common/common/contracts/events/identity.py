"""Events of identity: units, systems, accounts, posts, sessions, cutoffs, departures, handovers."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from common.enforcement.permissions import UnitKind
from common.messaging.events import DeadLetterDecision, Event, Refusal

PUBLISHER = "identity"


class AccessRefused(Refusal, Event, publisher=PUBLISHER, name="access.refused", key="subject"):
    """Identity refused a request."""


class DeadLetterSettled(DeadLetterDecision, Event, publisher=PUBLISHER, name="dead-letter.settled", key="message_id"):
    """An operator settled a dead letter of identity's inbox."""


class UnitRegistered(Event, publisher=PUBLISHER, name="unit.registered", key="unit_id"):
    """A unit is registered and in good standing."""

    unit_id: UUID
    kind: UnitKind
    level: str
    name: str
    uscc: str
    duties: list[str]


class UnitSuspended(Event, publisher=PUBLISHER, name="unit.suspended", key="unit_id"):
    """No credential of the unit's people and systems is accepted until it is reinstated."""

    unit_id: UUID
    reason: str
    cause: str | None = None


class UnitReinstated(Event, publisher=PUBLISHER, name="unit.reinstated", key="unit_id"):
    """The unit's people and systems may get new credentials."""

    unit_id: UUID
    cause: str | None = None


class UnitDecommissioned(Event, publisher=PUBLISHER, name="unit.decommissioned", key="unit_id"):
    """The unit ended for good, and with it its accounts and systems (clause 3.1)."""

    unit_id: UUID
    reason: str


class AccountInvited(Event, publisher=PUBLISHER, name="account.invited", key="account_id"):
    """A person got an invitation; the account opens nothing yet."""

    account_id: UUID
    unit_id: UUID
    invited_by: str | None


class AccountActivationStarted(Event, publisher=PUBLISHER, name="account.activation-begun", key="account_id"):
    """The invited person chose a password and got a second factor; both wait for confirmation."""

    account_id: UUID
    unit_id: UUID


class AccountActivated(Event, publisher=PUBLISHER, name="account.activated", key="account_id"):
    """The person has set a password and a second factor."""

    account_id: UUID
    unit_id: UUID


class AccountSuspended(Event, publisher=PUBLISHER, name="account.suspended", key="account_id"):
    """No credential of the account is accepted until it is reinstated."""

    account_id: UUID
    unit_id: UUID
    reason: str
    cause: str | None = None


class AccountReinstated(Event, publisher=PUBLISHER, name="account.reinstated", key="account_id"):
    """The last suspension of the account was lifted."""

    account_id: UUID
    unit_id: UUID
    cause: str | None = None


class AccountRevoked(Event, publisher=PUBLISHER, name="account.revoked", key="account_id"):
    """The account is cancelled for good."""

    account_id: UUID
    unit_id: UUID
    reason: str
    cause: str | None = None


class SessionOpened(Event, publisher=PUBLISHER, name="session.opened", key="account_id"):
    """A person signed in with both factors."""

    session_id: UUID
    account_id: UUID
    origin: str


class SessionRefreshed(Event, publisher=PUBLISHER, name="session.refreshed", key="account_id"):
    """A session's refresh token was exchanged for new tokens."""

    session_id: UUID
    account_id: UUID


class SessionEnded(Event, publisher=PUBLISHER, name="session.ended", key="account_id"):
    """A session ended: signed out, refresh token used twice, or with its account."""

    session_id: UUID
    account_id: UUID
    reason: str


class SignInFailed(Event, publisher=PUBLISHER, name="sign-in.failed", key="account_id"):
    """A sign-in of a known account failed; `locked`: the login is now locked for a while."""

    account_id: UUID
    reason: str
    locked: bool
    origin: str


class TrainingStarted(Event, publisher=PUBLISHER, name="training.begun", key="account_id"):
    """Questions of the confidentiality training were drawn for a new attempt (clause 6.1)."""

    account_id: UUID
    unit_id: UUID
    attempt_id: UUID


class TrainingPassed(Event, publisher=PUBLISHER, name="training.passed", key="account_id"):
    """The confidentiality training counts until `valid_until` (clause 6.1)."""

    account_id: UUID
    unit_id: UUID
    score: int
    valid_until: datetime


class TrainingFailed(Event, publisher=PUBLISHER, name="training.failed", key="account_id"):
    """A training attempt was graded below the pass mark."""

    account_id: UUID
    unit_id: UUID
    score: int


class UndertakingSigned(Event, publisher=PUBLISHER, name="undertaking.signed", key="account_id"):
    """The confidentiality undertaking whose text has this SHA-256 was signed."""

    account_id: UUID
    unit_id: UUID
    digest: str


class AppointmentMade(Event, publisher=PUBLISHER, name="appointment.made", key="account_id"):
    """A person was appointed to a post and has its permissions (clause 6.2)."""

    appointment_id: UUID
    account_id: UUID
    unit_id: UUID
    post_id: UUID
    post: str
    permissions: list[str]


class AppointmentEnded(Event, publisher=PUBLISHER, name="appointment.ended", key="account_id"):
    """The appointment and its permissions ended."""

    appointment_id: UUID
    account_id: UUID
    unit_id: UUID
    reason: str


class SystemRegistered(Event, publisher=PUBLISHER, name="system.registered", key="system_id"):
    """A unit registered a connected system with its network origins; it gets no token before it is approved."""

    system_id: UUID
    unit_id: UUID
    name: str
    origins: list[str]
    responsible: UUID


class SystemApproved(Event, publisher=PUBLISHER, name="system.approved", key="system_id"):
    """The center approved the connected system; it can get service tokens."""

    system_id: UUID
    unit_id: UUID
    name: str
    origins: list[str]


class SystemSecretSet(Event, publisher=PUBLISHER, name="system.secret-set", key="system_id"):
    """The unit got a client secret for its system; a replaced secret ended, with all tokens issued for it."""

    system_id: UUID
    unit_id: UUID
    replaced: bool


class SystemSuspended(Event, publisher=PUBLISHER, name="system.suspended", key="system_id"):
    """No credential of the system is accepted until it is reinstated."""

    system_id: UUID
    unit_id: UUID
    reason: str
    cause: str | None = None


class SystemReinstated(Event, publisher=PUBLISHER, name="system.reinstated", key="system_id"):
    """The last suspension of the system was lifted."""

    system_id: UUID
    unit_id: UUID
    cause: str | None = None


class SystemDecommissioned(Event, publisher=PUBLISHER, name="system.decommissioned", key="system_id"):
    """The system ended for good (clause 3.1)."""

    system_id: UUID
    unit_id: UUID
    reason: str


class ServiceTokenIssued(Event, publisher=PUBLISHER, name="service-token.issued", key="system_id"):
    """A connected system got an access token by client credentials."""

    system_id: UUID
    unit_id: UUID
    token_id: str
    origin: str
    expires_at: datetime


class DepartureReported(Event, publisher=PUBLISHER, name="departure.reported", key="account_id"):
    """A unit reported that a person transfers or leaves; lateness is computed from the two times (clause 6.5)."""

    departure_id: UUID
    account_id: UUID
    unit_id: UUID
    kind: Literal["transfer", "departure"]
    left_at: datetime
    reported_at: datetime


class DepartureClosed(Event, publisher=PUBLISHER, name="departure.closed", key="account_id"):
    """Account cancelled and handover complete."""

    departure_id: UUID
    account_id: UUID
    unit_id: UUID


class HandoverOpened(Event, publisher=PUBLISHER, name="handover.opened", key="account_id"):
    """The handover of a person's responsibilities and data begins; each service lists its items."""

    handover_id: UUID
    departure_id: UUID
    account_id: UUID
    unit_id: UUID


class HandoverItemSettled(Event, publisher=PUBLISHER, name="handover-item.settled", key="account_id"):
    """One item was taken over by a successor or destroyed."""

    handover_id: UUID
    account_id: UUID
    item_id: UUID
    outcome: Literal["taken-over", "destroyed"]
    successor_id: UUID | None


class HandoverCompleted(Event, publisher=PUBLISHER, name="handover.completed", key="account_id"):
    """Every item is settled, and another person has countersigned (clause 6.6)."""

    handover_id: UUID
    departure_id: UUID
    account_id: UUID
    unit_id: UUID
    successor_id: UUID | None
    countersigned_by: UUID


class PolicySet(Event, publisher=PUBLISHER, name="policy.set", key="policy"):
    """The authority set a version of a policy (clause 15.1)."""

    policy: str
    version: int
    value: int
    effective_from: datetime
    basis: str


class CutoffEffective(Event, publisher=PUBLISHER, name="cutoff.effective", key="subject"):
    """No enforcement point accepts the subject's earlier credentials any more; `points` have sent receipts."""

    cutoff_id: UUID
    subject: str
    reason: str
    cause: str | None
    at: datetime
    effective_at: datetime
    points: dict[str, datetime]
    silent: list[str]


class ContainmentApplied(Event, publisher=PUBLISHER, name="containment.applied", key="order_id"):
    """Identity carried out a containment order; `effective_at` is the last receipt. `known` False: no such target."""

    order_id: UUID
    known: bool
    effective_at: datetime
    points: dict[str, datetime]


class ContainmentLiftApplied(Event, publisher=PUBLISHER, name="containment-lift.applied", key="order_id"):
    """Identity lifted its suspension for a containment order."""

    order_id: UUID
    reinstated: bool


class ProbeIssued(Event, publisher=PUBLISHER, name="probe.issued", key="order_id"):
    """Incident got a probe credential for the subject of a containment order."""

    order_id: UUID
    subject: str
    token_id: str
    kind: Literal["before", "after"]


class SigningKeyPublished(Event, publisher=PUBLISHER, name="signing-key.published", key="kid"):
    """Identity published a verification key on the feed."""

    kid: str


class SigningKeyAdopted(Event, publisher=PUBLISHER, name="signing-key.adopted", key="kid"):
    """Identity signs tokens with the key from now on: every enforcement point knows it."""

    kid: str


class SigningKeyRetired(Event, publisher=PUBLISHER, name="signing-key.retired", key="kid"):
    """No token that the key signed is accepted any more: the last one has expired, or it leaked."""

    kid: str
    retired_by: str
    reason: str
