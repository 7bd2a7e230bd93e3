"""Files for a case, and the answers to what the Polish Poly service desk (HEZO) verifies before it sends a replacement."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from agent.errors import BadPayload, NotSupported
from agent.ports import EvidenceItem
from agent.redact import is_secret_key
from collectors.poly.client import DEVICES, PING, TRACEROUTE, PolyClient, too_large
from collectors.poly.settings import LOG_BUNDLE_CEILING, MIB
from collectors.transport import parse_json

LOG_TIMEOUT = 900.0
TAR_MAGIC_AT = 257
"""Where a tar names itself; the first 512 bytes of a file are enough to see it."""

_ATTRIBUTE = re.compile(rb"""([A-Za-z_][\w.\-]*)(\s*=\s*)("[^"]*"|'[^']*')""")
_ELEMENT = re.compile(rb"<([A-Za-z_][\w.\-]*)(\s[^<>]*)?>([^<>]+)</\1\s*>")
_SECRET_NAME = re.compile(
    r"(?i)pass(word|wd|phrase|code)?|secret|token|credential|community|private|psk|\.key$|(auth|priv|enc)\w*key|sessionid|userid|username"
)


def check_tar(head: bytes) -> str:
    """Why this is not a tar or tar.gz; '' when it may be one."""
    if head.startswith(b"\x1f\x8b") or head[TAR_MAGIC_AT : TAR_MAGIC_AT + 5] == b"ustar":
        return ""
    start = head.lstrip()[:1]
    return f"a page or a message came instead of the log bundle ({len(head)} bytes or more)" if start in (b"<", b"{", b"[") else "neither tar nor gzip"


async def _logs(client: PolyClient) -> AsyncGenerator[bytes, None]:
    limit, size = client.settings.log_bundle_limit, 0
    async with aclosing(client.stream("/rest/system/logs", limit=limit + 1, timeout=LOG_TIMEOUT)) as pieces:
        async for piece in pieces:
            size += len(piece)
            if size > limit:
                raise too_large("the log bundle", limit)
            yield piece


def _text(ask: Callable[[PolyClient], Any]) -> Callable[[PolyClient], AsyncGenerator[bytes, None]]:
    """One answer as one piece."""

    async def fetch(client: PolyClient) -> AsyncGenerator[bytes, None]:
        text: str = await ask(client)
        yield text.encode("utf-8", "replace")

    return fetch


def _towards_gateway(path: str) -> Callable[[PolyClient], Any]:
    async def ask(client: PolyClient) -> str:
        gateway = client.settings.gateway
        if not gateway:
            raise NotSupported("no `gateway` is set for this device, so nothing was asked to reach it")
        return await client.post(path, {"destination": gateway})

    return ask


def scrub_json(body: bytes) -> bytes:
    """JSON with session ids, user names and secrets masked, laid out for people. What is no JSON is withheld: it cannot be cleaned."""
    try:
        value = parse_json(body)
    except BadPayload as error:
        return f"(withheld: {error.detail}, so it cannot be searched for secrets)\n".encode()
    return json.dumps(_masked(value), indent=2, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: "***" if _secret(k) and v not in ("", None) else _masked(v) for k, v in value.items()}
    return [_masked(v) for v in value] if isinstance(value, list) else value


def scrub_config(body: bytes) -> bytes:
    """The settings export with every value masked whose name sounds like a secret, though the device has left its own marks in most."""

    def attribute(match: re.Match[bytes]) -> bytes:
        name, equals, value = match.groups()
        quote = value[:1]
        return name + equals + quote + b"***" + quote if _secret(name.decode()) and len(value) > 2 else match.group()

    def element(match: re.Match[bytes]) -> bytes:
        name, attributes, _ = match.groups()
        return b"<" + name + (attributes or b"") + b">***</" + name + b">" if _secret(name.decode()) else match.group()

    return _ELEMENT.sub(element, _ATTRIBUTE.sub(attribute, body))


def _secret(name: str) -> bool:
    return is_secret_key(name) or bool(_SECRET_NAME.search(name))


def _json_item(name: str, ask: Callable[[PolyClient], Any], *, light: bool = True, sensitive: bool = True, timeout: float = 60.0) -> EvidenceItem:
    return EvidenceItem(
        name=name, media_type="application/json", fetch=_text(ask), limit=4 * MIB, timeout=timeout, light=light, sensitive=sensitive, scrub=scrub_json
    )


_ITEMS = (
    _json_item("poly-system.json", lambda c: c.get("/rest/system"), sensitive=False),
    _json_item("poly-status.json", lambda c: c.get("/rest/system/status"), sensitive=False),
    _json_item("poly-peripherals.json", lambda c: c.post(DEVICES, None)),
    _json_item("poly-sessions.json", lambda c: c.get("/rest/current/session/sessions")),
    _json_item("poly-ping.json", _towards_gateway(PING), sensitive=False),
    _json_item("poly-traceroute.json", _towards_gateway(TRACEROUTE), light=False, timeout=120.0),
    EvidenceItem(
        name="poly-config.xml",
        media_type="application/xml",
        fetch=_text(lambda c: c.get("/rest/provisioning/config")),
        limit=4 * MIB,
        timeout=120.0,
        scrub=scrub_config,
    ),
    EvidenceItem(name="poly-logs.tar", media_type="application/x-tar", fetch=_logs, limit=LOG_BUNDLE_CEILING, timeout=LOG_TIMEOUT, check=check_tar),
)
EVIDENCE = tuple(replace(item, secrets=lambda client: client.secrets) for item in _ITEMS)
"""Each without the id of our own session: the codec writes who logs in into its log."""
