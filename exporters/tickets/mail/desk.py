"""Sending the messages, and saying exactly what came of it."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import aiosmtplib

from agent.errors import DeskError
from agent.logs import logger
from agent.model import Artifact, Desk, Step, TicketRef
from agent.ports import DeskContext
from agent.service.texts import one_line
from config.secrets import SecretError, read_secret_file
from exporters.tickets import evidence
from exporters.tickets.mail.message import first_of_thread, fitting, message, withheld_text
from exporters.tickets.mail.settings import MailSettings

TOO_LARGE = 552
LOGIN_WAYS = ("plain", "login", "cram-md5")
"""One of these is tried, once: trying all of them with a wrong password would be three refused logins. The connection is encrypted by then."""

BASE64_COST = 1.37
HEADROOM = 64 * 1024
"""Files of SIZE / 1.37 - 64 KiB together fit into a message of SIZE bytes: base64 with line ends, text and headers (measured with a stock Postfix)."""

SLOWEST = 48 * 1024
"""Bytes a second. A slower line than this is taken for a broken one while a message is being sent."""

log = logger(__name__)


class MailDesk:
    """A `TicketDesk`. A ticket's `ref` is the Message-ID of the thread's first message; `find` and `has_step` cannot be told.

    A message that some recipients are refused is sent to the others; who was refused is logged, and `self_check` asks the relay about each.
    """

    def __init__(self, desk: Desk, settings: MailSettings, context: DeskContext) -> None:
        self._desk = desk.name
        self._settings = settings
        self._context = context

    async def self_check(self) -> None:
        """Log in and have the relay accept sender and every recipient, without sending a message."""
        if self._settings.dry_run:
            await asyncio.to_thread(self._write, "self-check", b"The self-check wrote this.\r\n")
            return
        async with self._relay() as relay:
            refused = await self._envelope(relay, 0)
            if refused:
                raise _refused(refused)
            await relay.rset()

    async def find(self, key: str, case: str) -> TicketRef | None:
        return None

    async def has_step(self, step: Step, ref: TicketRef | None) -> bool | None:
        return None

    async def create(self, step: Step) -> TicketRef:
        await self._send(step)
        return TicketRef(ref=first_of_thread(step, self._settings, self._context.site).strip("<>"))

    async def attach(self, step: Step, ref: TicketRef) -> None:
        await self._send(step)

    async def comment(self, step: Step, ref: TicketRef) -> None:
        await self._send(step)

    async def resolve(self, step: Step, ref: TicketRef) -> None:
        await self._send(step)

    async def reopen(self, step: Step, ref: TicketRef) -> None:
        await self._send(step)

    async def _send(self, step: Step) -> None:
        if self._settings.dry_run:
            whole = await self._message(step, *fitting(step.artifacts, self._settings.max_size))
            await asyncio.to_thread(self._write, step.id, whole)
            return
        async with self._relay() as relay:
            announced = relay.esmtp_extensions.get("size", "")
            limit = int(announced) if announced.isdecimal() and int(announced) else None
            room = self._settings.max_size if limit is None else min(self._settings.max_size, int(limit / BASE64_COST) - HEADROOM)
            attached, withheld = fitting(step.artifacts, room)
            try:
                refused = await self._deliver(relay, await self._message(step, attached, withheld))
            except DeskError as error:
                if error.reason != "too_large" or not attached:
                    raise
                await relay.rset()
                refused = await self._deliver(relay, await self._message(step, (), step.artifacts))
        for refusal in refused:
            log.warning("mail_recipient_refused", desk=self._desk, step=step.id, recipient=refusal.recipient, code=refusal.code, answer=_said(refusal.message))

    async def _message(self, step: Step, attached: Sequence[Artifact], withheld: Sequence[Artifact]) -> bytes:
        site, now = self._context.site, self._context.clock.now()
        missing = withheld_text([(artifact, self._place(artifact)) for artifact in withheld], site, step.draft.language) if withheld else ""

        def build() -> bytes:
            files = [(artifact, b"".join(evidence(artifact))) for artifact in attached]
            return message(step, self._settings, site, now=now, files=files, withheld=missing)

        return await asyncio.to_thread(build)

    def _place(self, artifact: Artifact) -> str:
        """Where the file lies, without telling a stranger more of this machine's paths than needed."""
        with suppress(ValueError):
            return str(artifact.path.relative_to(self._context.state_dir))
        return artifact.path.name

    def _write(self, name: str, content: bytes) -> None:
        folder = self._context.state_dir / "mail" / quote(self._desk, safe="")
        path = folder / f"{quote(name, safe='')}.eml"
        part = path.with_suffix(".part")
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o750)
            with part.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except OSError as error:
            raise DeskError("io", f"cannot write {path}: {error.strerror or error}; let the user that runs latarnik write there", retryable=True) from error

    @asynccontextmanager
    async def _relay(self) -> AsyncIterator[aiosmtplib.SMTP]:
        """A connection on which a message may be sent; what fails inside becomes a DeskError."""
        settings = self._settings
        host, port = settings.server
        where = f"relay {host}:{port}"
        relay = aiosmtplib.SMTP(
            hostname=host,
            port=port,
            timeout=settings.timeout,
            use_tls=settings.tls == "tls",
            start_tls=settings.tls == "starttls",
            tls_context=await asyncio.to_thread(self._tls) if settings.tls != "none" else None,
        )
        try:
            await relay.connect()
            await relay.ehlo()
            if settings.username:
                await self._log_in(relay, where)
            yield relay
            with suppress(aiosmtplib.SMTPException, OSError):
                await relay.quit(timeout=min(5.0, settings.timeout))  # all is said: whatever comes now changes nothing
        except (aiosmtplib.SMTPException, OSError) as error:
            raise _failure(error, where) from error
        finally:
            relay.close()

    def _tls(self) -> ssl.SSLContext:
        ca = self._settings.ca_file
        path: Path | None = self._context.config_dir / ca if ca else None
        try:
            return ssl.create_default_context(cafile=path)
        except OSError as error:
            raise DeskError("tls", f"ca_file {path}: {error.strerror or error}", retryable=False) from error

    async def _log_in(self, relay: aiosmtplib.SMTP, where: str) -> None:
        settings = self._settings
        assert settings.password_file is not None
        path = self._context.config_dir / settings.password_file
        try:
            password = await asyncio.to_thread(read_secret_file, path)
        except SecretError as error:
            raise DeskError("secret", f"desk {self._desk}, password_file: {error}", retryable=False) from None
        way = next((way for way in LOGIN_WAYS if way in relay.server_auth_methods), None)
        if way is None:
            raise DeskError("auth", f"{where} offers no way to log in that we know ({', '.join(LOGIN_WAYS)})", retryable=False)
        log_in = {"plain": relay.auth_plain, "login": relay.auth_login, "cram-md5": relay.auth_crammd5}[way]
        try:
            await log_in(settings.username, password.reveal())
        except aiosmtplib.SMTPAuthenticationError as error:
            # The server's words stay out: some repeat what they were sent.
            detail = f"{where} refuses the login of {settings.username} (code {error.code}); put the right password into password_file"
            raise DeskError("auth", detail, retryable=400 <= error.code < 500) from None

    async def _envelope(self, relay: aiosmtplib.SMTP, size: int) -> list[aiosmtplib.SMTPRecipientRefused]:
        """Name sender and recipients. The refused ones; DeskError if those are all."""
        options = [f"SIZE={size}"] if size and relay.supports_extension("size") else []
        try:
            await relay.mail(self._settings.sender, options=options)
        except aiosmtplib.SMTPSenderRefused as error:
            if error.code == TOO_LARGE:
                raise _too_large(error) from error
            detail = f"sender {self._settings.sender} refused: {error.code} {_said(error.message)}"
            raise DeskError("sender", detail, retryable=not 500 <= error.code < 600) from error
        refused = []
        for address in self._settings.to:
            try:
                await relay.rcpt(address)
            except aiosmtplib.SMTPRecipientRefused as error:
                refused.append(error)
        if len(refused) == len(self._settings.to):
            raise _refused(refused)
        return refused

    async def _deliver(self, relay: aiosmtplib.SMTP, whole: bytes) -> list[aiosmtplib.SMTPRecipientRefused]:
        """One message; the recipients that were refused, if others were not."""
        refused = await self._envelope(relay, len(whole))
        try:
            await relay.data(whole, timeout=self._settings.timeout + len(whole) / SLOWEST)
        except aiosmtplib.SMTPDataError as error:
            if error.code == TOO_LARGE:
                raise _too_large(error) from error
            if 400 <= error.code < 600:
                raise DeskError("content", f"message refused: {error.code} {_said(error.message)}", retryable=error.code < 500) from error
            raise _unknown(f"answer {error.code} {_said(error.message)}") from error
        except (aiosmtplib.SMTPException, OSError) as error:
            raise _unknown(_said(str(error))) from error
        return refused


