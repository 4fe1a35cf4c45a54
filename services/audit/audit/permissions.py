"""The permissions that the endpoints of audit require."""

from typing import Annotated

from common.contracts.permissions import requires
from common.enforcement.principals import Principal

CanReadLog = Annotated[Principal, requires("log.read")]
CanExportEvidence = Annotated[Principal, requires("evidence.export", class_a=True)]
"""Class A, because an export cannot be recalled: refused while no revocation could arrive."""
