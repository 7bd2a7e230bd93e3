"""Answers of the SSH command line. Pure. The texts are known from the Group Series, of the same command family; on VideoOS unverified."""

from __future__ import annotations

import re
from dataclasses import dataclass

from agent.errors import BadPayload
from agent.model import Identity, Reading
from agent.model.reading import UNKNOWN
from agent.ports import FacetData
from collectors.poly import metrics as m
from collectors.poly.lenient import word

_LABELS = {"Hi, my name is": "name", "Model": "model", "Serial Number": "serial", "Software Version": "firmware"}
_ROW = re.compile(r"([a-z0-9_.]{2,40})\s+(online|offline)")


@dataclass(frozen=True, slots=True, kw_only=True)
class CliStatus:
    """What `status` and `callinfo all` printed."""

    status: str
    calls: str


def ssh_identity(text: str) -> FacetData:
    """`whoami`: name, model, serial, version."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        label, colon, value = line.partition(":")
        if colon and label.strip() in _LABELS:
            found[_LABELS[label.strip()]] = word(value)
    if not found.get("serial") and not found.get("model"):
        raise BadPayload("whoami: no model and no serial number in the answer")
    return FacetData(identity=Identity(vendor="Poly", **found))


def ssh_status(raw: CliStatus) -> FacetData:
    """Rows that are online, and whether there is a call.

    'offline' stands for broken and for not configured alike, so it is unknown. A call in Teams or Zoom is not seen here, so no call is
    not the same as not in use.
    """
    if "status end" not in raw.status:
        raise BadPayload("status: the list has no end line")
    readings: dict[str, Reading] = {}
    for line in raw.status.splitlines():
        row = _ROW.fullmatch(line.strip())
        if row is not None and len(readings) < m.MAX_ROWS:
            name, said = row.groups()
            readings[name] = Reading(metric=m.STATUS, state="up" if said == "online" else UNKNOWN, labels=(name,), component=name, raw=said)
    busy = any(":connected:" in line for line in raw.calls.splitlines() if line.startswith("callinfo:"))
    call = (Reading(metric=m.CALL_ACTIVE, value=1.0),) if busy else ()
    return FacetData(readings=(*readings.values(), *call), in_use=True if busy else None)
