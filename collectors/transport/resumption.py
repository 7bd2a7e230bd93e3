"""TLS sessions that are taken up again: a visit's first connection then costs the device no signature.

asyncio and aiohttp never offer one, so the context does, at the one place where a connection's TLS begins. A session stands for the connection it
comes from: whoever takes it up again holds the secrets of the device whose certificate was checked then, and that certificate is checked once
more against what is accepted now. Sessions are kept in this process alone, a device's own, and never where the configuration wants the chain
verified (mode ca): a resumed connection shows no chain.
"""

from __future__ import annotations

import ssl
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

KEPT_FOR: Final = 3600.0
"""Seconds after a full handshake. A device that got another certificate and kept the key of its tickets is noticed after that."""
FAILURES: Final = 3
"""So many connections that failed with a session on offer, and this device is offered none until the next start."""

BARREN_FOR: Final = 86_400.0
"""Seconds for which a device that gives no session to resume, or takes up none of `FAILURES` in a row, is not asked again: each try costs us a
fifth of a visit, since Python copies a session by writing and reading it, certificate and all."""

OFFERED: ContextVar[ssl.SSLSession | None] = ContextVar("OFFERED", default=None)
"""What the connection that is being made offers to resume."""


class ResumingContext(ssl.SSLContext):
    """A client's context whose connections offer the session of OFFERED."""

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        return super().wrap_bio(incoming, outgoing, server_side, server_hostname, session or OFFERED.get())


@dataclass(slots=True)
class _Kept:
    session: ssl.SSLSession | None = None
    expected: str = ""
    since: float = 0.0
    failures: int = 0
    vain: int = 0
    barren_until: float = 0.0


class TlsSessions:
    """The newest session of each device. Times are the monotonic clock's."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}

    def offer(self, device: str, expected: str, now: float) -> ssl.SSLSession | None:
        """What to offer this device; None when there is none, when it is too old, or another certificate is expected now than was then."""
        kept = self._kept.get(device)
        if kept is None or kept.failures >= FAILURES or kept.expected != expected or now - kept.since > KEPT_FOR:
            return None
        return kept.session

    def keep(self, device: str, expected: str, connection: ssl.SSLObject, now: float, *, offered: bool) -> None:
        """Keep the session of a connection that passed the check: after its first answer, because TLS 1.3 sends tickets late.

        `offered`: one was on offer when this connection was made.
        """
        kept = self._kept.setdefault(device, _Kept())
        if now < kept.barren_until:
            return
        if offered:
            kept.vain = 0 if connection.session_reused else kept.vain + 1
        session = connection.session if kept.vain < FAILURES else None
        if session is None or not (session.has_ticket or (session.id and connection.version() != "TLSv1.3")):
            kept.session, kept.vain, kept.barren_until = None, 0, now + BARREN_FOR
            return
        if not connection.session_reused or kept.expected != expected:
            kept.since = now
        kept.session, kept.expected = session, expected

    def failed(self, device: str) -> None:
        """A connection that offered the session did not come about."""
        kept = self._kept[device]
        kept.session = None
        kept.failures += 1

    def drop(self, device: str) -> None:
        """The device showed another certificate."""
        if device in self._kept:
            self._kept[device].session = None
