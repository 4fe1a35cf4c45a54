"""Valid identifiers of invented persons and organisations."""

import random

from stdnum.cn import uscc

from demo import identifiers

RNG = random.Random(20240101)


def id_number(rng: random.Random = RNG) -> str:
    return identifiers.id_number(rng)


def unit_code(rng: random.Random = RNG) -> str:
    return identifiers.unit_code(rng)


def company_code(number: int) -> str:
    """Return a unified social credit code of a company, another for each number."""
    body = f"91350200{number:09d}"
    return body + uscc.calc_check_digit(body)
