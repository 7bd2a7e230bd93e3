"""The only redactor: key names and patterns of what must not leave, and our own secrets in every spelling. Used by logs, polls and evidence."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, quote_plus

MASK = "***"

_SECRET_KEY = re.compile(
    r"pass(word|wd|phrase)?$|^pwd$|secret|token|credential|authoriz|cookie|session_?id|community|(auth|priv|api)_?key|^user(name)?_?pass", re.IGNORECASE
)
_HEADER = re.compile(r"(?i)\b(authorization|proxy-authorization|cookie|set-cookie|x-xsrf-token)\b(\s*[:=]\s*)[^\r\n]+")
_URL_PASSWORD = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://[^/\s:@]+):[^@\s/]+@")


def is_secret_key(key: str) -> bool:
    """Whether a value under this key is masked without looking at it."""
    return bool(_SECRET_KEY.search(key))


def mask_text(text: str) -> str:
    """`text` without credentials in header lines and URLs."""
    return _URL_PASSWORD.sub(rf"\1:{MASK}@", _HEADER.sub(rf"\1\2{MASK}", text))


def mask_values(event: Mapping[str, Any]) -> dict[str, Any]:
    """A log event with secret keys masked, strings cleaned, nested mappings too."""
    cleaned: dict[str, Any] = {}
    for key, value in event.items():
        if is_secret_key(key):
            cleaned[key] = MASK
        elif isinstance(value, str):
            cleaned[key] = mask_text(value)
        elif isinstance(value, Mapping):
            cleaned[key] = mask_values(value)
        else:
            cleaned[key] = value
    return cleaned


def spellings(secret: str, username: str = "") -> tuple[bytes, ...]:
    """How a secret may stand in a file: plain, JSON-, XML- and percent-escaped, base64 alone and with its user name. Longest first.

    Secrets shorter than 4 characters give nothing: they would match everywhere.
    """
    if len(secret) < 4:
        return ()
    pairs = [secret, *([f"{username}:{secret}"] if username else [])]
    escaped = {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], html.escape(secret), html.escape(secret, quote=False)}
    percent = {quote(secret, safe=""), quote_plus(secret), quote(secret)}
    escaped |= percent | {_lower_escapes(text) for text in percent}
    packed = {pack(pair.encode()) for pair in pairs for pack in (base64.b64encode, base64.urlsafe_b64encode)}
    return tuple(sorted({text.encode() for text in escaped} | packed | {text.rstrip(b"=") for text in packed}, key=len, reverse=True))


def _lower_escapes(text: str) -> str:
    return re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), text)


LEAST = 8
"""Characters a secret must have to be looked for in words and values. A shorter one, `axis` or `1234`, stands in serial numbers by chance."""


@dataclass(frozen=True, slots=True)
class Mask:
    """Takes known secrets out of short texts. `forbidden`: all their spellings, longest first.

    `telling`: those of them that hold no other one. A text without these has none of them.
    """

    forbidden: tuple[str, ...] = ()
    telling: tuple[str, ...] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        telling = (one for one in self.forbidden if not any(other in one for other in self.forbidden if other != one))
        object.__setattr__(self, "telling", tuple(telling))

    @classmethod
    def of(cls, secrets: Iterable[tuple[str, str]]) -> Mask:
        """For these (secret, user name)s, the user name '' where there is none."""
        found = {spelling.decode() for secret, username in secrets if len(secret) >= LEAST for spelling in spellings(secret, username)}
        return cls(tuple(sorted(found, key=len, reverse=True)))

    def finds(self, text: str) -> bool:
        for secret in self.telling:  # noqa: SIM110 - asked of every answer, and a generator takes twice as long
            if secret in text:
                return True
        return False

    def text(self, text: str) -> str:
        if not text:
            return text
        for secret in self.forbidden:
            if secret in text:
                text = text.replace(secret, MASK)
        return text


class StreamScrubber:
    """Takes our own secrets out of a body that passes in pieces; masks keep the length, so a tar stays a tar.

    `feed` gives back what is safe to write, holding back as much as the longest secret; `finish` gives the rest.
    """

    def __init__(self, secrets: Iterable[bytes]) -> None:
        self._secrets = sorted({s for s in secrets if s}, key=len, reverse=True)
        self._hold = max((len(s) for s in self._secrets), default=1) - 1
        self._rest = b""
        self.replaced = 0

    def _scrub(self, data: bytes) -> bytes:
        for secret in self._secrets:
            count = data.count(secret)
            if count:
                self.replaced += count
                data = data.replace(secret, b"*" * len(secret))
        return data

    def feed(self, piece: bytes) -> bytes:
        data = self._scrub(self._rest + piece)
        cut = max(0, len(data) - self._hold)
        self._rest = data[cut:]
        return data[:cut]

    def finish(self) -> bytes:
        rest, self._rest = self._rest, b""
        return rest
