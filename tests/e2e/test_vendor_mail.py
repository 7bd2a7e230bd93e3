"""A mail desk for the vendor beside our own folder desk: nothing leaves before it is complete and a person said yes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.e2e.site import CONTRACTS, Site, attached, entry
from tests.support.processes import free_port, wait_for

COMPLETE, INCOMPLETE = "mail-complete", "mail-incomplete"


class Inbox:
    """What the relay took."""

    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        content = envelope.content
        assert isinstance(content, bytes)
        self.messages.append(message_from_bytes(content, policy=default))
        return "250 OK"

    def of(self, case: str) -> list[EmailMessage]:
        return [m for m in self.messages if m["X-Latarnik-Case"] == case]


@contextmanager
def relay() -> Iterator[tuple[Inbox, int]]:
    """A mail relay in this process. It takes 8 MB, without authentication."""
    inbox = Inbox()
    port = free_port()
    controller = Controller(inbox, hostname="127.0.0.1", port=port, data_size_limit=8_000_000)
    controller.start()
    try:
        yield inbox, port
    finally:
        controller.stop()


def test_nothing_goes_to_the_vendor_before_it_is_complete_and_approved(site: Site) -> None:
    fleet = site.fleet
    numberless = {**CONTRACTS["rooms"], "number": ""}
    with relay() as (inbox, port):
        site.write(
            [entry(fleet, COMPLETE), entry(fleet, INCOMPLETE, contract="numberless")],
            contracts={**CONTRACTS, "numberless": numberless},
            desks={
                "helpdesk": {"type": "folder", "path": "tickets", "language": "en"},
                "vendor": {
                    "type": "mail",
                    "role": "vendor",
                    "approval": "required",
                    "to": ["service@example.org"],
                    "from": "rooms@example.org",
                    "smtp": f"127.0.0.1:{port}",
                    "tls": "none",
                    "language": "pl",
                },
            },
        )
        try:
            with site.daemon() as daemon:
                site.healthy(COMPLETE, INCOMPLETE)
                for room in (COMPLETE, INCOMPLETE):
                    fleet.switch(room, "mic_lost", on=True)
                for room in (COMPLETE, INCOMPLETE):
                    wait_for("our own ticket has its bundle", lambda r=room: site.tickets(r) and "poly-logs.tar" in attached(site.ticket(r)))  # type: ignore[misc]
                complete, incomplete = site.ticket(COMPLETE), site.ticket(INCOMPLETE)
                assert complete["fields"]["missing"] == []
                assert incomplete["fields"]["missing"] == ["contract_number"]
                assert "the number of the service contract" in (incomplete["folder"] / "ticket.txt").read_text()
                site.polls(COMPLETE, INCOMPLETE)
                assert inbox.messages == []
                listed = {c["id"]: c for c in json.loads(site.cli("case", "list", "--output", "json"))["cases"]}
                assert listed[incomplete["case"]]["missing"] == ["contract_number"]
                assert listed[complete["case"]]["missing"] == []

                assert "contract_number" in site.cli("case", "approve", incomplete["case"])
                assert site.cli("case", "approve", complete["case"]).strip() == f"{complete['case']}: approved."
                wait_for("the vendor has report and logs", lambda: len(inbox.of(complete["case"])) >= 2)
                first = inbox.of(complete["case"])[0]
                body = first.get_body()
                assert body is not None
                assert complete["fields"]["identity"]["serial"] in body.get_content()
                assert "HZ/2026/0007" in body.get_content()
                assert first["To"] == "service@example.org"
                names = {part.get_filename() for m in inbox.of(complete["case"]) for part in m.iter_attachments()}
                assert "poly-logs.tar" in names
                site.polls(COMPLETE, INCOMPLETE)
                assert inbox.of(incomplete["case"]) == []
                assert daemon.stop() == 0

            sent = len(inbox.messages)
            with site.daemon():
                site.polls(COMPLETE, INCOMPLETE)
                assert len(inbox.messages) == sent, "a restart sends nothing again"
                for room in (COMPLETE, INCOMPLETE):
                    fleet.switch(room, "mic_lost", on=False)
                wait_for("our own tickets are resolved", lambda: [t["state"] for t in site.tickets()] == ["resolved"] * 2)
                wait_for("the vendor hears that the device works", lambda: len(inbox.of(complete["case"])) == sent + 1)
                # What was never sent is withdrawn whole: nothing of it is left in the queue, and nothing of it ever leaves.
                wait_for("nothing waits for the vendor", lambda: _waiting(site, incomplete["case"]) == [])
                assert inbox.of(incomplete["case"]) == []

                # When the fault is back the vendor's report is a first report, held again; our own ticket is opened again.
                for room in (COMPLETE, INCOMPLETE):
                    fleet.switch(room, "mic_lost", on=True)
                wait_for("our own tickets are open again", lambda: [t["state"] for t in site.tickets()] == ["open"] * 2)
                wait_for("the vendor hears of it", lambda: len(inbox.of(complete["case"])) == sent + 2)
                site.polls(COMPLETE, INCOMPLETE)
                assert inbox.of(incomplete["case"]) == []
                assert set(_waiting(site, incomplete["case"])) == {"create held", "attach pending"}, "the files wait behind the report"
        finally:
            for room in (COMPLETE, INCOMPLETE):
                fleet.switch(room, "mic_lost", on=False)


def _waiting(site: Site, case: str) -> list[str]:
    """What the vendor's desk still has before it of this case."""
    with sqlite3.connect(site.state / "latarnik.sqlite3") as database:
        rows = database.execute("SELECT kind, state FROM outbox WHERE case_id = ? AND desk = 'vendor' AND state NOT IN ('done', 'withdrawn')", (case,))
        found = [f"{kind} {state}" for kind, state in rows]
    database.close()
    return found
