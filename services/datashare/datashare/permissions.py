"""Every permission that datashare requires, as types of endpoint parameters."""

from typing import Annotated

from common.contracts.permissions import requires
from common.enforcement.principals import Principal

CanSee = Annotated[Principal, requires(None)]
"""Any valid credential; queries filter by unit and by the openings for its kind."""
CanLoadResources = Annotated[Principal, requires("resources.load")]
CanSetOpenings = Annotated[Principal, requires("openings.set", class_a=True)]
CanFileDataRules = Annotated[Principal, requires("data-rules.file")]
CanApply = Annotated[Principal, requires("applications.apply")]
CanAdvise = Annotated[Principal, requires("applications.advise")]
CanDecide = Annotated[Principal, requires("applications.decide", class_a=True)]
CanSign = Annotated[Principal, requires("agreements.sign", class_a=True)]
CanRevokeGrants = Annotated[Principal, requires("grants.revoke")]
"""Not class A: revoking a grant is possible even while credentials cannot be revoked."""
CanWidenGrants = Annotated[Principal, requires("grants.revoke", class_a=True)]
CanQuery = Annotated[Principal, requires(None, class_a=True, probes=True)]
"""The verdict itself checks the post, so that missing training is refused first (6.1, 6.2)."""
