"""Every permission that identity requires, as types of endpoint parameters."""

from typing import Annotated

from common.contracts.permissions import requires
from common.enforcement.principals import Principal

# Acts that widen access are of class A: refused while revocation is impossible. Acts that end access never are.

AnyCredential = Annotated[Principal, requires(None)]
CanRegisterUnits = Annotated[Principal, requires("units.register", class_a=True)]
CanDecommissionUnits = Annotated[Principal, requires("units.register")]
CanSuspendUnits = Annotated[Principal, requires("units.suspend")]
CanReinstateUnits = Annotated[Principal, requires("units.suspend", class_a=True)]
CanRegisterSystems = Annotated[Principal, requires("systems.register", class_a=True)]
CanApproveSystems = Annotated[Principal, requires("systems.approve", class_a=True)]
CanSuspendSystems = Annotated[Principal, requires("systems.suspend")]
CanReinstateSystems = Annotated[Principal, requires("systems.suspend", class_a=True)]
CanInviteAccounts = Annotated[Principal, requires("accounts.invite", class_a=True)]
CanInviteAdministrators = Annotated[Principal, requires("administrators.invite", class_a=True)]
CanReadAccounts = Annotated[Principal, requires("accounts.read")]
CanMakeAppointments = Annotated[Principal, requires("appointments.make", class_a=True)]
CanEndAppointments = Annotated[Principal, requires("appointments.make")]
CanReportDepartures = Annotated[Principal, requires("departures.report")]
CanRevokeAccounts = Annotated[Principal, requires("accounts.revoke")]
CanReinstateAccounts = Annotated[Principal, requires("accounts.revoke", class_a=True)]
CanReadHandovers = Annotated[Principal, requires("handovers.read")]
CanTakeHandovers = Annotated[Principal, requires("handovers.take")]
CanCountersignHandovers = Annotated[Principal, requires("handovers.countersign")]
CanSetPolicies = Annotated[Principal, requires("policies.set", class_a=True)]
CanManageOperations = Annotated[Principal, requires("operations.manage")]
CanIssueProbes = Annotated[Principal, requires("probes.issue")]
