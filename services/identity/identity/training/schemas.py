"""Bodies of the training and undertaking endpoints."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from identity.training.course import Question, questions
from identity.training.models import Attempt, Result, Signature


class TrainingOptionResponse(BaseModel):
    """An option of a question."""

    zh: str
    en: str


class TrainingQuestionResponse(BaseModel):
    """A question, without its answer."""

    id: str
    zh: str
    en: str
    options: dict[str, TrainingOptionResponse]

    @classmethod
    def of(cls, question: Question) -> Self:
        """Build from a question."""
        options = {letter: TrainingOptionResponse.model_validate(text) for letter, text in question.options.items()}
        return cls(id=question.id, zh=question.zh, en=question.en, options=options)


class TrainingAttemptResponse(BaseModel):
    """The questions of an attempt, to be answered before `expires_at`."""

    id: UUID
    begun_at: datetime
    expires_at: datetime
    questions: list[TrainingQuestionResponse]

    @classmethod
    def of(cls, attempt: Attempt) -> Self:
        """Build from a row."""
        asked = [TrainingQuestionResponse.of(questions()[name]) for name in attempt.questions if name in questions()]
        return cls(id=attempt.id, begun_at=attempt.begun_at, expires_at=attempt.expires_at, questions=asked)


class TrainingAnswersRequest(BaseModel):
    """A letter for each question, by its id."""

    model_config = ConfigDict(extra="forbid")
    answers: Annotated[
        dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(pattern="^[a-z]$")]], Field(max_length=50)
    ]


class TrainingResultResponse(BaseModel):
    """The grade of an attempt; `score` and `pass_mark` in percent."""

    attempt_id: UUID
    score: int
    pass_mark: int
    passed: bool
    valid_until: datetime | None

    @classmethod
    def of(cls, result: Result) -> Self:
        """Build from a row."""
        return cls.model_validate(result, from_attributes=True)


class UndertakingResponse(BaseModel):
    """The text to sign and its digest."""

    zh: str
    en: str
    digest: str


class UndertakingSignatureRequest(BaseModel):
    """The digest of the text that was read."""

    model_config = ConfigDict(extra="forbid")
    digest: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class UndertakingSignatureResponse(BaseModel):
    """A signature."""

    id: UUID
    digest: str
    signed_at: datetime

    @classmethod
    def of(cls, signature: Signature) -> Self:
        """Build from a row."""
        return cls.model_validate(signature, from_attributes=True)
