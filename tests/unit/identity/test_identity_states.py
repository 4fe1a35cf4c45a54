"""Every state machine of identity, each state against each step."""

import itertools

import pytest

from common.storage.state_machine import StateMachine
from identity.accounts import models as accounts
from identity.accounts.problems import AccountStep
from identity.departures import models as departures
from identity.departures.problems import DepartureStep
from identity.handovers import models as handovers
from identity.handovers.problems import HandoverStep
from identity.systems import models as systems
from identity.systems.problems import SystemStep
from identity.units import models as units
from identity.units.problems import UnitStep

MACHINES = [
    (units.Unit, units.UnitState, units.Unit.TRANSITIONS, UnitStep, "decommissioned"),
    (systems.ConnectedSystem, systems.SystemState, systems.ConnectedSystem.TRANSITIONS, SystemStep, "decommissioned"),
    (accounts.Account, accounts.AccountState, accounts.Account.TRANSITIONS, AccountStep, "revoked"),
    (departures.Departure, departures.DepartureState, departures.Departure.TRANSITIONS, DepartureStep, "closed"),
    (handovers.Handover, handovers.HandoverState, handovers.Handover.TRANSITIONS, HandoverStep, "completed"),
]


def row_of(model, state):
    """Return a thing with the model's transitions, apart from the database."""
    row = type("Row", (StateMachine,), {"TRANSITIONS": model.TRANSITIONS, "STEP_PROBLEM": model.STEP_PROBLEM})()
    row.state = state
    return row


@pytest.mark.clause("3.1")
@pytest.mark.parametrize(("model", "states", "table", "problem", "last"), MACHINES)
def test_a_state_changes_by_its_table_and_no_other_way(model, states, table, problem, last):
    assert set(table) == set(states)
    for begin, end in itertools.product(states, states):
        row = row_of(model, begin)
        if end in table[begin]:
            row.move_to(end)
            assert row.state == end
        else:
            with pytest.raises(problem):
                row.move_to(end)
            assert row.state == begin


@pytest.mark.clause("3.1")
@pytest.mark.parametrize(("model", "states", "table", "problem", "last"), MACHINES)
def test_every_lifecycle_can_end_and_the_end_is_final(model, states, table, problem, last):
    assert table[states(last)] == frozenset()
    reached, todo = set(), [next(iter(states))]
    while todo:
        state = todo.pop()
        if state not in reached:
            reached.add(state)
            todo += table[state]
    assert reached == set(states)
