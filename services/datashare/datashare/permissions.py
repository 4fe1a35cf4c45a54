"""Every permission that datashare asks for, as types of endpoint parameters."""

from typing import Annotated

from common.contracts.permissions import requires
from common.enforcement.principals import Principal

__all__ = [
    "CanAdvise",
    "CanApply",
    "CanAskForData",
    "CanDecide",
    "CanFileDataRules",
    "CanLoadResources",
    "CanRevokeGrants",
    "CanSee",
    "CanSetOpenings",
    "CanSign",
    "CanWidenGrants",
]

CanSee = Annotated[Principal, requires(None)]
"""Any valid credential: what it sees is filtered, by unit and by what is open to its kind."""
CanLoadResources = Annotated[Principal, requires("resources.load")]
CanSetOpenings = Annotated[Principal, requires("openings.set", class_a=True)]
CanFileDataRules = Annotated[Principal, requires("data-rules.file")]
CanApply = Annotated[Principal, requires("applications.apply")]
CanAdvise = Annotated[Principal, requires("applications.advise")]
CanDecide = Annotated[Principal, requires("applications.decide", class_a=True)]
CanSign = Annotated[Principal, requires("agreements.sign", class_a=True)]
CanRevokeGrants = Annotated[Principal, requires("grants.revoke")]
"""Taking away is possible even when nobody could revoke credentials."""
CanWidenGrants = Annotated[Principal, requires("grants.revoke", class_a=True)]
CanAskForData = Annotated[Principal, requires(None, class_a=True, probes=True)]
"""The verdict itself checks the post, so that whoever lacks training hears of the training first (6.1, 6.2)."""
