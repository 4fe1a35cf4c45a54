"""Events of incident: breaches, containment orders, probes, lifting."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from common.messaging.events import DeadLetterDecision, Event, Refusal

PUBLISHER = "incident"


class AccessRefused(Refusal, Event, publisher=PUBLISHER, name="access.refused", key="subject"):
    """Incident refused a request."""


class DeadLetterSettled(DeadLetterDecision, Event, publisher=PUBLISHER, name="dead-letter.settled", key="message_id"):
    """An operator settled a dead letter of incident's inbox."""


class BreachReported(Event, publisher=PUBLISHER, name="breach.reported", key="incident_id"):
    """A person reported a leak, damage or loss (clause 12.3); the report to the authority is due at `report_due_at`."""

    incident_id: UUID
    unit_id: UUID | None
    kind: Literal["leak", "damage", "loss", "misuse"]
    reported_by: str
    occurred_at: datetime | None
    detected_at: datetime
    reported_at: datetime
    report_due_at: datetime


class ContainmentOrdered(Event, publisher=PUBLISHER, name="containment.ordered", key="order_id"):
    """One measure for one service: suspend a system, an account, or grants.

    `executor` carries it out and answers `containment.applied`. `suspend-grants` suspends the target grant, all grants
    that the target system uses, or all grants of the target unit.
    """

    order_id: UUID
    incident_id: UUID
    executor: Literal["identity", "datashare"]
    measure: Literal["suspend-system", "suspend-account", "suspend-grants"]
    target_kind: Literal["system", "account", "grant", "unit"]
    target_id: UUID
    ordered_at: datetime


class ContainmentConfirmed(Event, publisher=PUBLISHER, name="containment.confirmed", key="order_id"):
    """The executor confirmed that the measure is in effect."""

    order_id: UUID
    incident_id: UUID
    confirmed_at: datetime


class ContainmentProbed(Event, publisher=PUBLISHER, name="containment.probed", key="order_id"):
    """Incident sent a request with a probe credential; `passed`: the answer was the expected one, for that very reason."""

    order_id: UUID
    incident_id: UUID
    expectation: Literal["refused", "allowed"]
    passed: bool
    status: int
    problem: str | None
    reason: str | None
    probed_at: datetime


class ContainmentFailed(Event, publisher=PUBLISHER, name="containment.failed", key="order_id"):
    """The measure was not confirmed, or no probe was refused for that reason: a person must act at once."""

    order_id: UUID
    incident_id: UUID
    reason: str


class LiftProposed(Event, publisher=PUBLISHER, name="lift.proposed", key="incident_id"):
    """One person proposed to restore access."""

    incident_id: UUID
    proposed_by: UUID
    reason: str


class ContainmentLifted(Event, publisher=PUBLISHER, name="containment.lifted", key="order_id"):
    """A second person approved (P6): the executor restores what this order suspended, and nothing else."""

    order_id: UUID
    incident_id: UUID
    executor: Literal["identity", "datashare"]
    proposed_by: UUID
    approved_by: UUID


class ReportedToAuthority(Event, publisher=PUBLISHER, name="breach.reported-to-authority", key="incident_id"):
    """The responsible unit reported the breach to the authority (clause 12.5)."""

    incident_id: UUID
    reported_at: datetime
    due_at: datetime


class FactCorrected(Event, publisher=PUBLISHER, name="fact.corrected", key="incident_id"):
    """A later fact superseded an earlier one, which stays (P8); `at` None says that it is unknown."""

    incident_id: UUID
    fact_id: UUID
    supersedes: UUID
    kind: Literal["occurred", "detected", "aware"]
    at: datetime | None
    corrected_by: UUID


class LiftWithdrawn(Event, publisher=PUBLISHER, name="lift.withdrawn", key="incident_id"):
    """The proposer withdrew the proposal."""

    incident_id: UUID
    proposal_id: UUID
    withdrawn_by: UUID


class ProbeRequested(Event, publisher=PUBLISHER, name="probe.requested", key="order_id"):
    """A person requested another probe of an order whose probes have not passed."""

    order_id: UUID
    incident_id: UUID
    requested_by: UUID
