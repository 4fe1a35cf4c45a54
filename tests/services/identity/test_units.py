"""Units are registered from a file, suspended, reinstated and decommissioned."""

import pytest

from tests.harness.client import slug
from tests.harness.identifiers import unit_code

HEAD = "name,uscc,kind,level,duties\n"


@pytest.mark.clause("4.1")
async def test_good_rows_are_registered_and_bad_ones_come_back_with_line_column_and_reason(harness):
    good, other = unit_code(), unit_code()
    wrong = good[:-1] + ("0" if good[-1] != "0" else "1")
    answer = await harness.import_units(
        "\ufeff"
        + HEAD
        + f'"厦门市\n市场监督管理局",{good.lower()},agency,municipal,uses;maintains\n'
        + f"厦门市住房和建设局,{wrong},agency,municipal,uses\n"
        + f"厦门水务集团,{other},public-service,district,uses\n"
        + f"厦门市发改委,{unit_code()},authority,municipal,uses\n"
        + f"厦门市交通运输局,{unit_code()},agency,village,uses\n"
        + f"厦门市生态环境局,{unit_code()},agency,municipal,watches\n"
        + f",{unit_code()},agency,municipal,uses\n"
        + "too,few\n"
        + f"厦门另一局,{other},agency,municipal,uses\n"
    )
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert [unit["uscc"] for unit in body["registered"]] == [other]
    assert [(row["line"], row["column"], row["reason"]) for row in body["rejected"]] == [
        (2, "name", "name-invalid"),
        (4, "uscc", "uscc-invalid"),
        (6, "kind", "kind-reserved"),
        (7, "level", "level-unknown"),
        (8, "duties", "duties-unknown"),
        (9, "name", "name-invalid"),
        (10, None, "wrong-number-of-columns"),
        (11, "uscc", "uscc-registered"),
    ]
    assert all(row["reason_zh"] and row["reason_en"] for row in body["rejected"])
    await harness.event("unit.registered", uscc=other, level="district", duties=["uses"])


async def test_the_same_file_again_changes_nothing(harness):
    code = unit_code()
    text = HEAD + f"厦门市卫生健康委员会,{code},agency,municipal,uses\n"
    first = (await harness.import_units(text)).json()
    again = (await harness.import_units(text)).json()
    assert first["registered"] == again["unchanged"]
    assert again["registered"] == again["rejected"] == []
    await harness.event("unit.registered", uscc=code)
    assert len(await harness.events("unit.registered", uscc=code)) == 1


@pytest.mark.parametrize("content", [b"\xff\xfe", b"", b"name,uscc\n", b'name,uscc,kind,level,"duties'])
async def test_a_file_with_other_columns_is_refused_as_a_whole(harness, content):
    answer = await harness.import_units(content)
    assert (answer.status_code, slug(answer)) == (422, "csv-unreadable")


async def test_a_unit_sees_itself_and_no_other(harness):
    own, admin = await harness.bare_unit()
    other, _ = await harness.bare_unit()
    assert [unit["id"] for unit in (await admin.get("/units")).json()["items"]] == [own]
    assert (await admin.get(f"/units/{own}")).status_code == 200
    assert (await admin.get(f"/units/{other}")).status_code == 404
    assert len((await harness.authority.get("/units")).json()["items"]) == 4


@pytest.mark.clause("5d.3")
async def test_suspending_a_unit_ends_every_credential_until_every_cause_is_lifted(harness):
    unit, admin = await harness.bare_unit()
    system = await harness.register_system(admin)
    token = (await harness.service_token(system)).json()["access_token"]
    for side in (harness.center, harness.authority):
        answer = await side.post(f"/units/{unit}/suspend", {"reason": "检查发现问题"})
        assert answer.status_code == 200, answer.text
        assert answer.json()["effective"]["effective_at"]
    assert slug(await admin.get("/me")) == "credential-revoked"
    assert slug(await harness.with_token(token)) == "credential-revoked"
    assert (await admin.try_refresh()).json()["reason"] == "ended"
    assert slug(await admin.try_sign_in()) == "unit-suspended"
    assert (await harness.service_token(system)).json()["reason"] == "unit-suspended"
    again = await harness.center.post(f"/units/{unit}/reinstate")
    assert again.json()["state"] == "suspended"
    assert slug(await admin.try_sign_in()) == "unit-suspended"
    again = await harness.authority.post(f"/units/{unit}/reinstate")
    assert again.json()["state"] == "registered"
    assert slug(await harness.with_token(token)) == "credential-revoked"
    await admin.sign_in()
    assert (await harness.service_token(system)).status_code == 200
    await harness.event("unit.reinstated", unit_id=unit)
    assert len(await harness.events("unit.suspended", unit_id=unit)) == 2
    assert len(await harness.events("unit.reinstated", unit_id=unit)) == 1


@pytest.mark.clause("3.1")
async def test_decommissioning_a_unit_ends_its_people_and_systems_and_keeps_their_records(harness):
    unit, admin = await harness.bare_unit()
    clerk = await harness.clerk(admin)
    system = await harness.register_system(admin)
    answer = await harness.center.post(f"/units/{unit}/decommission", {"reason": "机构撤销"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["unit"]["state"] == "decommissioned"
    for person in (admin, clerk):
        assert slug(await person.get("/me")) == "credential-revoked"
        assert slug(await person.try_sign_in()) == "sign-in-refused"
        await harness.event("account.revoked", account_id=person.id)
    assert (await harness.service_token(system)).status_code == 401
    await harness.event("system.decommissioned", system_id=system["id"])
    await harness.event("unit.decommissioned", unit_id=unit)
    kept = (await harness.center.get(f"/accounts?unit={unit}")).json()["items"]
    assert {row["state"] for row in kept} == {"revoked"}
    for step in ("suspend", "decommission"):
        answer = await harness.center.post(f"/units/{unit}/{step}", {"reason": "再次"})
        assert answer.status_code == (409 if step == "suspend" else 200)


async def test_authority_and_center_cannot_be_suspended(harness):
    for unit in (await harness.authority.get("/units")).json()["items"]:
        answer = await harness.center.post(f"/units/{unit['id']}/suspend", {"reason": "试一试"})
        assert (answer.status_code, slug(answer)) == (409, "unit-not-suspendable")


async def test_only_the_center_registers_units(harness):
    _, admin = await harness.bare_unit()
    for person in (admin, harness.authority):
        answer = await harness.client.post("/identity/units/import", content=HEAD, headers=person.headers)
        assert (answer.status_code, slug(answer)) == (403, "permission-missing")
