"""Reading what VideoOS calls JSON: bare words under application/json, CRLF tails, `NA` for no value, numbers as strings. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from agent.errors import BadPayload
from collectors.transport.answers import parse_json

MAX_WORD = 200

_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]{0,63}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]+")
_HEX12 = re.compile(r"[0-9a-f]{12}")
_NO_HEX = re.compile(r"[^0-9a-f]")
_NOTHING = frozenset({"", "na", "n/a", "null", "none"})
_TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def decode(text: str, what: str) -> Any:
    """The value of an answer's body; a bare word comes as str.

    Raises BadPayload: nothing there, a page of HTML or XML, JSON null (a part of the codec that has not started yet), or no JSON at all.
    """
    body = text.strip("\ufeff\x00 \t\r\n")
    if not body:
        raise BadPayload(f"{what}: the answer is empty")
    if body.startswith("<"):
        raise BadPayload(f"{what}: a page of HTML or XML instead of JSON")
    if _BARE.fullmatch(body) and body not in ("true", "false", "null"):
        return body
    value = parse_json(body, where=what)
    if value is None:
        raise BadPayload(f"{what}: the answer is null; that part of the codec has not started or is not there")
    return value


def is_null(text: str) -> bool:
    """Whether an answer is JSON null: how some endpoints say that they have nothing in this mode."""
    return text.strip("\ufeff\x00 \t\r\n") == "null"


def mapping(value: Any, what: str) -> Mapping[str, Any]:
    if isinstance(value, dict):
        return value
    raise BadPayload(f"{what}: a {type(value).__name__} where an object was expected")


def rows(value: Any, what: str) -> list[Mapping[str, Any]]:
    """The objects of a list. Members that are no objects are left out, but a list of nothing else makes no sense."""
    if not isinstance(value, list):
        raise BadPayload(f"{what}: a {type(value).__name__} where a list was expected")
    found: list[Mapping[str, Any]] = [row for row in value if isinstance(row, dict)]
    if value and not found:
        raise BadPayload(f"{what}: a list without any object")
    return found


def word(value: Any) -> str:
    """A value as one clean line; '' when it says nothing (`NA`, empty, null, an object)."""
    if isinstance(value, str):
        # What is printable holds none of _CONTROL.
        clean = (value if value.isprintable() else _CONTROL.sub(" ", value)).strip()
        if len(clean) > MAX_WORD:
            clean = clean[:MAX_WORD].rstrip()
        return "" if len(clean) < 5 and clean.lower() in _NOTHING else clean
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (int, float)) and abs(value) < 1e18 else ""


def number(value: Any) -> float | None:
    """A finite number, also from a string; None when it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def truth(value: Any) -> bool | None:
    """A yes or no, also as 0/1 and in words; None when it is neither."""
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        return bool(value) if value in (0, 1) else None
    return _TRUTH.get(word(value).lower())


def first(row: Mapping[str, Any], *keys: str) -> Any:
    """The value under the first of these spellings that the row has."""
    for key in keys:
        if key in row:
            return row[key]
    return None


def mac(value: Any) -> str:
    """A MAC address as aa:bb:cc:dd:ee:ff; '' for anything that is not six bytes."""
    digits = _NO_HEX.sub("", word(value).lower())
    if not _HEX12.fullmatch(digits) or digits in ("0" * 12, "f" * 12):
        return ""
    return bytes.fromhex(digits).hex(":")
