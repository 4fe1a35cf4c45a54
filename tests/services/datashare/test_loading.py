"""Records come from CSV by stream; what cannot be loaded is kept with line, field and reason."""

import asyncio
import io
import os
from pathlib import Path

import pytest

from demo.sample_data import convert, generate, write
from tests.harness.client import slug
from tests.harness.identifiers import company_code
from tests.services.datashare.harness import CODE, RESOURCE, csv_of

PUBLISHED_PENALTIES = Path(os.environ.get("PUBLISHED_PENALTIES", "no-file"))
"""A CSV of published penalties, such as `demo.sample_data.convert` reads."""


async def registered(harness) -> None:
    assert (await harness.center.post("/resources", RESOURCE)).status_code == 201


async def rejects(harness, load: str) -> list[tuple]:
    rows = (await harness.center.get(f"/resources/{CODE}/loads/{load}/rejects")).json()
    return [(row["line"], row["field"], row["reason"]) for row in rows]


async def test_good_rows_go_in_and_bad_ones_are_kept_with_their_reason(harness):
    await registered(harness)
    good = company_code(1)
    bad_check = good[:-1] + ("0" if good[-1] != "0" else "1")
    lines = [
        "uscc,party,penalty_date,kind,amount,facts,authority,legal_basis",
        f"{good.lower()},甲公司,2020/1/2,— —,/,一\\n二,市监局,无",
        f"{bad_check},乙公司,2020-01-02,罚款,1,x,市监局,y",
        f"{good},丙公司,9999-9-9,罚款,1,x,市监局,y",
        f"{good},无,2020-01-02,罚款,1,x,市监局,y",
        f"{good},丁公司,2020-01-02,罚款,1,x,2020/1/2,y",
        f"{good},戊公司,2020-01-02,罚款,一千,x,市监局,y",
        f"{good},己公司,2020-01-02",
        f'{good},"庚"公司,2020-01-02,罚款,1,x,市监局,y',
        f'{good},辛公司,2020-01-02,罚款,1,"x\ny",市监局,z',
    ]
    answer = (await harness.load("\r\n".join(lines).encode())).json()
    assert (answer["loaded"], answer["repeated"], answer["rejected"], answer["again"]) == (2, 0, 7, False)
    assert await rejects(harness, answer["id"]) == [
        (3, "uscc", "not-a-uscc"),
        (4, "penalty_date", "missing"),
        (5, "party", "missing"),
        (6, "authority", "not-a-name"),
        (7, "amount", "not-an-amount"),
        (8, "*", "wrong-number-of-columns"),
        (9, "*", "not-csv"),
    ]
    async with harness.runtime.database.transaction() as session:
        from sqlalchemy import text

        rows = (await session.execute(text("SELECT subject, data FROM records ORDER BY id"))).all()
    assert rows[0].subject == good
    assert rows[0].data["facts"] == "一\n二"
    assert (rows[0].data["kind"], rows[0].data["amount"], rows[0].data["legal_basis"]) == (None, None, None)
    assert rows[1].data["facts"] == "x\ny"
    (said,) = await harness.events("records.loaded")
    assert (said["loaded"], said["rejected"]) == (2, 7)


async def test_the_same_file_again_is_the_same_load(harness):
    await registered(harness)
    first, again = (await harness.load(csv_of(30))).json(), (await harness.load(csv_of(30))).json()
    assert again == first | {"again": True}
    assert await harness.count("loads") == 1
    assert await harness.count("records") == 30
    overlapping = (await harness.load(csv_of(30, start=20))).json()
    assert (overlapping["loaded"], overlapping["repeated"]) == (20, 10)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        "统一社会信用代码,当事人\n".encode(),
        b"uscc,party,penalty_date,surprise\n",
        "uscc,统一社会信用代码,party,penalty_date\n".encode(),
        "统一社会信用代码,当事人,处罚日期".encode("gb18030"),
        csv_of(3000) + b'"open',
    ],
    ids=["empty", "column-missing", "column-unknown", "column-twice", "not-utf-8", "open-quote-at-the-end"],
)
async def test_a_file_that_is_wrong_as_a_whole_leaves_nothing(harness, content):
    await registered(harness)
    answer = await harness.load(content)
    assert (answer.status_code, slug(answer)) == (422, "csv-unreadable")
    assert await harness.count("records") == await harness.count("loads") == await harness.count("rejects") == 0


async def test_a_file_may_be_larger_than_other_bodies_and_comes_in_pieces(harness):
    await registered(harness)
    out = io.StringIO()
    count = write(generate(12_000, with_errors=True), out)
    content = out.getvalue().encode()
    assert len(content) > 2 * harness.settings.body_limit

    async def pieces():
        for at in range(0, len(content), 40_000):
            yield content[at : at + 40_000]

    answer = await harness.client.post(
        f"/datashare/resources/{CODE}/records", content=pieces(), headers=harness.center.headers
    )
    body = answer.json()
    assert answer.status_code == 200, body
    assert body["loaded"] + body["repeated"] + body["rejected"] == count
    assert body["rejected"] == count // 10
    assert len((await harness.center.get(f"/resources/{CODE}/loads/{body['id']}/rejects?limit=1000")).json()) == 1000


@pytest.mark.parametrize("declared", [True, False])
async def test_a_file_over_its_bound_is_refused(harness, declared, monkeypatch):
    from datashare.resources import endpoints

    monkeypatch.setattr(endpoints, "MAX_CSV_BYTES", 2_000)
    await registered(harness)

    async def pieces():
        yield csv_of(100)

    content = csv_of(100) if declared else pieces()
    answer = await harness.client.post(
        f"/datashare/resources/{CODE}/records", content=content, headers=harness.center.headers
    )
    assert answer.status_code == 413, answer.text
    assert await harness.count("records") == 0


async def test_only_the_center_loads_and_sees_loads(harness):
    await harness.opened()
    for actor in (harness.authority, harness.admin, harness.clerk, harness.system):
        answer = await harness.client.post(
            f"/datashare/resources/{CODE}/records", content=csv_of(1), headers=actor.headers
        )
        assert (answer.status_code, slug(answer)) == (403, "permission-missing")
        assert (await actor.get(f"/resources/{CODE}/loads")).status_code == 403
    loads = (await harness.center.get(f"/resources/{CODE}/loads")).json()["items"]
    assert [row["loaded"] for row in loads] == [20]
    assert (await harness.load(csv_of(1), "no-such-thing")).status_code == 404


@pytest.mark.skipif(not PUBLISHED_PENALTIES.exists(), reason="PUBLISHED_PENALTIES names no file")
async def test_the_published_penalties_load(harness):
    await registered(harness)
    out = io.StringIO()
    text = await asyncio.to_thread(PUBLISHED_PENALTIES.read_text, encoding="utf-8-sig")
    assert write(convert(io.StringIO(text, newline="")), out) == 100
    body = (await harness.load(out.getvalue().encode())).json()
    assert body["loaded"] + body["repeated"] + body["rejected"] == 100
    assert body["loaded"] >= 95
