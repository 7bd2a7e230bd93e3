"""The JSON of `latarnik poll`: one object, its keys public."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from agent.model import Device, FacetStatus, Fault, Judgement, MetricSpec, Reading, Snapshot

SCHEMA = 1


def poll_report(device: Device, snapshot: Snapshot, judgements: Iterable[Judgement], catalogue: Iterable[MetricSpec]) -> dict[str, Any]:
    """`schema at device vendor reachable identity components readings faults facets errors`, as docs/cli.md describes them."""
    specs = {spec.name: spec for spec in catalogue}
    identity = {f: getattr(snapshot.identity, f) for f in snapshot.identity.__slots__}
    identity["vendor"] = device.vendor
    faults = [{"code": j.code, "severity": j.severity.value, "component": j.component, "summary": j.summary} for j in judgements if isinstance(j, Fault)]
    return {
        "schema": SCHEMA,
        "at": snapshot.at.isoformat(),
        "device": device.id,
        "vendor": device.vendor,
        "reachable": snapshot.reachable,
        "identity": identity,
        "components": [{"kind": c.kind, "name": c.name or c.key, "serial": c.serial, "firmware": c.firmware, "state": c.state} for c in snapshot.components],
        "readings": [_reading(r, specs.get(r.metric)) for r in snapshot.readings],
        "faults": faults,
        "facets": {name: outcome.status.value for name, outcome in snapshot.facets.items()},
        "errors": [
            {"source": f"{o.source}/{name}", "reason": o.reason, "detail": o.detail} for name, o in snapshot.facets.items() if o.status is FacetStatus.FAILED
        ],
    }


def _reading(reading: Reading, spec: MetricSpec | None) -> dict[str, Any]:
    """A state is written as its one active member: value 1, the label `state` naming it."""
    labels = dict(zip(spec.labels if spec is not None else (), reading.labels, strict=False))
    if reading.value is None:
        return {"name": reading.metric, "value": 1, "labels": {**labels, "state": reading.state}}
    return {"name": reading.metric, "value": reading.value, "labels": labels}


def read_anything(snapshot: Snapshot) -> bool:
    """Whether any facet was read: the exit code of `latarnik poll`."""
    return any(o.status is FacetStatus.OK for o in snapshot.facets.values())
