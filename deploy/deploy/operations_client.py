"""`python -m deploy.operations_client COMMAND …`: the operators' command line, told where the platform of a data directory runs.

`XINDUN_DATA` names the directory (`.data`). The platform in one process has no broker and no jobs; the separate processes do.
"""

import os
import sys
from pathlib import Path

from deploy.topology import ROOT, TABLE, Layout

__all__ = ["environment_of"]


def environment_of(data: Path) -> dict[str, str]:
    """Return what the command line is told."""
    if not (data / TABLE).exists():
        return {}
    layout = Layout.running(data)
    return {
        "XINDUN_URL": layout.url("gateway"),
        "XINDUN_OPERATOR_KAFKA_BOOTSTRAP": f"127.0.0.1:{layout.of('kafka')[0].port}",
        "XINDUN_OPERATOR_KAFKA_USERNAME": "operator",
        **layout.jobs_environment(),
        "XINDUN_SECRETS_DIR": str(layout.secrets / "operator"),
        "XINDUN_SECRETS": str(layout.secrets),
    }


def main() -> None:
    """Become the command line."""
    data = Path(os.environ.get("XINDUN_DATA", ROOT / ".data")).resolve()
    environment = environment_of(data) | os.environ
    os.execve(  # noqa: S606
        sys.executable, [sys.executable, "-m", "operations", *sys.argv[1:]], environment
    )


if __name__ == "__main__":
    main()
