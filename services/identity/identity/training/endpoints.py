"""Doors of training and undertaking: for everybody with an account, whatever the post."""

from uuid import UUID

from common.web.dependencies import WriteDep
from common.web.routing import router
from identity.permissions import AnyCredential
from identity.runtime import RuntimeDep
from identity.training import course as material
from identity.training import service
from identity.training.schemas import (
    Answers,
    AttemptView,
    QuestionView,
    ResultView,
    SignatureView,
    SignedText,
    UndertakingView,
)

__all__ = ["routes"]

routes = router("/identity", "training")


@routes.get("/training/questions")
async def list_questions(_: AnyCredential) -> list[QuestionView]:
    """Return everything that may be asked, to learn from: without the answers."""
    return [QuestionView.of(question) for question in material.questions().values()]


@routes.post("/training/attempts", status_code=201)
async def begin_attempt(principal: AnyCredential, write: WriteDep, runtime: RuntimeDep) -> AttemptView:
    """Get five questions drawn at random; while they are open, the same ones again."""
    return AttemptView.of(await service.begin(write.session, runtime, principal))


@routes.post("/training/attempts/{attempt_id}/answers")
async def answer_attempt(
    attempt_id: UUID, body: Answers, principal: AnyCredential, write: WriteDep, runtime: RuntimeDep
) -> ResultView:
    """Answer all questions of an attempt, once; graded at once."""
    return ResultView.of(await service.answer(write.session, runtime, principal, attempt_id, body.answers))


@routes.get("/undertaking")
async def get_undertaking(_: AnyCredential) -> UndertakingView:
    """Return the confidentiality undertaking."""
    text = material.undertaking()
    return UndertakingView(zh=text.zh, en=text.en, digest=text.digest)


@routes.post("/undertaking/signatures", status_code=201)
async def sign_undertaking(
    body: SignedText, principal: AnyCredential, write: WriteDep, runtime: RuntimeDep
) -> SignatureView:
    """Sign the undertaking by the digest of the text that was read."""
    return SignatureView.of(await service.sign(write.session, runtime, principal, digest=body.digest))
