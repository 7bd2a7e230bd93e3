"""Which switch and which of its ports a device hangs on, in words, from what it heard by LLDP. Pure.

The answers of its interface `lldp` were never seen: taken are the fields that LLDP itself has, wherever they stand below what speaks of neighbours.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from agent.model import Text
from collectors.axis.lenient import fields, first, objects
from collectors.axis.parse import word

MOST: Final = 4
"""Neighbours that are named; a device has one or two network ports."""
_LENGTH: Final = 64
_OTHERS: Final = ("neighb", "remote")
_OWN: Final = frozenset({"local", "self", "own", "localsystem", "localport", "localchassis", "transmit", "transmitted", "capabilities"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """'' is not told. `port` as the switch names it, `label` what somebody wrote on it."""

    system: str
    port: str
    label: str
    chassis: str


def switch_port(body: bytes) -> Text | None:
    """The sentence for the ticket, of the file lldp.json: its answers by path. None where nothing of it is understood."""
    try:
        answers = json.loads(body)
    except (ValueError, RecursionError):
        return None
    found = list(dict.fromkeys(neighbours(answers)))[:MOST]
    if not found:
        return None
    return Text(
        "The device hangs on: " + "; ".join(_words(one, "switch", "port", "chassis") for one in found) + " (it says so, by LLDP).",
        "Urządzenie jest podłączone do: " + "; ".join(_words(one, "przełącznik", "port", "obudowa") for one in found) + " (według LLDP urządzenia).",
    )


def neighbours(answers: object) -> Iterator[Neighbour]:
    """What is told of neighbours in answers by path: all of a path that ends so, and what stands under such a name in another."""
    for path, answer in answers.items() if isinstance(answers, dict) else ():
        if any(name in str(path).rpartition("/")[2].lower() for name in _OTHERS):
            yield from _told(answer)
        else:
            for _, told in objects(answer, without=_OWN):
                for name, value in told.items():
                    if any(other in name for other in _OTHERS):
                        yield from _told(value)


def _told(value: object) -> Iterator[Neighbour]:
    for _, told in objects(value, without=_OWN):
        system = _said(told, "systemname", "sysname", "remsysname")
        port = _said(told, "portid", "remportid", "port")
        label = _said(told, "portdescription", "portdesc", "remportdesc")
        chassis = _said(told, "chassisid", "remchassisid", "chassis")
        if port or label or (system and chassis):
            yield Neighbour(system=system, port=port or label, label=label if port and label != port else "", chassis=chassis)


def _said(told: Mapping[str, Any], *names: str) -> str:
    value = first(told, *names)
    if isinstance(value, dict):
        value = first(fields(value), "value", "id", "name")
    return word(value, _LENGTH)


def _words(one: Neighbour, switch: str, port: str, chassis: str) -> str:
    parts = [
        f"{switch} {one.system}" if one.system else "",
        f"{port} {one.port}{f' ({one.label})' if one.label else ''}" if one.port else "",
        f"{chassis} {one.chassis}" if one.chassis else "",
    ]
    return ", ".join(filter(None, parts))
