"""Creates authority and center with their first administrators, once: `python -m identity.bootstrap --people FILE`.

FILE (`-`: standard input) names the people, so that no ID number appears in a command line:
`{"authority": {"name": …, "id_number": …}, "center": {…}}`, each with `login`, `unit_name`, `unit_code` if the defaults do
not fit. The command prints logins and activation codes; of the codes, only hashes are stored.
"""

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from stdnum.cn import uscc

from common.clock import SystemClock
from common.context import ActContext, new_traceparent, set_context
from common.contracts.topics import TOPICS
from common.enforcement.permissions import UnitKind
from common.messaging.in_process import InProcessBus
from common.problems import Conflict, Invalid, Problem
from identity.accounts import service as accounts
from identity.accounts.schemas import InvitationRequest, InvitationResponse, Login
from identity.posts.queries import get_post_by_name
from identity.runtime import Runtime
from identity.settings import Settings
from identity.units import service as units
from identity.units.models import Duty, Level
from identity.units.queries import list_units_by_kind, lock_registration

UNIT_NAMES = {UnitKind.AUTHORITY: "厦门市发展和改革委员会", UnitKind.CENTER: "厦门市信用中心"}
UNIT_CODES = {UnitKind.AUTHORITY: "11350200XD00000016", UnitKind.CENTER: "12350200XD00000026"}
"""Unassigned codes with valid check digits, for a trial; an installation names its own."""
POST_NAMES = {UnitKind.AUTHORITY: "authority-officer", UnitKind.CENTER: "center-officer"}
UNIT_DUTIES = {
    UnitKind.AUTHORITY: (Duty.MAINTAINS, Duty.USES),
    UnitKind.CENTER: (Duty.BUILDS, Duty.RUNS, Duty.MAINTAINS),
}


class AlreadyBootstrapped(Conflict):
    """409: authority or center exist already; their people invite the others."""

    slug = "already-bootstrapped"
    zh, en = (
        "主管部门或信用中心已经建立，此命令只能执行一次",
        "Authority or center exist already: this command works once",
    )


class FirstPerson(BaseModel):
    """The first administrator of a unit, and the unit."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    name: str
    id_number: SecretStr
    login: Login | None = None
    unit_name: Annotated[str, Field(min_length=2, max_length=200)] | None = None
    unit_code: str | None = None


class FirstPeople(BaseModel):
    """The first administrators; they invite the others."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    authority: FirstPerson
    center: FirstPerson


async def bootstrap(runtime: Runtime, people: FirstPeople) -> dict[str, InvitationResponse]:
    """Create both units and return their administrators' invitations, by `authority` and `center`. Clause 7.6.

    Raises `AlreadyBootstrapped`, `Invalid` for a wrong code, and what an invitation raises.
    """
    set_context(ActContext(actor="service:identity", traceparent=new_traceparent()))
    invited: dict[str, InvitationResponse] = {}
    async with runtime.database.transaction() as session:
        await lock_registration(session)
        if await list_units_by_kind(session, UnitKind.AUTHORITY, UnitKind.CENTER):
            raise AlreadyBootstrapped
        for kind, person in ((UnitKind.AUTHORITY, people.authority), (UnitKind.CENTER, people.center)):
            code = (person.unit_code or UNIT_CODES[kind]).upper()
            if not uscc.is_valid(code):
                raise Invalid("统一社会信用代码无效", "Not a unified social credit code", unit=kind.value)
            unit = await units.register(
                session,
                runtime,
                kind=kind,
                level=Level.MUNICIPAL,
                name=person.unit_name or UNIT_NAMES[kind],
                uscc=code,
                duties=UNIT_DUTIES[kind],
            )
            invitee = InvitationRequest(
                name=person.name, login=person.login or f"{kind}.admin", id_number=person.id_number
            )
            await session.flush()
            outcome = await accounts.invite(
                session,
                runtime,
                unit,
                name=invitee.name,
                login=invitee.login,
                id_number=invitee.id_number.get_secret_value(),
                by=None,
                post=await get_post_by_name(session, unit.id, POST_NAMES[kind]),
            )
            invited[kind.value] = InvitationResponse.of(outcome)
    return invited


def command_runtime(settings: Settings) -> Runtime:
    """Return a runtime for a command: it writes to the database alone, and the service's relay publishes the events."""
    return Runtime(settings.model_copy(update={"pool_size": 1}), InProcessBus(TOPICS), SystemClock())


async def _run(people: FirstPeople) -> dict[str, InvitationResponse]:
    runtime = command_runtime(Settings.load())  # the environment gives the rest
    try:
        return await bootstrap(runtime, people)
    finally:
        await runtime.database.close()


def main() -> None:
    """Read the people, and print their invitations once."""
    parser = argparse.ArgumentParser(description="Create authority and center with their first administrators, once.")
    parser.add_argument("--people", required=True, help="JSON file, or - for standard input")
    options = parser.parse_args()
    text = sys.stdin.read() if options.people == "-" else Path(options.people).read_text(encoding="utf-8")
    try:
        invited = asyncio.run(_run(FirstPeople.model_validate_json(text)))
    except (Problem, ValidationError) as error:
        sys.exit(f"{error.zh} / {error.en}" if isinstance(error, Problem) else str(error))
    answer = {kind: view.model_dump(mode="json") for kind, view in invited.items()}
    sys.stdout.write(json.dumps(answer, ensure_ascii=False, indent=2) + "\n")


if __name__ == "__main__":
    main()
