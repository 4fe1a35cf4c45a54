"""`make test-compose`: only when it is asked for by name, because it builds images and needs a Docker engine."""

from pathlib import Path

import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return None if any("compose" in Path(argument).parts for argument in config.args) else True
