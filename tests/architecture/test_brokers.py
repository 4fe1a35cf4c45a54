"""The broker of the processes and the one of the containers keep the same borders."""

import re
from pathlib import Path

from deploy.kafka_config import BrokerSecurity, server_properties

SCRIPT = Path(__file__).resolve().parents[2] / "deploy" / "compose" / "kafka.sh"

OF_THE_DEPLOYMENT = re.compile(
    r"node\.id|log\.dirs|controller\.quorum\.voters|(advertised\.)?listeners|.*keystore\.location"  # where
    r"|default\.replication\.factor|.*min\.(isr|insync\.replicas)|.*replication\.factor|offsets\.topic\.num\.partitions"
    r"|broker\.session\.timeout\.ms|.*\.plain\.sasl\.jaas\.config|listener\.security\.protocol\.map"
)
"""How many nodes there are, where they are, what they call each other; the rest is the same everywhere."""


def test_what_a_node_allows_is_the_same_in_every_deployment():
    security = BrokerSecurity("a-secret-among-nodes", {}, Path("certificate.pem"), Path("key.pem"))
    processes = server_properties(Path("/node"), Path("/node/data"), 9092, security)
    lines = [line.strip().removesuffix(" \\") for line in SCRIPT.read_text().splitlines()]
    pairs = [
        line.removeprefix("printf '%s\\n' ").split("=", 1)
        for line in lines
        if re.match(r"(printf .*)?[a-z.\-0-9]+=", line)
    ]
    containers = {key: value for key, value in pairs if "." in key}

    def common(settings: dict[str, str]) -> dict[str, str]:
        return {key: value for key, value in settings.items() if not OF_THE_DEPLOYMENT.fullmatch(key)}

    assert common(containers) | {"process.roles": "broker,controller"} == common(processes)
    assert containers["super.users"] == "User:admin;User:controller"
    assert containers["allow.everyone.if.no.acl.found"] == "false"
