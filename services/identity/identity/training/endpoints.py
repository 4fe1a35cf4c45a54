"""Endpoints of training and undertaking, open to every account."""

from uuid import UUID

from common.problems import NotFound
from common.web.dependencies import WriteDep
from common.web.openapi import operation
from common.web.routing import router
from identity.accounts.problems import PersonsOnly
from identity.permissions import AnyCredential
from identity.runtime import RuntimeDep
from identity.training import course, service
from identity.training.problems import AttemptClosed, TooManyAttempts, UndertakingDiffers, WrongAnswers
from identity.training.schemas import (
    TrainingAnswersRequest,
    TrainingAttemptResponse,
    TrainingQuestionResponse,
    TrainingResultResponse,
    UndertakingResponse,
    UndertakingSignatureRequest,
    UndertakingSignatureResponse,
)

routes = router("/identity", "training")


@routes.get("/training/questions")
@operation("查看培训题库", "List training questions")
async def list_questions(_: AnyCredential) -> list[TrainingQuestionResponse]:
    """Return all questions, without the answers, to learn from."""
    return [TrainingQuestionResponse.of(question) for question in course.questions().values()]


@routes.post("/training/attempts", status_code=201)
@operation("开始保密教育测试", "Begin a training attempt", PersonsOnly, TooManyAttempts)
async def begin_attempt(principal: AnyCredential, write: WriteDep, runtime: RuntimeDep) -> TrainingAttemptResponse:
    """Return five random questions; until they are answered or expire, the same ones again."""
    return TrainingAttemptResponse.of(await service.begin(write.session, runtime, principal))


@routes.post("/training/attempts/{attempt_id}/answers")
@operation("提交测试答案", "Answer a training attempt", PersonsOnly, NotFound, AttemptClosed, WrongAnswers)
async def answer_attempt(
    attempt_id: UUID, body: TrainingAnswersRequest, principal: AnyCredential, write: WriteDep, runtime: RuntimeDep
) -> TrainingResultResponse:
    """Answer all questions of an attempt, once; return the grade."""
    return TrainingResultResponse.of(await service.answer(write.session, runtime, principal, attempt_id, body.answers))


@routes.get("/undertaking")
@operation("查看保密承诺书", "Get the undertaking")
async def get_undertaking(_: AnyCredential) -> UndertakingResponse:
    """Return the confidentiality undertaking."""
    text = course.undertaking()
    return UndertakingResponse(zh=text.zh, en=text.en, digest=text.digest)


@routes.post("/undertaking/signatures", status_code=201)
@operation("签署保密承诺书", "Sign the undertaking", PersonsOnly, UndertakingDiffers)
async def sign_undertaking(
    body: UndertakingSignatureRequest, principal: AnyCredential, write: WriteDep, runtime: RuntimeDep
) -> UndertakingSignatureResponse:
    """Sign the undertaking by the digest of the text that was read."""
    return UndertakingSignatureResponse.of(await service.sign(write.session, runtime, principal, digest=body.digest))
