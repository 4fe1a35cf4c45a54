"""The code keeps to the field's language, and to one place for each kind of thing.

A rule names its violations in one file; its docstring says why the rule exists.
"""

import ast
import re
import sys
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parents[2]
MEMBERS = ("libs/common", "services", "gateway", "operations", "deploy")

PRIVATE_WORD = re.compile(
    "doors?|knock(s|er|ing)?|told|tell(s|ing)?|hear(s|d|ing)?|looks|looking|mend(s|ed|ing)?|sweeping|anew|lives|deaf"
    "|sift(s|ed|ing)?|begun"
)
STORED_NAMES = {
    "heard": "a column of every service's watermarks",
    "last_heard_at": "a member of audit's answers and of the event `producer.silent`",
    "begun_at": "a column of the training attempts",
}
"""Names on which data or clients hang."""

STATEMENTS = {"select", "insert", "update", "delete", "text"}
STATEMENT_FILES = {
    "*/queries.py": "the layer that holds them",
    "*/models.py": "`text` in indexes and defaults",
    "*/migrations/*": "they are statements",
    "libs/common/*": "the kernel's tables have no query layer",
    "services/datashare/datashare/data_queries/*": "the hot path of a query",
}
HTTPCORE_NAMES = "gateway/gateway/exceptions.py"
"""Whoever knows httpcore knows these exceptions."""
MODELS_OUTSIDE_SCHEMAS = {
    "libs/common/common/messaging/events.py": "events",
    "libs/common/common/enforcement/revocation_feed.py": "entries of the feed",
    "libs/common/common/web/pagination.py": "the page of every list",
    "services/identity/identity/bootstrap.py": "the file of the set-up command",
    "services/incident/incident/probes/client.py": "answers that a client receives",
    "services/datashare/datashare/resources/fields.py": "stored with the resource",
}


@cache
def product() -> dict[str, ast.Module]:
    """Return the syntax trees of all modules that are shipped, by path."""
    paths = (path for member in MEMBERS for path in sorted((ROOT / member).rglob("*.py")))
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text()) for path in paths}


def identifiers(path: str, tree: ast.Module) -> Iterator[str]:
    """Yield every name that a module gives or uses."""
    yield from PurePosixPath(path).with_suffix("").parts
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.arg(arg=str(name)) | ast.keyword(arg=str(name)) | ast.Attribute(attr=name) | ast.Name(id=name):
                yield name
            case ast.alias(name=name, asname=asname):
                yield from (*name.split("."), asname or "")


def words(identifier: str) -> set[str]:
    """Split snake_case and CamelCase into words of small letters."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", identifier)}


def private_words(path: str, tree: ast.Module) -> set[str]:
    """No identifier contains a private word: a reader had to decode it, and a search for the standard term missed it."""
    return {
        name for name in identifiers(path, tree) if any(map(PRIVATE_WORD.fullmatch, words(name)))
    } - STORED_NAMES.keys()


def base_names(node: ast.ClassDef) -> set[str]:
    return {ast.unparse(base).split("[")[0].split(".")[-1] for base in node.bases}


@cache
def known_bases() -> dict[str, set[str]]:
    """Return the names of the direct bases of each class."""
    found: dict[str, set[str]] = {}
    for tree in product().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name, set()).update(base_names(node))
    return found


def classes(tree: ast.Module) -> Iterator[tuple[str, set[str]]]:
    """Yield each class with the names of all its bases, direct and indirect."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            found, left = set(), base_names(node)
            while left:
                found |= left
                left = set().union(*(known_bases().get(name, set()) for name in left)) - found
            yield node.name, found


def exception_names(path: str, tree: ast.Module) -> set[str]:
    """An exception ends in `Error`, so that an `except` line reads as one; problems are named as the answers that they are."""
    return {
        name
        for name, bases in classes(tree)
        if any(base == "Exception" or base.endswith("Error") for base in bases)
        and "Problem" not in bases | {name}
        and not name.endswith("Error")
        and path != HTTPCORE_NAMES
    }


def shadowing_modules(path: str, _: ast.Module) -> set[str]:
    """No module has the name of one of the standard library: tracebacks, editors and imports would confuse the two."""
    names = {PurePosixPath(path).stem, PurePosixPath(path).parent.name} - {"__init__", "__main__"}
    return {name for name in names if name in sys.stdlib_module_names}


def statements(path: str, tree: ast.Module) -> set[str]:
    """Statements stand in `queries.py`, so that what a capability reads, writes and locks can be seen in one place."""
    if any(fnmatch(path, pattern) for pattern in STATEMENT_FILES):
        return set()
    return {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "sqlalchemy"
        for alias in node.names
        if alias.name in STATEMENTS
    }


def body_classes(path: str, tree: ast.Module) -> set[str]:
    """Request and response bodies stand in `schemas.py`: they are the API, and a change of them is a change of it."""
    if path.endswith("/schemas.py") or path in MODELS_OUTSIDE_SCHEMAS:
        return set()
    return {name for name, bases in classes(tree) if "BaseModel" in bases and not bases & {"Event", "Entry"}}


RULES: tuple[Callable[[str, ast.Module], set[str]], ...] = (
    private_words,
    exception_names,
    shadowing_modules,
    statements,
    body_classes,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_product_keeps_the_rule(rule):
    violations = {path: found for path, tree in product().items() if (found := rule(path, tree))}
    assert violations == {}, rule.__doc__


@pytest.mark.parametrize(
    ("rule", "path", "code"),
    [
        (private_words, "a/b.py", "class TellMore: ..."),
        (private_words, "a/b.py", "def f(*, back_door=1): ..."),
        (private_words, "a/looking.py", ""),
        (exception_names, "a/b.py", "class Refused(ValueError): ..."),
        (shadowing_modules, "a/queue.py", ""),
        (statements, "services/a/service.py", "from sqlalchemy.dialects.postgresql import insert"),
        (body_classes, "services/a/endpoints.py", "class Answer(BaseModel): ..."),
    ],
)
def test_each_rule_sees_a_violation(rule, path, code):
    assert rule(path, ast.parse(code))


def test_every_exemption_is_needed():
    used = {name for path, tree in product().items() for name in identifiers(path, tree)}
    assert STORED_NAMES.keys() - used == set()
    assert MODELS_OUTSIDE_SCHEMAS.keys() - product().keys() == set()
    assert [pattern for pattern in STATEMENT_FILES if not any(fnmatch(path, pattern) for path in product())] == []
