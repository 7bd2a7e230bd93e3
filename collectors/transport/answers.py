"""What a device answered over HTTP, and what its status means."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from multidict import CIMultiDict, CIMultiDictProxy

from agent.errors import BadPayload, Busy, CollectError, Forbidden, NotSupported, Reason

JSON_DEPTH = 64
JSON_VALUES = 20_000
"""Values in one answer: ten times what a device was seen to send. More of them would hold the loop while they are read."""
CHARSETS = frozenset(
    {"utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "iso-8859-2", "iso-8859-15", "latin-1", "latin1", "windows-1250", "windows-1252", "utf-16"}
)
"""Charsets of the web. Python knows others, of which one (punycode) takes minutes for a megabyte."""


def _no_headers() -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict())


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """One whole answer. `headers` compare names without case; `getall` gives repeated ones (Set-Cookie).

    `content_type` is the media type in lower case, without parameters; '' when the device named none.
    `request` names what was asked, for error texts: method, host, port and path, never a query or a body.
    """

    status: int
    headers: CIMultiDictProxy[str] = field(default_factory=_no_headers)
    body: bytes = b""
    content_type: str = ""
    request: str = ""

    def text(self) -> str:
        """The body in its declared charset (one of CHARSETS), else as UTF-8, else as Latin-1 (which always fits)."""
        for charset in (_charset(self.headers.get("Content-Type", "")), "utf-8"):
            if charset:
                try:
                    return self.body.decode(charset)
                except (LookupError, ValueError):
                    continue
        return self.body.decode("latin-1")

    def json(self) -> Any:
        """The body as JSON. Raises BadPayload for anything else, and for nesting deeper than JSON_DEPTH."""
        return parse_json(self.body if not _charset(self.headers.get("Content-Type", "")) else self.text(), where=self.request)


def parse_json(text: str | bytes, *, where: str = "") -> Any:
    """JSON of a device: depth bounded, NaN and Infinity refused. Raises BadPayload."""
    prefix = f"{where}: " if where else ""
    opened = _opened(text)
    if opened + (text.count(",") if isinstance(text, str) else text.count(b",")) > JSON_VALUES:  # at least as many as there are values
        raise BadPayload(f"{prefix}JSON of more than {JSON_VALUES} values")
    try:
        if isinstance(text, bytes):
            text = text.decode(json.detect_encoding(text), "surrogatepass")
        elif text.startswith("\ufeff"):
            raise json.JSONDecodeError("Unexpected UTF-8 BOM (decode using utf-8-sig)", text, 0)
        value = _DECODER.decode(text)
    except RecursionError:
        raise BadPayload(f"{prefix}JSON nested deeper than {JSON_DEPTH} levels") from None
    except ValueError as error:
        # The parser's text is built from positions; a Unicode error would quote the body, so only its kind is shown.
        said = f"{error.msg} at position {error.pos}" if isinstance(error, json.JSONDecodeError) else type(error).__name__
        raise BadPayload(f"{prefix}not JSON: {said}") from None
    if opened > JSON_DEPTH and _deeper_than(value, JSON_DEPTH):
        raise BadPayload(f"{prefix}JSON nested deeper than {JSON_DEPTH} levels")
    return value


def _opened(text: str | bytes) -> int:
    """At least as many as there are lists and objects, and so at least as deep as they stand in each other."""
    return text.count("[") + text.count("{") if isinstance(text, str) else text.count(b"[") + text.count(b"{")


def _no_constant(name: str) -> Any:
    raise json.JSONDecodeError(f"{name} is no JSON number", "", 0)


_DECODER = json.JSONDecoder(parse_constant=_no_constant)
"""As `json.loads` would make one for each answer."""


def _deeper_than(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit + 1):
        level = [child for item in level if isinstance(item, (dict, list)) for child in (item.values() if isinstance(item, dict) else item)]
        if not level:
            return False
    return True


def _charset(content_type: str) -> str:
    for part in content_type.split(";")[1:]:
        name, _, value = part.partition("=")
        if name.strip().lower() == "charset":
            said = value.strip().strip("\"'").lower()
            return said if said in CHARSETS else ""
    return ""


def raise_for_status(answer: HttpAnswer) -> None:
    """Return when the status is 2xx; else raise the error it stands for.

    403 Forbidden; 404, 405, 410, 501 NotSupported; 503 Busy(BOOTING); anything else CollectError(HTTP_STATUS).
    A 401 does not get here: `HttpConnection.request` answers it.
    """
    status = answer.status
    if 200 <= status < 300:
        return
    said = f"{answer.request or 'the device'} answered {status}"
    if status == 403:
        raise Forbidden(Reason.FORBIDDEN, f"{said}: this account may not read it")
    if status in (404, 405, 410, 501):
        raise NotSupported(said)
    if status == 503:
        raise Busy(Reason.BOOTING, f"{said}: not ready, come later", retry_after=retry_after(answer))
    raise CollectError(Reason.HTTP_STATUS, said)


def retry_after(answer: HttpAnswer) -> float | None:
    """Retry-After in seconds, where the device gave a number."""
    value = answer.headers.get("Retry-After", "").strip()
    return float(value) if value.isascii() and value.isdigit() and len(value) < 7 else None
