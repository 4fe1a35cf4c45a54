"""The steps of the scenario, in the order in which they are performed."""

from demo.scenario import Scenario
from demo.steps.granting import apply_and_sign, open_resource
from demo.steps.offboarding import contain_breach, export_evidence, offboard_clerk
from demo.steps.onboarding import onboard_clerk, register_unit
from demo.steps.querying import query_data

CHAPTERS = (
    register_unit,
    onboard_clerk,
    open_resource,
    apply_and_sign,
    query_data,
    offboard_clerk,
    contain_breach,
    export_evidence,
)


async def run_scenario(scenario: Scenario) -> None:
    """Perform all steps. Raises `StepFailedError` at the first response that is not as expected."""
    for chapter in CHAPTERS:
        await chapter(scenario)
