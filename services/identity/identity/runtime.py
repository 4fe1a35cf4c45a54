"""The runtime of identity."""

from typing import Annotated

from fastapi import Depends

from common.clock import Clock
from common.contracts.policies import POLICIES
from common.messaging.bus import Bus
from common.web import runtime
from identity.acknowledgements.collector import AcknowledgementCollector
from identity.credentials.passwords import Passwords
from identity.settings import Settings
from identity.signing.keys import SigningKeys
from identity.tokens.client_cache import ClientCache


class Runtime(runtime.Runtime):
    """Adds passwords, signing keys, cached clients and the acknowledgements of cutoffs."""

    settings: Settings

    def __init__(self, settings: Settings, bus: Bus, clock: Clock) -> None:
        super().__init__("identity", settings, bus, clock, POLICIES)
        self.signing_keys = SigningKeys(settings.signing_key_pem.get_secret_value())
        self.passwords = Passwords()
        self.acknowledgements = AcknowledgementCollector(self)
        self.client_cache = ClientCache()
        self.readiness["signing_key"] = self.signing_keys.ready


RuntimeDep = Annotated[Runtime, Depends(runtime.get_runtime)]
