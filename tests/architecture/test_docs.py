"""Documents name only what exists: paths, modules, test ids, make targets, links."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import common.contracts.events.audit
import common.contracts.events.datashare
import common.contracts.events.gateway
import common.contracts.events.identity
import common.contracts.events.incident  # noqa: F401
from common.contracts.permissions import PERMISSIONS
from common.contracts.services import MEMBERS
from common.messaging.events import REGISTRY

ROOT = Path(__file__).resolve().parents[2]
PACKAGE_ROOTS = (
    ROOT,
    ROOT / "libs/common",
    ROOT / "gateway",
    ROOT / "operations",
    ROOT / "deploy",
    *(ROOT / "services" / member for member in MEMBERS if member != "gateway"),
)
"""Directories from which a document may name a path: the checkout, and every workspace member."""
SOURCES = [
    ROOT / top
    for top in ("libs", "services", "gateway", "operations", "deploy", "demo", "bench", "tools", "tests", "docs")
]
PACKAGES = {"common", "operations", "deploy", "demo", "bench", "tools", "tests", *MEMBERS}
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "README.zh-CN.md", "CONTRIBUTING.md")),
    *(path for path in sorted((ROOT / "docs").rglob("*.md")) if path.name != "access-matrix.md"),
]
SUPERSEDED = re.compile(r"^\*\*Status\.\*\* Superseded", re.MULTILINE)
"""A superseded decision describes code that is gone."""

SPAN = re.compile(r"`([^`\n]+)`")
PATH = re.compile(r"(?!\.|secrets/)[\w.-]+(?:/[\w.-]+)*(?:\.py|\.md|\.ya?ml|\.toml|\.env|\.jsonl|/)(?:::(\w+))?")
"""Files with these suffixes and directories; not files of an installation (`.data/`, `secrets/`, `admins.json`)."""
MODULE = re.compile(rf"(?:{'|'.join(sorted(PACKAGES))})(?:\.\w+)+")
COMMAND = re.compile(r"(?:python|\$\(PY\)) -m ([\w.]+)")
TARGET = re.compile(r"\bmake (?:-s )?([a-z][a-z-]*)\b")
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


def texts() -> Iterator[tuple[str, Path, str]]:
    for path in DOCUMENTS:
        text = path.read_text()
        if not SUPERSEDED.search(text):
            yield str(path.relative_to(ROOT)), path, text


def find(name: str) -> Path | None:
    """Return the file or directory; for a name without a directory (`models.py`), any file of that name."""
    found = next((root / name for root in PACKAGE_ROOTS if (root / name).exists()), None)
    if found or "/" in name:
        return found
    return next((path for top in SOURCES for path in top.rglob(name)), None)


def find_module(name: str) -> Path | None:
    path = name.replace(".", "/")
    return find(f"{path}.py") or find(f"{path}/__init__.py")


def is_attribute(name: str) -> bool:
    module, _, attribute = name.rpartition(".")
    home = find_module(module)
    return home is not None and home.suffix == ".py" and re.search(rf"\b{attribute}\b", home.read_text()) is not None


def is_event(name: str) -> bool:
    return any(type_.startswith(f"cn.xindun.{name}.v") for type_ in REGISTRY)


def test_every_path_and_test_id_in_backticks_exists():
    missing = []
    for document, _, text in texts():
        for span in SPAN.findall(text):
            if not (match := PATH.fullmatch(span)):
                continue
            path = find(span.partition("::")[0])
            if path is None or (match[1] and not re.search(rf"def {match[1]}\(", path.read_text())):
                missing.append(f"{document}: {span}")
    assert missing == []


def test_every_module_that_a_document_names_exists():
    missing = []
    for document, _, text in texts():
        named = [span for span in SPAN.findall(text) if MODULE.fullmatch(span)]
        for name in (*named, *(name for name in COMMAND.findall(text) if name.split(".")[0] in PACKAGES)):
            known = find_module(name) or is_attribute(name) or name in PERMISSIONS or is_event(name)
            missing += [] if known else [f"{document}: {name}"]
    assert missing == []


def test_every_make_target_that_a_document_names_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    spans = [(document, span) for document, _, text in texts() for span in (*SPAN.findall(text), *code_lines(text))]
    assert {
        (document, name) for document, span in spans for name in TARGET.findall(span) if name not in targets
    } == set()


def code_lines(text: str) -> Iterator[str]:
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        yield from block.splitlines()
    yield from (line for line in text.splitlines() if line.startswith("    "))


def test_every_link_leads_to_a_file():
    broken = [
        f"{document}: {link}"
        for document, path, text in texts()
        for link in LINK.findall(text)
        if not (path.parent / link).exists()
    ]
    assert broken == []


@pytest.mark.parametrize("path", sorted((ROOT / "docs/decisions").glob("0*.md")), ids=lambda path: path.stem)
def test_every_decision_has_date_and_status_and_stands_in_the_index(path):
    text = path.read_text()
    assert re.search(
        r"^\*\*Status\.\*\* (Accepted|Superseded by \[decision \d+\]).*\d{4}-\d\d-\d\d", text, re.MULTILINE
    )
    assert f"]({path.name})" in (path.parent / "README.md").read_text()


def test_no_source_refers_to_a_document_outside_the_repository():
    sources = (
        path for top in SOURCES for path in top.rglob("*") if path.suffix in (".py", ".md") and path != Path(__file__)
    )
    assert [
        str(path.relative_to(ROOT)) for path in sources if re.search(r"\bdesign §|\bdesign\.md", path.read_text())
    ] == []
