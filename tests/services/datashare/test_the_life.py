"""From a registered resource to a query and its refusals, as the actors live it."""

import pytest

from tests.services.datashare.datashare_world import subject


@pytest.mark.clause("10.4")
async def test_a_system_gets_the_granted_fields_masked(world):
    await world.all_ready()
    answer = await world.query(3)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    code = subject(3)
    assert body["records"] == [
        {
            "uscc": code[:4] + "*" * 12 + code[-2:],
            "party": "某" + "*" * 5,
            "penalty_date": "2024-03-04",
            "amount": "0-10000",
        }
    ]
    assert body["next"] is None
    assert body["quota_left"] == {"calls": 99, "rows": 999, "subjects": 49}
    (said,) = await world.told("data.queried")
    assert said["rows"] == 1
    assert said["query_id"] == body["query_id"]
    assert await world.count("queries") == 1
