"""Dated, versioned policies of the authority: which value was in force when (P9, clause 15.1).

The catalogue of a deployment is a contract; the kernel declares only the two policies that every enforcement point obeys.
"""

from bisect import insort
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from common.enforcement.revocation_feed import PolicyVersion


@dataclass(frozen=True, slots=True)
class Policy:
    """One thing that the authority rules: its first value, its bounds, its unit and its legal basis."""

    name: str
    unit: str
    first: int
    least: int
    most: int
    clause: str
    basis: str
    zh: str
    en: str


REVOCATION_BOUND = Policy(
    "revocation-bound",
    "ms",
    2_000,
    500,
    5_000,
    "6.5",
    "规程第六条",
    "撤销生效时限",
    "age at which the revocation feed is stale",
)
REVOKER_SILENCE = Policy(
    "revoker-silence",
    "s",
    60,
    20,
    600,
    "6.5",
    "规程第六条",
    "撤销方静默时限",
    "silence of the revoker after which class A acts are refused",
)


class Rule(NamedTuple):
    """A value with the version it comes from, for records that say by which rule a case was judged."""

    value: int
    version: int
    basis: str


class Policies:
    """The versions of `catalogue` that the revocation feed has brought; first values hold until then."""

    def __init__(self, catalogue: Mapping[str, Policy]) -> None:
        self._catalogue = catalogue
        self._versions: dict[str, list[tuple[datetime, int, PolicyVersion]]] = defaultdict(list)

    def learn(self, version: PolicyVersion) -> None:
        """Take in a version; the same one again changes nothing."""
        entry = (version.effective_from, version.version, version)
        known = self._versions[version.name]
        if all(existing[:2] != entry[:2] for existing in known):
            insort(known, entry, key=lambda row: row[:2])

    def at(self, name: str, when: datetime) -> Rule:
        """Return the rule in force at `when`. Raises `KeyError` for a name that is not in the catalogue."""
        policy = self._catalogue[name]
        rule = Rule(policy.first, 0, policy.basis)
        for effective_from, _, version in self._versions[name]:
            if effective_from > when:
                break
            # Identity checks the bounds; no error there may switch a bound off here.
            value = min(max(version.value, policy.least), policy.most)
            rule = Rule(value, version.version, version.basis)
        return rule
