"""Every state of identity's things against every step, and where nothing leads back."""

import itertools
from types import SimpleNamespace

import pytest

from identity.accounts import models as accounts
from identity.departures import models as departures
from identity.departures.problems import DepartureStep
from identity.handovers import models as handovers
from identity.handovers.problems import HandoverStep
from identity.problems import AccountStep
from identity.systems import models as systems
from identity.systems.problems import SystemStep
from identity.units import models as units
from identity.units.problems import UnitStep

MACHINES = [
    (units.Unit, units.UnitState, units.TRANSITIONS, UnitStep, "decommissioned"),
    (systems.ConnectedSystem, systems.SystemState, systems.TRANSITIONS, SystemStep, "decommissioned"),
    (accounts.Account, accounts.AccountState, accounts.TRANSITIONS, AccountStep, "revoked"),
    (departures.Departure, departures.DepartureState, departures.TRANSITIONS, DepartureStep, "closed"),
    (handovers.Handover, handovers.HandoverState, handovers.TRANSITIONS, HandoverStep, "completed"),
]


@pytest.mark.clause("3.1")
@pytest.mark.parametrize(("model", "states", "table", "problem", "last"), MACHINES)
def test_a_state_changes_by_its_table_and_no_other_way(model, states, table, problem, last):
    assert set(table) == set(states)
    for begin, end in itertools.product(states, states):
        thing = SimpleNamespace(state=begin)
        if end in table[begin]:
            model.move_to(thing, end)
            assert thing.state == end
        else:
            with pytest.raises(problem):
                model.move_to(thing, end)
            assert thing.state == begin


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
