"""The JSON of `latarnik poll` as the design page and docs/cli.md fix it: keys and types, nothing more and nothing less."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

KEYS = ["schema", "at", "device", "vendor", "reachable", "identity", "components", "readings", "faults", "facets", "errors"]
IDENTITY = {"vendor", "serial", "model", "firmware", "hardware", "mac", "name"}
COMPONENT = {"kind", "name", "serial", "firmware", "state"}
READING = {"name", "value", "labels"}
FAULT = {"code", "severity", "component", "summary"}
ERROR = {"source", "reason", "detail"}


def checked(text: str) -> dict[str, Any]:
    """The report in this output, which is one JSON object and nothing else."""
    report: dict[str, Any] = json.loads(text)
    assert list(report) == KEYS
    assert report["schema"] == 1
    at = datetime.fromisoformat(report["at"])
    assert at.utcoffset() == timedelta(0)
    assert type(report["reachable"]) is bool
    assert _words(report["identity"], IDENTITY)
    assert report["identity"]["vendor"] == report["vendor"]
    assert all(_words(part, COMPONENT) and part["name"] for part in report["components"])
    for reading in report["readings"]:
        assert set(reading) == READING
        assert reading["name"].startswith("latarnik_")
        assert type(reading["value"]) in (int, float)
        assert all(isinstance(k, str) and isinstance(v, str) for k, v in reading["labels"].items())
    assert all(_words(fault, FAULT) and fault["severity"] in ("info", "warning", "critical") for fault in report["faults"])
    assert set(report["facets"].values()) <= {"ok", "unsupported", "stale", "failed"}
    assert all(_words(error, ERROR) for error in report["errors"])
    assert {e["source"].partition("/")[2] for e in report["errors"]} == {name for name, word in report["facets"].items() if word == "failed"}
    return report


def _words(entry: Any, keys: set[str]) -> bool:
    return isinstance(entry, dict) and set(entry) == keys and all(isinstance(value, str) for value in entry.values())
