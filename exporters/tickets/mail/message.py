"""One step as one message: pure, and the same bytes for the same step."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from email import policy
from email.header import Header
from email.message import EmailMessage
from email.utils import format_datetime
from urllib.parse import quote

from agent.errors import DeskError
from agent.model import Artifact, Step
from agent.service.texts import one_line
from exporters.tickets.mail.settings import MailSettings

_NO_ATTACHMENT_TYPES = frozenset({"multipart", "message"})
"""Types that a mail reader would open as a part of the message instead of offering the file."""


def message(step: Step, settings: MailSettings, site: str, *, now: datetime, files: Sequence[tuple[Artifact, bytes]] = (), withheld: str = "") -> bytes:
    """The message as it goes over the wire, CRLF line ends.

    `withheld` is put below the text when files are not attached. `now` counts only if the draft does not say when it was written.
    DeskError: the draft's `written_at` is no time.
    """
    content = EmailMessage(policy=policy.SMTP)
    content.set_content(step.draft.body + (f"\n{withheld}\n" if withheld else ""), charset="utf-8", cte="quoted-printable")
    for name, (artifact, data) in zip(file_names([artifact for artifact, _ in files]), files, strict=True):
        main, _, sub = artifact.media_type.partition("/")
        if main in _NO_ATTACHMENT_TYPES or not re.fullmatch(r"[a-z0-9.+-]+", main) or not re.fullmatch(r"[a-z0-9.+-]+", sub):
            main, sub = "application", "octet-stream"
        content.add_attachment(data, maintype=main, subtype=sub, filename=name)
    if files:
        # "=_" cannot stand in a quoted-printable or base64 body.
        content.set_boundary(f"=_{hashlib.sha256(step.id.encode()).hexdigest()[:32]}")
    head = "".join(header(name, value) for name, value in _headers(step, settings, site, now))
    return head.encode("ascii") + content.as_bytes()


def file_names(artifacts: Sequence[Artifact]) -> list[str]:
    """A name for each file of one message: one line, no path, and none twice, also where upper and lower case are the same."""
    names: list[str] = []
    for artifact in artifacts:
        plain = one_line(artifact.name).replace("/", "_") or "attachment"
        taken = {name.casefold() for name in names}
        # One of these is free: there are more of them than names taken.
        numbered = (f"{number}-{plain}" for number in range(2, len(names) + 3))
        names.append(next(name for name in (plain, *numbered) if name.casefold() not in taken))
    return names


def fitting(artifacts: Sequence[Artifact], room: int) -> tuple[list[Artifact], list[Artifact]]:
    """(files to attach, files to withhold), each in their order: the biggest are withheld until the others have at most `room` bytes together."""
    kept = list(range(len(artifacts)))
    while kept and sum(artifacts[index].size for index in kept) > room:
        kept.remove(max(kept, key=lambda index: artifacts[index].size))
    return [artifacts[index] for index in kept], [artifact for index, artifact in enumerate(artifacts) if index not in kept]


def message_id(step_id: str, settings: MailSettings, site: str) -> str:
    """`<step.id@site.domain-of-sender>`: unique in the world, and known before and after the message was sent."""
    label = re.sub(r"[^a-z0-9]+", "-", site.lower()).strip("-") or "site"
    local = quote(step_id, safe="").replace("..", ".%2E")  # two dots in a row, or one at the end, are no identifier
    if local.endswith("."):
        local = f"{local[:-1]}%2E"
    return f"<{local}@{label}.{settings.sender.rpartition('@')[2]}>"


def first_of_thread(step: Step, settings: MailSettings, site: str) -> str:
    """The Message-ID of the case's first message at this desk."""
    return message_id(_step_id(step, 1), settings, site)


def withheld_text(files: Sequence[tuple[Artifact, str]], site: str, language: str) -> str:
    """Which files are not attached, why, and where they lie: (file, place on the site's server)."""
    if language == "pl":
        lines = [f"- {one_line(a.name)}, {a.size} B, SHA-256 {a.sha256}, miejsce: {where}" for a, where in files]
        head = "Ze względu na rozmiar do tej wiadomości nie dołączono:"
        tail = f"Całość znajduje się na serwerze obiektu {one_line(site)} w podanym miejscu. Na prośbę przekażemy ją w inny sposób."
    else:
        lines = [f"- {one_line(a.name)}, {a.size} B, SHA-256 {a.sha256}, place: {where}" for a, where in files]
        head = "Too big for a mail, and therefore not attached:"
        tail = f"All of this is kept on the server of the site {one_line(site)} in the place named. On request we will hand it over in another way."
    return "\n".join((head, *lines, tail))


def header(name: str, value: str) -> str:
    """One header, encoded and folded.

    Not left to `email.policy`: it encodes an identifier longer than a line as if it were text, and then no reader finds the thread.
    Addresses and identifiers are ASCII without spaces (the settings see to it), so they are folded between each other and never encoded.
    """
    if name in ("From", "To", "Reply-To", "Message-ID", "In-Reply-To", "References"):
        return f"{name}: " + "\r\n ".join(value.split()) + "\r\n"
    if value.isascii() and "=?" not in value and len(name) + len(value) < 76:
        return f"{name}: {value}\r\n"
    return f"{name}: " + Header(value, "utf-8", maxlinelen=75, header_name=name).encode(linesep="\r\n") + "\r\n"


def _headers(step: Step, settings: MailSettings, site: str, now: datetime) -> Iterator[tuple[str, str]]:
    yield "From", settings.sender
    yield "To", ", ".join(settings.to)
    yield "Message-ID", message_id(step.id, settings, site)
    chain = [message_id(_step_id(step, earlier), settings, site) for earlier in range(1, step.seq)]
    if chain:
        yield "In-Reply-To", chain[-1]
        yield "References", " ".join(chain)
    yield "Subject", one_line(step.draft.subject)
    yield "Date", format_datetime(_written_at(step, now))
    if settings.reply_to:
        yield "Reply-To", settings.reply_to
    yield "X-Latarnik-Case", one_line(step.case)
    yield "X-Latarnik-Key", one_line(step.draft.key)
    yield "Content-Language", step.draft.language
    if settings.auto_submitted:
        yield "Auto-Submitted", "auto-generated"


def _step_id(step: Step, seq: int) -> str:
    return f"{step.case}.{step.desk}.{seq}"


def _written_at(step: Step, now: datetime) -> datetime:
    text = step.draft.fields.get("written_at")
    if text is None:
        return now
    try:
        written = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        written = None
    if written is None or written.tzinfo is None:
        raise DeskError("draft", f"step {step.id}: written_at {text!r} is no time with an offset", retryable=False)
    return written
