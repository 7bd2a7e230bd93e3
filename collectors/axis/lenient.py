"""Reading answers of which the shape was never seen whole: by the names of their fields, wherever these stand. Pure.

Names compare without case and signs, so that `lldpPoeClass`, `lldp_poe_class` and `LLDPPoEClass` are one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from agent.errors import BadPayload
from collectors.axis.parse import flag, number, word

MOST = 2000
"""Objects of one answer that are looked at."""
ITEMS = 64
"""Parts of one kind that are taken from one answer; no product has as many."""


def squeezed(name: object) -> str:
    """A name without case and signs; '' for what is no text."""
    return "".join(ch for ch in name[:128].lower() if ch.isalnum()) if isinstance(name, str) else ""


def data_of(payload: object, what: str) -> Mapping[str, Any]:
    """The `data` object of a JSON answer. Raises BadPayload."""
    data = payload.get("data") if isinstance(payload, dict) else None
    if not isinstance(data, dict):
        raise BadPayload(f"{what}: the answer has no data object")
    return data


def fields(told: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an object by their squeezed names; of two with one name the first."""
    found: dict[str, Any] = {}
    for name, value in told.items():
        found.setdefault(squeezed(name), value)
    return found


def first(told: Mapping[str, Any], *names: str) -> Any:
    """The first of these fields that is there, by squeezed name; None where none is."""
    return next((told[name] for name in names if told.get(name) is not None), None)


def objects(payload: object, *, without: Collection[str] = ()) -> Iterator[tuple[str, dict[str, Any]]]:
    """(squeezed name under which it stands, its fields) of every object in an answer, outer ones first; what stands under a name in `without` is left out."""
    left: deque[tuple[str, object]] = deque([("", payload)])
    seen = 0
    while left and seen < MOST:
        name, value = left.popleft()
        seen += 1
        if isinstance(value, dict):
            told = fields(value)
            yield name, told
            left.extend((key, child) for key, child in told.items() if key not in without and isinstance(child, (dict, list)))
        elif isinstance(value, list):
            left.extend((name, child) for child in value[:MOST] if isinstance(child, (dict, list)))


def named_list(payload: object, *names: str) -> list[object] | None:
    """What stands under the first of these squeezed names anywhere in the answer, as a list; None where none is there."""
    for _, told in objects(payload):
        for name in names:
            value = told.get(name)
            if isinstance(value, list):
                return value[:ITEMS]
            if isinstance(value, (dict, str)):
                return [value]
    return None


def listed(data: Mapping[str, Any], name: str, what: str) -> list[dict[str, Any]]:
    """The objects of a list, [] where there is no such list: devices that have none leave it out. Raises BadPayload when it is something else."""
    value = data.get(name, [])
    if not isinstance(value, list):
        raise BadPayload(f"{what}: {name} is no list")
    return [item for item in value[:ITEMS] if isinstance(item, dict)]


def said(value: object, good: Collection[str], bad: Collection[str]) -> bool | None:
    """True for one of the good words, False for one of the bad ones, None for any other. Words compare squeezed."""
    plain = squeezed(value)
    return True if plain in good else False if plain in bad else None


def moment(value: object) -> float | None:
    """A date of a device as Unix time: ISO (without a zone UTC), OpenSSL's form, or seconds since 1970; None for others and for impossible ones."""
    seconds = number(value)
    text = word(value, 64)
    if seconds is None and text:
        found = _date(text)
        seconds = found.timestamp() if found is not None else None
    return seconds if seconds is not None and _EARLIEST <= seconds <= _LATEST else None


_EARLIEST, _LATEST = datetime(1990, 1, 1, tzinfo=UTC).timestamp(), datetime(2200, 1, 1, tzinfo=UTC).timestamp()


def _date(text: str) -> datetime | None:
    plain = text.replace("/", "-")
    if plain.endswith(("Z", "z")):
        plain = f"{plain[:-1]}+00:00"
    try:
        found = datetime.fromisoformat(plain)
    except ValueError:
        try:
            found = datetime.strptime(" ".join(text.removesuffix("GMT").split()), "%b %d %H:%M:%S %Y").replace(tzinfo=UTC)
        except ValueError:
            return None
    if not 1990 <= found.year <= 2200:
        return None  # at the ends of the calendar a zone cannot be taken off
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def yes(value: object) -> bool | None:
    """A yes or a no, but not of the numbers 0 and 1, which may be a level."""
    return flag(value) if isinstance(value, (bool, str)) and value not in ("0", "1") else None
