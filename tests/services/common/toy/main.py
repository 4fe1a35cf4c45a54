"""Wires the toy."""

import asyncio
from typing import Annotated, Any
from uuid import UUID

from fastapi import FastAPI, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select, text
from sqlalchemy.orm import Mapped, mapped_column

from common.clock import SystemClock
from common.contracts.permissions import requires
from common.contracts.policies import POLICIES
from common.enforcement.principals import Principal
from common.ids import new_id
from common.messaging import outbox
from common.messaging.inbox import Handlers
from common.problems import Forbidden, NotFound
from common.settings import ServiceSettings
from common.storage.base import Base, new_metadata
from common.storage.pagination import paginate
from common.web import runtime
from common.web.application import create_service
from common.web.authorization import Anonymous
from common.web.dependencies import IfMatchDep, SessionDep, WriteDep, etag
from common.web.pagination import Page, PageDep
from common.web.routing import router
from common.web.runtime import RuntimeDep
from tests.services.common.toy.events import AccessRefused, QuestionAsked, ThingMade

AnyCredential = Annotated[Principal, requires(None)]
CanMake = Annotated[Principal, requires("accounts.invite")]
CanQuery = Annotated[Principal, requires("credit-data.query", class_a=True)]

routes = router("/toy", "toy")
handlers = Handlers()


class ToyBase(Base):
    __abstract__ = True
    metadata = new_metadata()


class ThingRow(ToyBase):
    __tablename__ = "things"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]


class Thing(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, Field(min_length=2, max_length=40)]
    size: int = 0


class Note(BaseModel):
    model_config = ConfigDict(extra="forbid")
    text: str = ""
    number: int | float | None = None
    id: UUID | None = None
    nested: Any = None


class TooGood(Forbidden):
    slug, zh, en = "too-good", "不可", "Not this one"


@routes.get("/whoami")
async def whoami(principal: AnyCredential) -> dict[str, str]:
    return {"subject": principal.subject}


@routes.post("/things", status_code=201)
async def make(
    body: Thing, principal: CanMake, write: WriteDep, runtime: RuntimeDep, response: Response
) -> dict[str, str]:
    if before := runtime.before:
        await before()
    thing = {"id": new_id(), "name": body.name, "size": body.size}
    await write.session.execute(text("INSERT INTO things VALUES (:id, :name, :size, 1)"), thing)
    outbox.add(write.session, ThingMade(name=body.name, size=body.size), at=runtime.clock.now())
    response.headers.update(etag(1) | {"Location": f"/toy/things/{thing['id']}"})
    if body.name == "too good":
        raise TooGood
    if after := runtime.after:
        await after()
    return {"id": str(thing["id"])}


@routes.put("/things/{thing_id}")
async def edit(thing_id: UUID, body: Thing, if_match: IfMatchDep, _: CanMake, write: WriteDep) -> Response:
    row = (
        await write.session.execute(text("SELECT version FROM things WHERE id = :id FOR UPDATE"), {"id": thing_id})
    ).first()
    if row is None:
        raise NotFound
    if_match.check(row.version)
    values = {"id": thing_id, "size": body.size}
    await write.session.execute(text("UPDATE things SET size = :size, version = version + 1 WHERE id = :id"), values)
    return Response(status_code=204, headers=etag(row.version + 1))


@routes.get("/things")
async def things(_: CanMake, session: SessionDep, page: PageDep) -> Page[str]:
    return Page.of(await paginate(session, select(ThingRow), ThingRow.id, page), lambda row: row.name)


@routes.post("/notes")
async def note(body: Note, _: Anonymous) -> dict[str, int]:
    return {"length": len(body.text)}


@routes.get("/broken")
async def broken(_: Anonymous) -> None:
    raise RuntimeError("110101199003070012 and eyJhbGciOiJFUzI1NiJ9.secret")


@routes.get("/slow")
async def slow(_: Anonymous, session: SessionDep) -> None:
    await asyncio.Event().wait()


@routes.post("/queries")
async def query(_: CanQuery) -> dict[str, str]:
    return {"answer": "yes"}


@handlers.on(QuestionAsked)
async def when_a_question_is_asked(session, event, envelope, runtime) -> None:
    effect = {"id": envelope.id, "about": event.about, "text": event.text}
    await session.execute(text("INSERT INTO effects (message_id, about, text) VALUES (:id, :about, :text)"), effect)
    outbox.add(session, ThingMade(name=event.about), at=runtime.clock.now())
    if react := runtime.react:
        await react(session, event)


class Runtime(runtime.Runtime):
    """`before`, `after` and `react` are what a test puts into an act."""

    before = after = react = None


def create_app(settings: ServiceSettings, bus, *, clock=None) -> FastAPI:
    made = Runtime("toy", settings, bus, clock or SystemClock(), POLICIES)
    return create_service(made, routers=[routes], refused=AccessRefused, handlers=handlers)
