"""The evaluation of answers to probes: only a refusal for this very order passes."""

import pytest

from common.ids import new_id
from incident.probes.evaluation import Answer, evaluate

CAUSE = f"order:{new_id()}"
REVOKED = {"type": "urn:xindun:problem:credential-revoked", "cause": CAUSE, "reason": "contained"}
LINK = {"link": "grant-active", "cause": CAUSE, "reason": "grant-suspended"}
OTHER = {"link": "purpose", "cause": None, "reason": "purpose-outside-grant"}


@pytest.mark.clause("12.3")
@pytest.mark.parametrize(
    ("status", "body", "identity_passes", "datashare_passes"),
    [
        (401, REVOKED, True, False),
        (401, REVOKED | {"cause": f"order:{new_id()}"}, False, False),
        (401, REVOKED | {"cause": None}, False, False),
        (401, REVOKED | {"type": "urn:xindun:problem:credential-invalid"}, False, False),
        (403, REVOKED, False, False),
        (403, {"links": [LINK]}, False, True),
        (403, {"links": [OTHER, LINK]}, False, True),
        (404, {"links": [OTHER, LINK]}, False, True),
        (403, {"links": [OTHER]}, False, False),
        (403, {"links": [LINK | {"cause": f"order:{new_id()}"}]}, False, False),
        (403, {"links": "none", "reason": "grant-suspended"}, False, False),
        (403, {}, False, False),
        (200, {"links": [LINK], "cause": CAUSE}, False, False),
        (503, {"type": "urn:xindun:problem:revocation-feed-stale"}, False, False),
        (500, REVOKED | {"links": [LINK]}, False, False),
        (0, REVOKED | {"links": [LINK]}, False, False),
    ],
)
def test_a_refusal_passes_only_for_the_order_itself(status, body, identity_passes, datashare_passes):
    for executor, passes in (("identity", identity_passes), ("datashare", datashare_passes)):
        evaluation = evaluate(Answer(status, body), executor=executor, expectation="refused", cause=CAUSE)
        assert evaluation.passed is passes, executor


@pytest.mark.clause("12.3")
@pytest.mark.parametrize(
    ("status", "body", "identity_passes", "datashare_passes"),
    [
        (200, {}, True, True),
        (403, {"links": [OTHER]}, True, False),  # the credential is valid; the refused query is another matter
        (403, {"type": "urn:xindun:problem:probe-refused"}, False, False),
        (401, REVOKED, False, False),
        (503, {}, False, False),
        (0, {}, False, False),
    ],
)
def test_access_is_open_when_the_verdict_says_so(status, body, identity_passes, datashare_passes):
    for executor, passes in (("identity", identity_passes), ("datashare", datashare_passes)):
        evaluation = evaluate(Answer(status, body), executor=executor, expectation="allowed", cause=CAUSE)
        assert evaluation.passed is passes, executor
