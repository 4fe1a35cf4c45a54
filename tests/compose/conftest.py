"""`make test-compose`: only when it is asked for by name, because it builds images and needs a Docker engine."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    asked = [config.invocation_params.dir / argument.split("::")[0] for argument in config.args]
    return None if any(place.is_relative_to(HERE) for place in asked) else True
