"""The permissions that the endpoints of incident require."""

from typing import Annotated

from common.contracts.permissions import requires
from common.enforcement.principals import Principal

CanReportBreaches = Annotated[Principal, requires("breaches.report")]
CanReadIncidents = Annotated[Principal, requires("incidents.read")]
CanProposeLifts = Annotated[Principal, requires("containment.propose-lift")]
CanApproveLifts = Annotated[Principal, requires("containment.approve-lift", class_a=True)]
"""Class A, because restoring access widens it: refused while no revocation could arrive."""
