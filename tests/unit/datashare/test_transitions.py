"""Which steps applications, agreements and grants may take: every one that is not in the table is refused."""

from itertools import product

import pytest

from common.clock import SystemClock
from common.ids import new_id
from datashare.agreements import models as agreements
from datashare.agreements.problems import AgreementStep
from datashare.applications import models as applications
from datashare.applications.problems import ApplicationStep
from datashare.grants import models as grants
from datashare.grants.problems import GrantStep

NOW = SystemClock().now()


def application(state):
    return applications.Application(
        id=new_id(),
        unit_id=new_id(),
        resource_id=new_id(),
        applicant=new_id(),
        purposes=["p"],
        fields=["f"],
        systems=[],
        origins=[],
        term_days=1,
        quota_calls=1,
        quota_rows=1,
        quota_subjects=1,
        reason="r",
        submitted_at=NOW,
        state=state,
    )


@pytest.mark.parametrize(("state", "wanted"), list(product(applications.ApplicationState, repeat=2)))
def test_an_application_takes_the_steps_of_its_table_alone(state, wanted):
    made = application(state)
    if wanted in applications.Application.TRANSITIONS[state]:
        made.move_to(wanted)
        assert made.state == wanted
    else:
        with pytest.raises(ApplicationStep):
            made.move_to(wanted)
        assert made.state == state


def test_nothing_but_a_decision_approves():
    states = applications.ApplicationState
    leading = [state for state, steps in applications.Application.TRANSITIONS.items() if states.APPROVED in steps]
    assert leading == [states.ADVISED]


@pytest.mark.parametrize(("state", "wanted"), list(product(agreements.AgreementState, repeat=2)))
def test_an_agreement_takes_the_steps_of_its_table_alone(state, wanted):
    made = agreements.Agreement(
        id=new_id(),
        application_id=new_id(),
        unit_id=new_id(),
        resource_id=new_id(),
        text="",
        terms={},
        digest="",
        drawn_up_at=NOW,
        state=state,
    )
    if wanted in agreements.Agreement.TRANSITIONS[state]:
        made.move_to(wanted)
        assert made.state == wanted
    else:
        with pytest.raises(AgreementStep):
            made.move_to(wanted)


@pytest.mark.parametrize(("state", "wanted"), list(product(grants.GrantState, repeat=2)))
def test_a_grant_takes_the_steps_of_its_table_alone(state, wanted):
    made = grants.Grant(
        id=new_id(),
        unit_id=new_id(),
        resource_id=new_id(),
        agreement_id=new_id(),
        systems=[],
        purposes=[],
        fields=[],
        origins=[],
        valid_from=NOW,
        valid_until=NOW,
        quota_calls=1,
        quota_rows=1,
        quota_subjects=1,
        revoked_at=NOW if state == grants.GrantState.REVOKED else None,
    )
    suspension = grants.Suspension(
        id=new_id(), grant_id=made.id, cause="c", reason="r", suspended_by="x", suspended_at=NOW
    )
    held = [suspension] if state == grants.GrantState.SUSPENDED else []
    assert made.state(held) == state
    if wanted in grants.TRANSITIONS[state]:
        made.require_step(held, wanted)
    else:
        with pytest.raises(GrantStep):
            made.require_step(held, wanted)


def test_a_revoked_grant_stays_revoked():
    assert grants.TRANSITIONS[grants.GrantState.REVOKED] == frozenset()