@asynccontextmanager
async def open_desk(desk: Desk, context: DeskContext) -> AsyncIterator[MailDesk]:
    """The desk. Each message has a connection of its own, so nothing is open between messages."""
    assert isinstance(desk.settings, MailSettings)
    yield MailDesk(desk, desk.settings, context)


def _failure(error: aiosmtplib.SMTPException | OSError, where: str) -> DeskError:
    """An error before any message was on its way."""
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return DeskError("refused", f"{where}: {error.code} {_said(error.message)}", retryable=not 500 <= error.code < 600)
    tls = isinstance(error, ssl.SSLError) or isinstance(error.__cause__, ssl.SSLError) or "STARTTLS" in str(error)
    if tls:
        remedy = "it must offer STARTTLS and a certificate that is valid for this name; name its authority in ca_file, or set tls: none if it has no encryption"
        return DeskError("tls", f"{where}: {_said(str(error))}; {remedy}", retryable=True)
    return DeskError("unreachable", f"{where}: {_said(str(error)) or type(error).__name__}", retryable=True)


def _refused(refused: list[aiosmtplib.SMTPRecipientRefused]) -> DeskError:
    said = "; ".join(f"{error.recipient}: {error.code} {_said(error.message)}" for error in refused)
    return DeskError("recipients", f"recipients refused: {said}", retryable=any(not 500 <= error.code < 600 for error in refused))


def _too_large(error: aiosmtplib.SMTPResponseException) -> DeskError:
    return DeskError("too_large", f"message too large for the relay: {error.code} {_said(error.message)}", retryable=False)


def _unknown(what: str) -> DeskError:
    return DeskError("unknown", f"the message was sent, and the relay did not say that it has it: {what}", retryable=True, unknown=True)


def _said(text: str) -> str:
    return one_line(text)[:200]
