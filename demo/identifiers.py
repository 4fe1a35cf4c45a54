"""Valid codes and numbers for invented organizations and persons (GB 32100-2015, GB 11714-1997, GB 11643-1999)."""

import hashlib
import random
from datetime import date, timedelta

REGION = "350200"
"""The city's administrative division."""
USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
"""GB 32100-2015: no I, O, S, V, Z."""
ORGANIZATION_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
"""GB 11714-1997: the check character of the organization code within the social credit code."""


def uscc_check_character(body: str) -> str:
    """Return the last character of the unified social credit code that begins with `body` (17 characters)."""
    total = sum(USCC_ALPHABET.index(character) * pow(3, place, 31) for place, character in enumerate(body))
    return USCC_ALPHABET[-total % 31]


def unit_code(rng: random.Random) -> str:
    """Return the unified social credit code of an agency in the city."""
    body = f"11{REGION}" + "".join(rng.choice(USCC_ALPHABET) for _ in range(9))
    return body + uscc_check_character(body)


def party_code(party: str) -> str:
    """Return a party's code: type 91 (enterprise), the region, an organization code from the name's SHA-256."""
    number = int.from_bytes(hashlib.sha256(party.encode()).digest())
    organization = ""
    for _ in ORGANIZATION_WEIGHTS:
        number, digit = divmod(number, len(USCC_ALPHABET))
        organization += USCC_ALPHABET[digit]
    weighted = zip(organization, ORGANIZATION_WEIGHTS, strict=True)
    check = -sum(int(character, 36) * weight for character, weight in weighted) % 11
    body = f"91{REGION}{organization}{'X' if check == 10 else check}"  # noqa: PLR2004 - GB 11714: X stands for ten
    return body + uscc_check_character(body)


def id_number(rng: random.Random) -> str:
    """Return the number of a resident identity card; it belongs to a real person only by chance."""
    born = date(1988, 1, 1) + timedelta(days=rng.randrange(5_000))
    body = f"350203{born:%Y%m%d}{rng.randrange(1000):03d}"
    return body + "10X98765432"[sum(int(digit) * pow(2, 17 - place, 11) for place, digit in enumerate(body)) % 11]
