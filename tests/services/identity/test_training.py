"""Confidentiality training is graded and valid for a term; the undertaking is signed by its digest."""

from datetime import timedelta

import pytest

from identity.training.course import questions, undertaking
from tests.harness.client import slug
from tests.harness.people import right_answers, train, undertake


def wrong_answers(attempt: dict) -> dict[str, str]:
    return {name: "a" if letter != "a" else "b" for name, letter in right_answers(attempt).items()}


@pytest.mark.clause("6.1")
async def test_wrong_answers_fail_and_right_ones_pass_for_a_term(harness):
    _, admin = await harness.bare_unit()
    attempt = (await admin.post("/training/attempts")).json()
    assert len(attempt["questions"]) == 5
    assert "answer" not in attempt["questions"][0]
    assert (await admin.post("/training/attempts")).json() == attempt
    path = f"/training/attempts/{attempt['id']}/answers"
    answers = right_answers(attempt)
    some = dict(list(answers.items())[:4])
    assert slug(await admin.post(path, {"answers": some})) == "answers-incomplete"
    assert slug(await admin.post(path, {"answers": some | {"other": "a"}})) == "answers-incomplete"
    failed = (await admin.post(path, {"answers": wrong_answers(attempt)})).json()
    assert (failed["score"], failed["passed"], failed["valid_until"]) == (0, False, None)
    assert slug(await admin.post(path, {"answers": answers})) == "attempt-closed"
    assert (await admin.get("/me")).json()["standing"]["training_current"] is False
    attempt = (await admin.post("/training/attempts")).json()
    mostly = right_answers(attempt)
    one = next(iter(mostly))
    mostly[one] = wrong_answers(attempt)[one]
    passed = (await admin.post(f"/training/attempts/{attempt['id']}/answers", {"answers": mostly})).json()
    assert (passed["score"], passed["passed"]) == (80, True)
    await harness.event("training.begun", account_id=admin.id, attempt_id=attempt["id"])
    assert len(await harness.events("training.begun", account_id=admin.id)) == 2, (
        "one for each that was drawn, not for each look"
    )
    await harness.event("training.failed", account_id=admin.id, score=0)
    await harness.event("training.passed", account_id=admin.id, score=80)
    harness.clock.advance(timedelta(days=365))
    await admin.sign_in()
    assert (await admin.get("/me")).json()["standing"]["training_current"] is False


@pytest.mark.clause("6.1")
async def test_attempts_are_bounded_per_day_and_in_time(harness):
    _, admin = await harness.bare_unit()
    for _ in range(4):
        attempt = (await admin.post("/training/attempts")).json()
        await admin.post(f"/training/attempts/{attempt['id']}/answers", {"answers": wrong_answers(attempt)})
    attempt = (await admin.post("/training/attempts")).json()
    harness.clock.advance(timedelta(minutes=30))
    await admin.refresh()
    path = f"/training/attempts/{attempt['id']}/answers"
    assert slug(await admin.post(path, {"answers": right_answers(attempt)})) == "attempt-closed"
    answer = await admin.post("/training/attempts")
    assert (answer.status_code, slug(answer)) == (429, "training-attempts")
    harness.clock.advance(timedelta(days=1))
    await admin.sign_in()
    assert (await train(admin)).json()["passed"] is True


async def test_another_persons_attempt_does_not_exist(harness):
    _, admin = await harness.bare_unit()
    attempt = (await admin.post("/training/attempts")).json()
    answer = await harness.center.post(
        f"/training/attempts/{attempt['id']}/answers", {"answers": right_answers(attempt)}
    )
    assert answer.status_code == 404


async def test_a_system_is_not_trained(harness):
    _, admin = await harness.bare_unit()
    token = (await harness.service_token(await harness.register_system(admin))).json()["access_token"]
    headers = {"authorization": f"Bearer {token}"}
    answer = await harness.client.post("/identity/training/attempts", headers=headers)
    assert (answer.status_code, slug(answer)) == (403, "persons-only")


@pytest.mark.clause("6.1")
async def test_the_undertaking_is_signed_by_the_digest_of_its_text(harness):
    _, admin = await harness.bare_unit()
    text = (await admin.get("/undertaking")).json()
    assert text["digest"] == undertaking().digest
    assert slug(await admin.post("/undertaking/signatures", {"digest": "0" * 64})) == "undertaking-digest-differs"
    first = (await undertake(admin)).json()
    assert (await undertake(admin)).json() == first
    assert (await admin.get("/me")).json()["standing"]["undertaking_signed"] is True


async def test_the_bank_shows_its_questions_in_both_languages_without_answers(harness):
    rows = (await harness.center.get("/training/questions")).json()
    assert len(rows) >= 10
    assert {row["id"] for row in rows} == set(questions())
    for row in rows:
        assert set(row) == {"id", "zh", "en", "options"}
        assert questions()[row["id"]].answer in row["options"]
        assert all(option["zh"] and option["en"] for option in row["options"].values())
