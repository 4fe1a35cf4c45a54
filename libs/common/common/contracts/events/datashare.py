"""Events of datashare: resources, openings, applications, agreements, grants, queries."""

from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

from common.messaging.events import DeadLetterDecision, Event, Refusal

PUBLISHER = "datashare"


class AccessRefused(Refusal, Event, publisher=PUBLISHER, name="access.refused", key="subject"):
    """Datashare refused a request, other than by the verdict of a query."""


class DeadLetterSettled(DeadLetterDecision, Event, publisher=PUBLISHER, name="dead-letter.settled", key="message_id"):
    """An operator settled a dead letter of datashare's inbox."""


class ResourceRegistered(Event, publisher=PUBLISHER, name="resource.registered", key="resource_id"):
    """A resource was registered; units may not find or use it before the authority opens it."""

    resource_id: UUID
    code: str
    kind: Literal["record", "statistic", "report"]
    fields: list[str]
    responsible_unit: UUID


class RecordsLoaded(Event, publisher=PUBLISHER, name="records.loaded", key="resource_id"):
    """A file was loaded; rejected rows are kept with their reason."""

    resource_id: UUID
    load_id: UUID
    digest: str
    loaded: int
    rejected: int


class OpeningSet(Event, publisher=PUBLISHER, name="opening.set", key="resource_id"):
    """The authority set the opening of a resource (clause 10.2)."""

    opening_id: UUID
    resource_id: UUID
    version: int
    fields: list[str]
    purposes: list[str]
    unit_kinds: list[str]
    longest_term_days: int
    quota: dict[str, int]


class OpeningWithdrawn(Event, publisher=PUBLISHER, name="opening.withdrawn", key="resource_id"):
    """The authority closed a resource: every grant on it stops at once."""

    opening_id: UUID
    resource_id: UUID
    reason: str


class DataRulesFiled(Event, publisher=PUBLISHER, name="data-rules.filed", key="unit_id"):
    """A unit filed its data-security rules; they count until `valid_until` (clause 10.1)."""

    filing_id: UUID
    unit_id: UUID
    digest: str
    valid_until: datetime


class ApplicationSubmitted(Event, publisher=PUBLISHER, name="application.submitted", key="application_id"):
    """A unit applied to use a resource for a purpose."""

    application_id: UUID
    unit_id: UUID
    resource_id: UUID
    applicant: UUID
    purposes: list[str]
    fields: list[str]
    term_days: int


class ApplicationAdvised(Event, publisher=PUBLISHER, name="application.advised", key="application_id"):
    """The center gave its opinion."""

    application_id: UUID
    advice: Literal["support", "oppose"]
    advised_by: UUID


class ApplicationDecided(Event, publisher=PUBLISHER, name="application.decided", key="application_id"):
    """The authority decided."""

    application_id: UUID
    decision: Literal["approved", "rejected"]
    decided_by: UUID


class ApplicationWithdrawn(Event, publisher=PUBLISHER, name="application.withdrawn", key="application_id"):
    """The unit withdrew its application, or its applicant left."""

    application_id: UUID
    reason: str


class AgreementSigned(Event, publisher=PUBLISHER, name="agreement.signed", key="agreement_id"):
    """One side signed the agreement, whose text and terms are fixed by their SHA-256 (clause 10.3)."""

    agreement_id: UUID
    application_id: UUID
    side: Literal["authority", "unit"]
    signed_by: UUID
    digest: str


class AgreementInForce(Event, publisher=PUBLISHER, name="agreement.in-force", key="agreement_id"):
    """Both sides have signed."""

    agreement_id: UUID
    application_id: UUID
    unit_id: UUID
    digest: str


class GrantActivated(Event, publisher=PUBLISHER, name="grant.activated", key="grant_id"):
    """A unit may use a resource: these fields, purposes, systems, this term and quota."""

    grant_id: UUID
    unit_id: UUID
    resource_id: UUID
    agreement_id: UUID
    systems: list[UUID]
    purposes: list[str]
    fields: list[str]
    valid_from: datetime
    valid_until: datetime
    quota: dict[str, int]


class GrantSuspended(Event, publisher=PUBLISHER, name="grant.suspended", key="grant_id"):
    """The grant gives nothing until this cause is lifted."""

    grant_id: UUID
    unit_id: UUID
    reason: str
    cause: str


class GrantSuspensionLifted(Event, publisher=PUBLISHER, name="grant.suspension-lifted", key="grant_id"):
    """One cause of a grant's suspension was lifted; while others remain, it gives nothing."""

    grant_id: UUID
    unit_id: UUID
    cause: str
    remaining: list[str]


class GrantReinstated(Event, publisher=PUBLISHER, name="grant.reinstated", key="grant_id"):
    """The last suspension of the grant was lifted."""

    grant_id: UUID
    unit_id: UUID
    cause: str


class GrantRevoked(Event, publisher=PUBLISHER, name="grant.revoked", key="grant_id"):
    """The grant ended for good."""

    grant_id: UUID
    unit_id: UUID
    reason: str


class DataQueried(Event, publisher=PUBLISHER, name="data.queried", key="grant_id"):
    """Credit data was read: who, for which purpose and case, how much; never the content."""

    query_id: UUID
    grant_id: UUID
    unit_id: UUID
    resource_id: UUID
    principal: str
    purpose: str
    case_number: str
    fields: list[str]
    rows: int
    origin: str


class QueryRefused(Event, publisher=PUBLISHER, name="query.refused", key="principal"):
    """A query was refused: `reason` names the first false link of the legal chain."""

    query_id: UUID
    principal: str
    unit_id: UUID | None
    resource: str
    grant_id: UUID | None
    purpose: str
    case_number: str
    fields: list[str]
    reason: str
    clause: str
    origin: str
    probe: UUID | None = None


class QuotaReached(Event, publisher=PUBLISHER, name="quota.reached", key="grant_id"):
    """A grant's quota of the day is used up."""

    grant_id: UUID
    unit_id: UUID
    measure: Literal["calls", "rows", "subjects"]
    day: date


class HoldingsListed(Event, publisher=PUBLISHER, name="holdings.listed", key="account_id"):
    """What a leaving person was responsible for and obtained, item by item, for the handover (clause 6.6).

    An item has `kind` (application, agreement, grant, query), `reference` (its id), `description`, `since`. A long list
    comes in `parts`, in order; with the last one it is complete.
    """

    handover_id: UUID
    account_id: UUID
    items: list[dict[str, Any]]
    part: int = 1
    parts: int = 1


class ContainmentApplied(Event, publisher=PUBLISHER, name="containment.applied", key="order_id"):
    """Datashare carried out a containment order: the grants that it suspended."""

    order_id: UUID
    grants: list[UUID]
    applied_at: datetime


class ContainmentLiftApplied(Event, publisher=PUBLISHER, name="containment-lift.applied", key="order_id"):
    """Datashare has lifted what it did for a containment order: the grants that are active again."""

    order_id: UUID
    grants: list[UUID]
