"""Prints each obligation of the regulation with the tests that are marked with it."""

import ast
import sys
from collections import defaultdict
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]


def marked_tests() -> dict[str, list[str]]:
    """Return the marked tests and test classes by clause."""
    tests: dict[str, list[str]] = defaultdict(list)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                for clause in _clauses(node):
                    tests[clause].append(f"{path.relative_to(ROOT)}::{node.name}")
    return tests


def _clauses(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> list[str]:
    return [
        str(argument.value)
        for mark in node.decorator_list
        if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.clause"
        for argument in mark.args
        if isinstance(argument, ast.Constant)
    ]


def main() -> int:
    """Print; fail if a mark names an unknown clause."""
    clauses = yaml.safe_load((ROOT / "docs/regulation/clauses.yaml").read_text())["clauses"]
    tests = marked_tests()
    for clause in clauses:
        named = tests.pop(clause["id"], [])
        print(f"{clause['id']:5} {clause['service']:10} {clause['must']}")
        for test in named:
            print(f"        {test}")
        if not named:
            print("        (no test yet)")
    shown = sum(1 for clause in clauses if clause["id"] in marked_tests())
    print(f"\n{shown} of {len(clauses)} obligations have a test.")
    for unknown, named in tests.items():
        print(f"unknown clause: {unknown} in {', '.join(named)}", file=sys.stderr)
    return 1 if tests else 0


if __name__ == "__main__":
    sys.exit(main())
