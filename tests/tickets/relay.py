"""A mail relay on loopback (aiosmtpd) that keeps what it is sent, and fails as it is told."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


@dataclass
class Relay:
    """`rcpt`: an answer by address. `data`: an answer, or 'hang' or 'close' after the message was taken. `mail`: an answer to the sender.

    `taken`: raw messages in order, with their recipients. `passwords`: what was tried, with the way.
    `hanging` is set when a message was taken and is not answered; `released` ends that.
    """

    port: int = 0
    rcpt: dict[str, str] = field(default_factory=dict)
    mail: str = ""
    data: str = ""
    refuse_above: int = 0
    passwords: list[tuple[str, str]] = field(default_factory=list)
    right_password: str = ""
    taken: list[tuple[list[str], bytes]] = field(default_factory=list)
    hanging: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def messages(self) -> list[EmailMessage]:
        """What a receiver sees that drops a Message-ID it has: each message once. The same id with another head or body fails."""
        seen: dict[str, bytes] = {}
        for _, raw in self.taken:
            parsed = message_from_bytes(raw, policy=default)
            name = str(parsed["Message-ID"])
            assert seen.setdefault(name, raw) == raw, "a message sent again is the same message"
        return [message_from_bytes(raw, policy=default) for raw in seen.values()]

    async def handle_MAIL(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]) -> str:  # noqa: N802 - aiosmtpd's name
        if self.mail:
            return self.mail
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]) -> str:  # noqa: N802
        answer = self.rcpt.get(address, "250 OK")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.content
        assert isinstance(content, bytes)
        if self.refuse_above and len(content) > self.refuse_above:
            return "552 5.3.4 Message too big"
        if self.data and self.data not in ("hang", "close"):
            return self.data
        self.taken.append((list(envelope.rcpt_tos), content))
        if self.data == "hang":
            self.hanging.set()
            await self.released.wait()
        if self.data == "close":
            assert server.transport is not None
            server.transport.close()
        return "250 OK"

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.passwords.append((mechanism, data.password.decode()))
        return AuthResult(success=data.password.decode() == self.right_password, handled=False)


@asynccontextmanager
async def relay(*, size: int = 33_554_432, tls: ssl.SSLContext | None = None, login: str = "") -> AsyncIterator[Relay]:
    """`tls`: STARTTLS is offered with it. `login`: a password that must be given after STARTTLS."""
    kept = Relay(right_password=login)

    def protocol() -> SMTP:
        return SMTP(
            kept,
            hostname="relay.example.org",
            data_size_limit=size,
            tls_context=tls,
            auth_required=bool(login),
            authenticator=kept.authenticate,
            auth_require_tls=True,
            loop=asyncio.get_running_loop(),
        )

    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    kept.port = server.sockets[0].getsockname()[1]
    try:
        yield kept
    finally:
        kept.released.set()
        server.close()
        await server.wait_closed()
