"""`python -m deploy.operations_client COMMAND …`: the operators' command line, with the settings of a local platform.

`XINDUN_DATA` names its data directory (`.data`). The embedded platform has no broker and no set-up commands.
"""

import os
import sys
from pathlib import Path

from deploy.topology import PROCESS_TABLE, ROOT, Topology


def environment_of(data: Path) -> dict[str, str]:
    """Return the settings of the command line."""
    if not (data / PROCESS_TABLE).exists():
        return {}
    topology = Topology.running(data)
    return {
        "XINDUN_URL": topology.url("gateway"),
        "XINDUN_OPERATOR_KAFKA_BOOTSTRAP": f"127.0.0.1:{topology.of('kafka')[0].port}",
        "XINDUN_OPERATOR_KAFKA_USERNAME": "operator",
        **topology.setup_environment(),
        "XINDUN_SECRETS_DIR": str(topology.secrets / "operator"),
        "XINDUN_SECRETS": str(topology.secrets),
    }


def main() -> None:
    """Execute the command line."""
    data = Path(os.environ.get("XINDUN_DATA", ROOT / ".data")).resolve()
    environment = environment_of(data) | os.environ
    os.execve(  # noqa: S606
        sys.executable, [sys.executable, "-m", "operations", *sys.argv[1:]], environment
    )


if __name__ == "__main__":
    main()
