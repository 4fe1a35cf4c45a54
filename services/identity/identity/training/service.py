"""Draws questions, grades answers, takes signatures."""

import random
from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common.contracts.events.identity import TrainingFailed, TrainingPassed, TrainingStarted, UndertakingSigned
from common.enforcement.principals import Principal
from common.ids import new_id
from common.messaging import outbox
from common.problems import NotFound
from identity.accounts.problems import PersonsOnly
from identity.accounts.queries import lock_account
from identity.runtime import Runtime
from identity.training.course import questions, undertaking
from identity.training.models import Attempt, Result, Signature
from identity.training.problems import AttemptClosed, TooManyAttempts, UndertakingDiffers, WrongAnswers
from identity.training.queries import count_attempts_since, get_attempt, get_open_attempt, get_result, get_signature

QUESTIONS_PER_ATTEMPT = 5
ATTEMPTS_WINDOW = timedelta(days=1)
MAX_ATTEMPTS_PER_DAY = 5
ATTEMPT_TERM = timedelta(minutes=30)
_RANDOM = random.SystemRandom()


async def begin(session: AsyncSession, runtime: Runtime, principal: Principal) -> Attempt:
    """Return an attempt with questions drawn at random, or the open attempt. Clause 6.1.

    Raises `PersonsOnly`, `TooManyAttempts`.
    """
    account_id = await _person(session, principal)
    now = runtime.clock.now()
    if waiting := await get_open_attempt(session, account_id, now):
        return waiting
    if await count_attempts_since(session, account_id, now - ATTEMPTS_WINDOW) >= MAX_ATTEMPTS_PER_DAY:
        raise TooManyAttempts(
            headers={"Retry-After": str(int(ATTEMPTS_WINDOW.total_seconds()))}, attempts=MAX_ATTEMPTS_PER_DAY
        )
    drawn = _RANDOM.sample(sorted(questions()), QUESTIONS_PER_ATTEMPT)
    attempt = Attempt(id=new_id(), account_id=account_id, questions=drawn, begun_at=now, expires_at=now + ATTEMPT_TERM)
    session.add(attempt)
    assert principal.unit is not None
    event = TrainingStarted(account_id=account_id, unit_id=principal.unit, attempt_id=attempt.id)
    outbox.add(session, event, at=now)
    return attempt


async def answer(
    session: AsyncSession, runtime: Runtime, principal: Principal, attempt_id: UUID, answers: Mapping[str, str]
) -> Result:
    """Grade an attempt by the policies in force (`training-pass`, `training-term`). Clause 6.1.

    Raises `PersonsOnly`, `NotFound`, `AttemptClosed`, `WrongAnswers`.
    """
    account_id = await _person(session, principal)
    attempt = await get_attempt(session, attempt_id, account_id)
    if attempt is None:
        raise NotFound
    now = runtime.clock.now()
    if now >= attempt.expires_at or await get_result(session, attempt.id):
        raise AttemptClosed
    if set(answers) != set(attempt.questions):
        raise WrongAnswers(questions=attempt.questions)
    bank = questions()
    right = sum(1 for name in attempt.questions if name in bank and answers[name] == bank[name].answer)
    score = 100 * right // len(attempt.questions)
    mark = runtime.policies.at("training-pass", now).value
    term = timedelta(days=runtime.policies.at("training-term", now).value)
    result = Result(
        attempt_id=attempt.id,
        account_id=account_id,
        answers=dict(answers),
        score=score,
        pass_mark=mark,
        graded_at=now,
        valid_until=now + term if score >= mark else None,
    )
    session.add(result)
    assert principal.unit is not None
    if result.valid_until:
        passed = TrainingPassed(
            account_id=account_id, unit_id=principal.unit, score=score, valid_until=result.valid_until
        )
        outbox.add(session, passed, at=now)
    else:
        outbox.add(session, TrainingFailed(account_id=account_id, unit_id=principal.unit, score=score), at=now)
    return result


async def sign(session: AsyncSession, runtime: Runtime, principal: Principal, *, digest: str) -> Signature:
    """Sign the undertaking; the digest says which text was read. Clause 6.1. Raises `PersonsOnly`, `UndertakingDiffers`."""
    account_id = await _person(session, principal)
    if digest != undertaking().digest:
        raise UndertakingDiffers(digest=undertaking().digest)
    if known := await get_signature(session, account_id, digest):
        return known
    now = runtime.clock.now()
    signature = Signature(id=new_id(), account_id=account_id, digest=digest, signed_at=now)
    session.add(signature)
    assert principal.unit is not None
    outbox.add(session, UndertakingSigned(account_id=account_id, unit_id=principal.unit, digest=digest), at=now)
    return signature


async def _person(session: AsyncSession, principal: Principal) -> UUID:
    """Lock the person's account, so that parallel requests cannot exceed a limit. Raises `PersonsOnly`."""
    if principal.kind != "account":
        raise PersonsOnly
    if await lock_account(session, principal.uuid, None) is None:
        raise PersonsOnly
    return principal.uuid
