"""After any path that ends or suspends, nothing of its subject authenticates; what comes back comes by new credentials."""

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.harness.in_process_platform import running_platform
from tests.platform.harness import FlowingClock, PlatformHarness, Unit
from tests.platform.revocation_state_machine import RevocationStateMachine, Stage

EXAMPLES, STEPS = 5, 12

WALK: tuple[tuple[str, dict[str, str | int]], ...] = (
    ("somebody_signs_in", {"name": "clerk"}),
    ("somebody_signs_out", {"which": 0}),
    ("a_refresh_token_comes_twice", {}),
    ("somebody_signs_in", {"name": "clerk"}),
    ("the_center_suspends_an_account", {"name": "clerk"}),
    ("somebody_signs_in", {"name": "clerk"}),
    ("the_center_reinstates_accounts", {}),
    ("somebody_signs_in", {"name": "clerk"}),
    ("the_unit_ends_the_appointment", {}),
    ("a_breach_is_contained", {"name": "clerk"}),
    ("two_people_lift_the_containment", {}),
    ("somebody_signs_in", {"name": "clerk"}),
    ("the_secret_is_rotated", {}),
    ("the_system_asks_for_a_token", {}),
    ("a_breach_is_contained", {"name": "system"}),
    ("the_system_asks_for_a_token", {}),
    ("the_system_is_suspended", {"by": "center"}),
    ("two_people_lift_the_containment", {}),
    ("the_system_asks_for_a_token", {}),
    ("the_system_is_reinstated", {}),
    ("the_system_asks_for_a_token", {}),
    ("the_system_is_suspended", {"by": "unit"}),
    ("the_system_is_reinstated", {}),
    ("the_invitation_is_renewed", {}),
    ("the_system_asks_for_a_token", {}),
    ("the_unit_is_suspended", {"side": "authority"}),
    ("the_unit_is_suspended", {"side": "center"}),
    ("somebody_signs_in", {"name": "administrator"}),
    ("the_system_asks_for_a_token", {}),
    ("the_code_of_the_invitation_serves_where_it_may", {}),
    ("the_unit_is_reinstated", {}),
    ("somebody_signs_in", {"name": "administrator"}),
    ("the_unit_is_suspended", {"side": "center"}),
    ("the_unit_is_reinstated", {}),
    ("somebody_signs_in", {"name": "administrator"}),
    ("somebody_signs_in", {"name": "clerk"}),
    ("the_unit_reports_a_departure", {}),
    ("somebody_signs_in", {"name": "clerk"}),
    ("the_center_cancels_the_account", {}),
    ("somebody_signs_in", {"name": "clerk"}),
    ("the_system_asks_for_a_token", {}),
    ("the_system_is_decommissioned", {}),
    ("the_unit_is_decommissioned", {}),
    ("the_code_of_the_invitation_serves_where_it_may", {}),
)
"""Every rule once, in one order that is possible; hypothesis finds the others."""
PATHS = {
    "cancel account",
    "contain clerk",
    "contain system",
    "decommission system",
    "decommission unit",
    "end appointment",
    "refresh re-use",
    "renew invitation",
    "report departure",
    "rotate secret",
    "sign out",
    "suspend account",
    "suspend system by center",
    "suspend system by unit",
    "suspend unit by authority",
    "suspend unit by center",
}


def _walk(machine: Any) -> None:
    """Apply every rule, with the promise held against the platform after each."""
    machine.arrive()
    for step, how in WALK:
        getattr(machine, step)(**how)
        machine.what_was_ended_is_refused_everywhere()
        machine.everything_else_goes_on()
    machine.teardown()


@pytest.mark.clause("6.5")
@pytest.mark.clause("5d.3")
@pytest.mark.clause("12.3")
def test_nothing_that_was_ended_authenticates_anywhere(databases):
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        clock = FlowingClock()
        running = running_platform(databases, clock)
        platform = runner.run(running.__aenter__())
        try:
            harness = runner.run(PlatformHarness(platform, clock).begin())
            bystander = runner.run(harness.unit())
            stage = Stage(runner, harness, bystander, runner.run(_some_order(harness, bystander)))
            machine = type("Machine", (RevocationStateMachine,), {"stage": stage})
            _walk(machine())
            assert stage.paths.keys() == PATHS
            run_state_machine_as_test(
                machine,
                settings=settings(
                    max_examples=EXAMPLES,
                    stateful_step_count=STEPS,
                    derandomize=True,
                    database=None,
                    deadline=None,
                    phases=[Phase.generate],
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(running.__aexit__(None, None, None))
    assert sum(stage.paths.values()) > 2 * len(PATHS)
    assert stage.checked > 100


async def _some_order(harness: PlatformHarness, bystander: Unit) -> str:
    """A containment order that identity knows: what probe credentials are issued for."""
    system = await harness.system(bystander.admin)
    await harness.platform.settle()
    body = await harness.authority.done(
        "/incident/breaches", harness.breach(systems=[system.id]), params={"wait_ms": 5000}
    )
    order: str = next(order["id"] for order in body["orders"] if order["executor"] == "identity")
    return order
