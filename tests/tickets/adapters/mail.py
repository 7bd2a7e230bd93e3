"""The mail desk's other side: a relay, and a helpdesk that threads by References and drops a Message-ID it has."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from exporters.tickets.mail import PLUGIN
from exporters.tickets.mail.settings import MailSettings
from tests.contract.desks import Breakage, DeskAdapter, HeldTicket
from tests.tickets.relay import Relay, relay

TO = "service@example.org"
BREAKAGES = (
    Breakage(name="recipient 451", retryable=True, says="451"),
    Breakage(name="recipient 452", retryable=True, says="452"),
    Breakage(name="recipient 550", retryable=False, says=TO),
    Breakage(name="sender 450", retryable=True, says="rooms@example.org"),
    Breakage(name="sender 550", retryable=False, says="rooms@example.org"),
    Breakage(name="data 451", retryable=True),
    Breakage(name="data 554", retryable=False),
    Breakage(name="data 552", retryable=False),
    Breakage(name="data hang", retryable=True, unknown=True),
    Breakage(name="data close", retryable=True, unknown=True),
    Breakage(name="data 299", retryable=True, unknown=True),
)


class Helpdesk:
    def __init__(self, kept: Relay) -> None:
        self.relay = kept
        self.settings: object = settings(kept)

    async def held(self) -> list[HeldTicket]:
        threads: dict[str, list[HeldTicket]] = {}
        for message in self.relay.messages():
            body = message.get_body()
            assert body is not None
            assert not message.defects
            files = tuple((part.get_filename() or "", part.get_payload(decode=True)) for part in message.iter_attachments())
            one = HeldTicket(
                case=str(message["X-Latarnik-Case"]),
                key=str(message["X-Latarnik-Key"]),
                subject=str(message["Subject"]),
                texts=(body.get_content(),),
                attachments=tuple((name, content) for name, content in files if isinstance(content, bytes)),
                resolved=None,
            )
            first = str(message["References"] or message["Message-ID"]).split()[0]
            threads.setdefault(first, []).append(one)
        return [join(parts) for parts in threads.values()]

    @asynccontextmanager
    async def broken(self, name: str) -> AsyncIterator[None]:
        what, _, answer = name.partition(" ")
        if what == "recipient":
            self.relay.rcpt[TO] = f"{answer} 4.2.2 no"
        elif what == "sender":
            self.relay.mail = f"{answer} no"
        else:
            self.relay.data = answer if answer.isalpha() else f"{answer} no"
        yield
        self.relay.rcpt.clear()
        self.relay.mail = self.relay.data = ""
        self.relay.released.set()


def join(parts: list[HeldTicket]) -> HeldTicket:
    """The thread: every message must name the same case, key and subject."""
    assert len({(part.case, part.key, part.subject) for part in parts}) == 1
    first = parts[0]
    return HeldTicket(
        case=first.case,
        key=first.key,
        subject=first.subject,
        texts=tuple(text for part in parts for text in part.texts),
        attachments=tuple(file for part in parts for file in part.attachments),
        resolved=None,
    )


def settings(kept: Relay, **more: object) -> MailSettings:
    values = {"to": [TO], "from": "rooms@example.org", "smtp": f"127.0.0.1:{kept.port}", "tls": "none", "timeout": "500ms", **more}
    return MailSettings.model_validate(values)


@asynccontextmanager
async def start(folder: Path) -> AsyncIterator[Helpdesk]:
    async with relay() as kept:
        yield Helpdesk(kept)


ADAPTER = DeskAdapter(plugin=PLUGIN, start=start, breakages=BREAKAGES, searchable=False)
