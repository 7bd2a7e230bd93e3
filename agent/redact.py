"""The only redactor: key names and patterns of what must not leave. Used by the logs and by evidence."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
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
    """How a secret may stand in a file: plain, JSON- and percent-escaped, base64 alone and with its user name. Longest first.

    Secrets shorter than 4 characters give nothing: they would match everywhere.
    """
    if len(secret) < 4:
        return ()
    plain = secret.encode()
    found = {plain, json.dumps(secret)[1:-1].encode(), quote(secret, safe="").encode(), quote_plus(secret).encode(), base64.b64encode(plain)}
    if username:
        found.add(base64.b64encode(f"{username}:{secret}".encode()))
    return tuple(sorted(found, key=len, reverse=True))


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
