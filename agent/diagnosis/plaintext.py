"""Taking out of a text what looks like a secret, whoever's it is: what a device writes into its logs and lists of settings."""

from __future__ import annotations

import re
from collections.abc import Iterator

_NAMES = rb"(?:passw|passphrase|passwd|pwd|secret|token|community|credential|privatekey|private_key|privkey|authkey|apikey|api_key|psk)[\w.\-]{0,80}"
# Every repetition is bounded: a device may send one line of megabytes, and the time must grow with the length alone.
_PAIR = re.compile(rb"(?im)^([ \t]{0,40}[\w.\- ]{0,120}" + _NAMES + rb"[ \t]{0,8}[=:][ \t]{0,8})(?=[^\s])[^\r\n]+")
_OPENED = rb"(?i)([\"']?\b[\w.\-]{0,40}" + _NAMES + rb"[\"']?\s{0,8}[=:]\s{0,8})([\"'])"
_QUOTED = re.compile(_OPENED + rb"(?:(?!\2)[^\r\n]){1,4096}\2")
_ESCAPED = re.compile(_OPENED + rb"(?>(?:\\[^\r\n]|(?!\2)[^\r\n\\]){1,4096})\2")
"""A value with quotes in it, as JSON writes them; one that ends with a backslash of its own is for the other."""
_IN_LINE = re.compile(rb"(?i)\b((?:password|passwd|passphrase|pwd|token|secret)\s{0,8}[=:]\s{0,8})[^\s\"'&,;]+")
_ELEMENT = re.compile(rb"(?i)(<[\w:.\-]{0,40}" + _NAMES + rb"(?:\s[^<>]{0,400})?>)[^<>]{1,4096}(</)")
_URL = re.compile(rb"(?i)\b([a-z][a-z0-9+.-]{1,20}://)[^\s/@]{1,256}@")
_HEADER = re.compile(rb"(?im)\b(authorization[ \t]*:[ \t]*)[^\r\n]+")
_KEY_BEGIN = re.compile(rb"-----BEGIN ([A-Z ]{0,32}PRIVATE KEY)-----")
SCRUB_PIECE = 16 * 1024
"""Bytes that are searched at a time: Python's other threads, and with them all polls, stand still while one expression runs."""


def scrub(body: bytes) -> bytes:
    """A text of the device without what looks like a secret: values of password-like keys, private keys, accounts within URLs."""
    return b"".join(map(_scrub_lines, _lines(_without_keys(body))))


def _without_keys(body: bytes) -> bytes:
    kept: list[bytes] = []
    at = 0
    while (begin := _KEY_BEGIN.search(body, at)) is not None:
        kept += [body[at : begin.start()], b"-----" + begin[1] + b" removed-----"]
        mark = b"-----END " + begin[1] + b"-----"
        end = body.find(mark, begin.end())
        at = len(body) if end < 0 else end + len(mark)
    return b"".join([*kept, body[at:]])


def _lines(body: bytes) -> Iterator[bytes]:
    """Whole lines, as many as fit a piece. One that does not fit is no line of a log or a setting: it is left out, and that is said."""
    at = 0
    while at < len(body):
        end = len(body) if len(body) - at <= SCRUB_PIECE else body.rfind(b"\n", at, at + SCRUB_PIECE) + 1
        if end:
            yield body[at:end]
        else:
            end = body.find(b"\n", at) + 1 or len(body)
            yield b"(a line of %d bytes is left out)\n" % (end - at)
        at = end


def _scrub_lines(body: bytes) -> bytes:
    body = _HEADER.sub(rb"\1***", body)
    body = _URL.sub(rb"\1***@", body)
    body = _PAIR.sub(rb"\1***", body)
    body = _ESCAPED.sub(rb"\1\2***\2", body)
    body = _QUOTED.sub(rb"\1\2***\2", body)
    body = _ELEMENT.sub(rb"\1***\2", body)
    return _IN_LINE.sub(rb"\1***", body)
