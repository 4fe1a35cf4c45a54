"""Generates files from the code; `--check` lists those that are out of date.

In `docs/contracts/`: a JSON Schema of each event, an AsyncAPI 3 document, the merged OpenAPI document. In
`docs/access-matrix.md`: the roles that may use each endpoint.
"""

import asyncio
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from common.contracts.events import audit, datashare, gateway, identity, incident
from common.contracts.topics import TOPICS
from common.log_config import configure_logging
from common.messaging.events import REGISTRY
from common.messaging.topics import events_topic
from tools.access_matrix import access_matrix_document
from tools.api_inventory import merged_openapi, service_apps

ROOT = Path(__file__).resolve().parents[1]
CONTRACTS = Path("docs/contracts")
PUBLISHERS = (audit, datashare, gateway, identity, incident)


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, indent=2, sort_keys=True) + "\n"


def event_schemas() -> Iterator[tuple[Path, str]]:
    """Yield each event's JSON Schema."""
    for type_, event in sorted(REGISTRY.items()):
        schema = event.model_json_schema() | {"$id": f"urn:xindun:event:{type_}"}
        yield CONTRACTS / "events" / f"{type_}.json", _json(schema)


def asyncapi() -> tuple[Path, str]:
    """Return the AsyncAPI 3 document: a channel for each topic of events, a message for each event."""
    messages: dict[str, Any] = {}
    by_publisher: dict[str, list[str]] = {module.PUBLISHER: [] for module in PUBLISHERS}
    for type_, event in sorted(REGISTRY.items()):
        by_publisher[event.publisher].append(type_)
        messages[type_] = {
            "name": type_,
            "summary": (event.__doc__ or "").split("\n", maxsplit=1)[0],
            "contentType": "application/cloudevents+json",
            "payload": {"$ref": f"./events/{type_}.json"},
        }
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    for publisher, types in sorted(by_publisher.items()):
        topic = events_topic(publisher)
        channels[publisher] = {
            "address": topic,
            "description": f"Partitions: {TOPICS[topic].partitions}. Key: the aggregate's id. Written by {publisher} alone.",
            "messages": {type_: {"$ref": f"#/components/messages/{type_}"} for type_ in types},
        }
        operations[f"{publisher}.publishes"] = {"action": "send", "channel": {"$ref": f"#/channels/{publisher}"}}
    document = {
        "asyncapi": "3.0.0",
        "info": {"title": "Xindun events", "version": "1", "description": "CloudEvents 1.0, structured JSON."},
        "defaultContentType": "application/cloudevents+json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages},
    }
    return CONTRACTS / "asyncapi.json", _json(document)


async def generated_files() -> dict[Path, str]:
    """Return every generated file with its content."""
    files = dict(event_schemas())
    files |= [asyncapi()]
    services = service_apps()
    files[CONTRACTS / "openapi.json"] = _json(await merged_openapi(services))
    files[Path("docs/access-matrix.md")] = access_matrix_document(services)
    return files


def main() -> int:
    """Write or check."""
    configure_logging("error", sys.stderr)
    files = asyncio.run(generated_files())
    present = {path.relative_to(ROOT) for path in (ROOT / CONTRACTS).rglob("*.json")}
    outdated = sorted(
        {path for path, text in files.items() if not (ROOT / path).exists() or (ROOT / path).read_text() != text}
        | (present - set(files))
    )
    if "--check" in sys.argv:
        for path in outdated:
            print(f"{path} is out of date: run `make generate`")
        return 1 if outdated else 0
    for path in outdated:
        if path in files:
            (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / path).write_text(files[path])
        else:
            (ROOT / path).unlink()
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
