"""The documentation needs no other network, and the document is one that generators of clients can read."""

import asyncio
import re
import shutil
import subprocess
from collections import Counter
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin, urlsplit

import jsonschema_rs
import pytest
import schemathesis
import uvicorn

from gateway.openapi import STATIC
from tools.api_inventory import list_endpoints, service_apps

METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}
REFERENCES = {"src", "href", "action", "data", "poster", "srcset", "formaction", "ping", "manifest"}
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


class References(HTMLParser):
    """Collects every URL that a page makes a browser fetch, and whether it has script or style of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inline: list[str] = []
        self._in: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name in REFERENCES and value]
        self.inline += [f"{tag} {name}" for name, _ in attrs if name.startswith("on")]
        self._in = tag

    def handle_data(self, data: str) -> None:
        if self._in in ("script", "style") and data.strip():
            self.inline.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._in = None


@pytest.fixture(scope="module")
async def document(harness) -> dict[str, Any]:
    answer = await harness.client.get("/openapi.json")
    assert answer.status_code == 200
    body: dict[str, Any] = answer.json()
    return body


def _operations(document: dict[str, Any]):
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method in METHODS:
                yield path, method, operation


def _references(value: Any):
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for member in value.values():
            yield from _references(member)
    elif isinstance(value, list):
        for member in value:
            yield from _references(member)


def _schemas(value: Any):
    if isinstance(value, dict):
        for name, member in value.items():
            if name == "schema":
                yield member
            else:
                yield from _schemas(member)
    elif isinstance(value, list):
        for member in value:
            yield from _schemas(member)


async def test_the_page_and_all_that_it_loads_come_from_the_platform(harness):
    waiting, seen = ["/docs"], set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        answer = await harness.client.get(path)
        assert answer.status_code == 200, path
        assert answer.content, path
        kind = answer.headers["content-type"]
        if "html" in kind:
            page = References()
            page.feed(answer.text)
            assert page.inline == [], "the content policy lets no script of the page itself run"
            found = page.found
        elif "css" in kind:
            found = [
                url.strip("'\" ") for url in re.findall(r"url\(([^)]*)\)|@import\s+([^;]+)", answer.text) for url in url
            ]
        elif path == "/docs/start.js":
            found = re.findall(r'url:\s*"([^"]+)"', answer.text)
            assert found == ["/openapi.json"]
        else:
            found = []
        for url in found:
            if not url or url.startswith("data:"):
                continue
            assert (urlsplit(url).scheme, urlsplit(url).netloc) == ("", ""), (path, url)
            waiting.append(urljoin(path, url))
    assert {"/docs", "/docs/start.js", "/openapi.json", "/docs/static/swagger-ui-bundle.js"} <= seen


async def test_the_content_policy_lets_a_browser_load_from_the_platform_alone(harness):
    policy = (await harness.client.get("/docs")).headers["content-security-policy"]
    rules = {name: sources for name, *sources in (rule.split() for rule in policy.split(";"))}
    assert rules["default-src"] == ["'self'"]
    allowed = {source for sources in rules.values() for source in sources}
    assert allowed <= {"'self'", "'none'", "data:", "'unsafe-inline'"}
    assert "script-src" not in rules, "scripts fall under default-src: none but the platform's own files"


async def test_the_bundle_is_the_one_of_the_package_and_loads_no_further_script(harness):
    served = await harness.client.get("/docs/static/swagger-ui-bundle.js")
    text = (STATIC / "swagger-ui-bundle.js").read_text()
    assert served.text == text
    assert "importScripts(" not in text
    assert not re.search(r"""(?:src|href)\s*=\s*["']https?://""", text)


def test_the_document_is_openapi_3_1(document):
    assert document["openapi"].startswith("3.1.")
    assert document["info"]["title"]
    assert document["info"]["version"]
    schemathesis.openapi.from_dict(document).validate()
    validator = jsonschema_rs.Draft202012Validator
    for name, schema in document["components"]["schemas"].items():
        jsonschema_rs.meta.validate(schema | {"$schema": "https://json-schema.org/draft/2020-12/schema"})
        assert re.fullmatch(r"[A-Za-z0-9._-]+", name)
    for schema in _schemas(document["paths"]):
        validator({**schema, "components": document["components"]})


def test_every_reference_resolves(document):
    references = set(_references(document))
    assert len(references) > 50
    for reference in references:
        assert reference.startswith("#/"), reference
        place: Any = document
        for step in reference[2:].split("/"):
            place = place[step.replace("~1", "/").replace("~0", "~")]
    schemas = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert schemas - references == set(), "nothing is described that nothing refers to"


def test_operations_have_ids_of_their_own_that_make_good_names(document):
    ids = Counter(operation["operationId"] for _, _, operation in _operations(document))
    assert [name for name, times in ids.items() if times > 1] == []
    assert [name for name in ids if not re.fullmatch(r"[a-z][a-z0-9_]*", name)] == []


def test_every_endpoint_of_the_services_is_in_the_document_and_no_other(document):
    described = {(method.upper(), path) for path, method, _ in _operations(document)}
    there = {(endpoint.method, endpoint.path.replace(":path", "")) for endpoint in list_endpoints(service_apps())}
    assert described == there


def test_path_parameters_are_described_as_the_path_names_them(document):
    for path, method, operation in _operations(document):
        named = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"}
        assert named == set(re.findall(r"\{(\w+)\}", path)), (method, path)


def test_every_operation_says_who_may_ask_what_comes_and_how_it_refuses(document):
    public = {
        (endpoint.method, endpoint.path.replace(":path", ""))
        for endpoint in list_endpoints(service_apps())
        if endpoint.requires is None
    }
    for path, method, operation in _operations(document):
        assert operation["summary"] or operation["description"]
        assert bool(operation.get("security")) == ((method.upper(), path) not in public), (method, path)
        assert any(status.startswith("2") for status in operation["responses"])
        problem = operation["responses"]["default"]["content"]["application/problem+json"]["schema"]
        assert problem == {"$ref": "#/components/schemas/Problem"}
    assert document["components"]["securitySchemes"].keys() == {"bearer"}


async def test_real_answers_are_what_the_document_says(document, harness):
    await harness.platform.awake()
    for path in ("/identity/me", "/identity/units", "/identity/policies", "/datashare/resources", "/audit/producers"):
        answer = await harness.center.get(path)
        assert answer.status_code == 200
        schema = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        jsonschema_rs.Draft202012Validator(schema | {"components": document["components"]}).validate(answer.json())
    refused = await harness.client.get("/identity/me")
    problem = document["components"]["schemas"]["Problem"]
    jsonschema_rs.Draft202012Validator(problem).validate(refused.json())


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed here")
async def test_a_browser_with_no_other_network_renders_the_operations(harness, tmp_path):
    await harness.platform.awake()
    # Its lifespan runs already.
    server = uvicorn.Server(uvicorn.Config(harness.platform.gateway, port=0, lifespan="off", log_config=None))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.wait([serving], timeout=0.02)
        assert not serving.done()
    port = server.servers[0].sockets[0].getsockname()[1]
    command = [
        str(CHROMIUM),
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        f"--user-data-dir={tmp_path}",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        "--proxy-server=direct://",
        "--virtual-time-budget=20000",
        "--timeout=60000",
        "--dump-dom",
        f"http://127.0.0.1:{port}/docs",
    ]
    try:
        shown = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=False, timeout=120)
    finally:
        server.should_exit = True
        await serving
    dom = shown.stdout.decode(errors="replace")
    assert "opblock" in dom, shown.stderr.decode(errors="replace")[-1500:]
    for path in ("/identity/sessions", "/datashare/queries", "/incident/breaches", "/audit/records"):
        assert path in dom.replace("\u200b", "").replace("<wbr>", "")
