"""A site whose outbox is full: a device broke, recovered and broke again while no ticket desk could be reached. And what its desks hold in the end."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import signal
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import TypeAdapter

from agent.app import find_house, read_config
from agent.inventory import build
from agent.model import Case, Step, StepKind
from agent.service.cases import Office, plan_step
from agent.store import queries
from agent.store.database import FILE, open_store
from exporters.tickets.mail.message import message_id
from exporters.tickets.mail.settings import MailSettings
from tests.e2e.site import Site, entry
from tests.promises import transitions
from tests.support.crash import Forked, Point, forked
from tests.support.processes import free_port, wait_for
from tests.tickets.adapters.folder import held_ticket
from tests.tickets.relay import Relay, relay

DEVICE = "spare-1"
SENDER, RECEIVER = "rooms@example.org", "desk@example.org"
KINDS = (StepKind.CREATE, StepKind.ATTACH, StepKind.RESOLVE, StepKind.REOPEN, StepKind.COMMENT)
_CASE, _STEP = TypeAdapter(Case), TypeAdapter(Step)

Kind = Literal["folder", "ledger", "mail"]


def fill(site: Site) -> None:
    """Let the device break, recover and break again with desks that nobody answers at; then stop. A person's comment is the last step."""
    site.write([entry(site.fleet, DEVICE)], desks=_desks("nowhere/tickets", free_port()))
    fleet = site.fleet
    with site.daemon() as daemon:
        try:
            site.healthy(DEVICE)
            fleet.switch(DEVICE, "sd_failed", on=True)
            wait_for("the evidence waits for the desks", lambda: "attach" in _kinds_waiting(site.state), 45)
            fleet.switch(DEVICE, "sd_failed", on=False)
            wait_for("the recovery waits for the desks", lambda: "resolve" in _kinds_waiting(site.state), 45)
            fleet.switch(DEVICE, "sd_failed", on=True)
            wait_for("the return waits for the desks", lambda: "reopen" in _kinds_waiting(site.state), 45)
        finally:
            fleet.switch(DEVICE, "sd_failed", on=False)
        assert daemon.stop() == 0
    settings = read_config(site.config, find_house())
    inventory = build(settings)
    with open_store(site.state) as store, store.transaction() as c:
        (case,) = queries.load_cases(c)
        now = datetime.now(UTC)
        office = Office(language="en", timezone="Europe/Warsaw")
        for desk in inventory.desks:
            plan = inventory.plans[case.plan]
            told = plan_step(case, desk, StepKind.COMMENT, queries.next_seq(c, case.id, desk.name), plan, office, at=now, note="Somebody looked at it.")
            queries.add_step(c, told.step, now=now)
        for desk in inventory.desks:
            assert {q.step.kind for q in queries.queued(c, desk=desk.name)} == set(KINDS)
    with closing(sqlite3.connect(site.state / FILE)) as raw:
        raw.execute("UPDATE outbox SET state = 'pending', attempts = 0, next_at = created_at, last_error = ''")
        raw.commit()


def _kinds_waiting(state: Path) -> set[str]:
    return {row[0] for row in _rows(state, "SELECT kind FROM outbox")}


def _desks(path: str, port: int) -> dict[str, Any]:
    mail = {"type": "mail", "to": [RECEIVER], "from": SENDER, "smtp": f"127.0.0.1:{port}", "tls": "none", "language": "pl"}
    return {"helpdesk": {"type": "folder", "path": path, "language": "en"}, "mail": mail}


def _rows(state: Path, query: str) -> list[tuple[Any, ...]]:
    """What another process sees in the database."""
    if not (state / FILE).exists():
        return []
    with closing(sqlite3.connect(f"file:{state / FILE}?mode=ro", uri=True, timeout=20)) as raw:
        return raw.execute(query).fetchall() if raw.execute("SELECT 1 FROM sqlite_master WHERE name = 'outbox'").fetchone() else []


@dataclass(slots=True, kw_only=True)
class Mailbox:
    """The relay on a thread of its own. `kill_at`: at its nth message it kills `victim`, before or right after its answer."""

    kept: Relay
    loop: asyncio.AbstractEventLoop
    victim: int = 0
    kill_at: int = 0
    when: Literal["before", "after"] = "before"
    messages: int = 0
    kills: int = 0

    def kill(self) -> None:
        self.kills += 1
        os.kill(self.victim, signal.SIGKILL)

    def taken(self) -> list[bytes]:
        return [raw for _, raw in self.kept.taken]


@contextmanager
def mailbox() -> Iterator[Mailbox]:
    """A real SMTP server on loopback, answering while the test waits."""
    opened: list[Mailbox] = []
    ready, end = threading.Event(), threading.Event()

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        async with relay() as kept:
            box = Mailbox(kept=kept, loop=loop)
            take = kept.handle_DATA

            async def hooked(*words: Any) -> str:
                box.messages += 1
                answer = await take(*words)
                if box.messages == box.kill_at and box.when == "before":
                    box.kill()
                elif box.messages == box.kill_at:
                    loop.call_soon(box.kill)  # the answer is written before the loop comes round
                return answer

            kept.handle_DATA = hooked  # type: ignore[assignment, method-assign]
            opened.append(box)
            ready.set()
            await asyncio.to_thread(end.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),), name="relay")
    thread.start()
    try:
        assert ready.wait(10)
        yield opened[0]
    finally:
        end.set()
        thread.join()


class BrokenPromiseError(AssertionError):
    """What the desk holds is not one ticket with every step and every file once."""


@dataclass(slots=True, kw_only=True)
class Outbox:
    """A desk whose outbox is as `fill` left it, at each `reset` anew. `prepare`: what is changed in the daemon's process."""

    site: Site
    kind: Kind
    full: Path
    box: Mailbox
    prepare: tuple[Callable[[], None], ...] = ()
    kills: Counter[str] = field(default_factory=Counter)

    @property
    def desk(self) -> str:
        return "mail" if self.kind == "mail" else "helpdesk"

    @property
    def held(self) -> Path:
        return self.site.folder / "held"

    def reset(self) -> None:
        """The outbox is full again, and the desk holds nothing."""
        shutil.rmtree(self.site.state)
        shutil.copytree(self.full, self.site.state)
        shutil.rmtree(self.held, ignore_errors=True)
        self.box.kept.taken.clear()
        self.box.messages = self.box.kill_at = 0
        desks = {name: desk for name, desk in _desks(str(self.held), self.box.kept.port).items() if name == self.desk}
        self.site.config.write_text(yaml.safe_dump(self.site.document | {"desks": desks, "polling": {"interval": "60s"}}, allow_unicode=True))
        with closing(sqlite3.connect(self.site.state / FILE)) as raw:
            raw.execute("DELETE FROM outbox WHERE desk != ?", (self.desk,))
            raw.commit()

    @contextmanager
    def daemon(self, *points: Point) -> Iterator[Forked]:
        ledger = (transitions.with_a_ledger,) if self.kind == "ledger" else ()
        with forked(self.site.config, self.site.log, *points, prepare=(*ledger, *self.prepare, transitions.watched)) as running:
            yield running

    def quiet(self) -> bool:
        """Every step was taken, or one was given up, which holds up the others."""
        states = {row[0] for row in _rows(self.site.state, "SELECT state FROM outbox")}
        return states == {"done"} or "dead" in states

    def run(self, *points: Point, within: float = 30.0) -> bool:
        """One life of the daemon, until it is killed (True) or its outbox is quiet (False)."""
        with self.daemon(*points) as running:
            self.box.victim = running.process.pid or 0
            wait_for("it is killed, or the outbox is quiet", lambda: running.process.exitcode is not None or self.quiet(), within)
            if running.process.exitcode is None:
                running.kill()
                return False
            assert running.process.exitcode == -signal.SIGKILL, running.text()[-3000:]
            return True

    def survives(self, *points: Point) -> bool:
        """Fill the outbox, kill the daemon at this point, start it again, and look at what came of it. True: it was quiet before it got there."""
        self.reset()
        killed = self.run(*points)
        if killed:
            self.box.kill_at = 0
            assert not self.run()
        self.check()
        return not killed

    def restore(self, backup: Path) -> None:
        """Put back a state folder of an earlier day. What the desk holds stays."""
        shutil.rmtree(self.site.state)
        shutil.copytree(backup, self.site.state)

    # --- what came of it

    def steps(self) -> list[Step]:
        """The steps as they were written, in their order."""
        return [_STEP.validate_json(row[0]) for row in _rows(self.site.state, f"SELECT value FROM outbox WHERE desk = '{self.desk}' ORDER BY seq")]

    def case(self) -> Case:
        ((value,),) = _rows(self.site.state, "SELECT value FROM cases")
        return _CASE.validate_json(value)

    def check(self) -> None:
        """Promise 4: one ticket, every step once, every file once and whole, and a database that says so. Raises BrokenPromiseError."""
        try:
            self._check()
        except AssertionError as error:
            raise BrokenPromiseError(str(error)) from error

    def _check(self) -> None:
        states = Counter(row[0] for row in _rows(self.site.state, "SELECT state FROM outbox"))
        assert set(states) == {"done"}, f"steps were given up: {states}"
        assert _rows(self.site.state, "PRAGMA integrity_check") == [("ok",)]
        assert _rows(self.site.state, "SELECT key, count(*) FROM incidents WHERE state != 'closed' GROUP BY key HAVING count(*) > 1") == []
        assert _rows(self.site.state, "SELECT count(*), count(DISTINCT desk) FROM tickets") == [(1, 1)]
        assert _rows(self.site.state, "SELECT case_id, desk, state FROM tickets") == [(self.case().id, self.desk, "open")]
        steps = self.steps()
        files = [(a.name, a.sha256) for step in steps for a in step.artifacts]
        assert Counter(files) == Counter((a.name, a.sha256) for a in self.case().evidence), "each file of the case is in one step"
        for artifact in self.case().evidence:
            assert hashlib.sha256(artifact.path.read_bytes()).hexdigest() == artifact.sha256
        {"folder": self._check_folder, "ledger": self._check_ledger, "mail": self._check_mail}[self.kind](steps, files)

    def _only_ticket(self) -> Path:
        tickets = sorted(self.held.iterdir())
        assert len(tickets) == 1, f"one case, one ticket: {[t.name for t in tickets]}"
        return tickets[0]

    def _check_folder(self, steps: list[Step], files: list[tuple[str, str]]) -> None:
        folder = self._only_ticket()
        assert {p.name for p in folder.iterdir()} == {"ticket.txt", "ticket.json", "attachments"}, "nothing is left over"
        ticket = json.loads((folder / "ticket.json").read_text())
        assert [told["id"] for told in ticket["steps"]] == [step.id for step in steps]
        assert [(told["name"], told["sha256"]) for step in ticket["steps"] for told in step["attachments"]] == files
        held = held_ticket(folder)
        assert (held.case, held.key, held.resolved) == (self.case().id, self.case().key, False)
        assert [text.split() for text in held.texts] == [step.draft.body.split() for step in steps]
        assert [hashlib.sha256(content).hexdigest() for _, content in held.attachments] == [sha256 for _, sha256 in files]

    def _check_ledger(self, steps: list[Step], files: list[tuple[str, str]]) -> None:
        ticket = self._only_ticket()
        lines = [json.loads(line) for line in ticket.read_text().splitlines()]
        assert [line["step"] for line in lines] == [step.id for step in steps]
        assert [tuple(file) for line in lines for file in line["files"]] == files

    def _check_mail(self, steps: list[Step], files: list[tuple[str, str]]) -> None:
        settings = MailSettings.model_validate({"to": [RECEIVER], "from": SENDER, "smtp": "127.0.0.1", "tls": "none"})
        expected = [message_id(step.id, settings, "przyklad") for step in steps]
        seen = self.box.kept.messages()  # each once; the same Message-ID with other bytes fails here
        assert [str(mail["Message-ID"]) for mail in seen] == expected, "one Message-ID a step, in their order"
        attached = [(part.get_filename(), part.get_payload(decode=True)) for mail in seen for part in mail.iter_attachments()]
        assert [(name, hashlib.sha256(content).hexdigest()) for name, content in attached if isinstance(content, bytes)] == files

    def doubled(self) -> int:
        """Messages that came more than once."""
        return len(self.box.taken()) - len(self.steps())


@contextmanager
def outbox(site: Site, kind: Kind, *prepare: Callable[[], None]) -> Iterator[Outbox]:
    """A site that `fill` has filled, as one of its desks. The state folder stays where it is: the evidence's paths stand in the database."""
    full = site.folder / "full"
    if not full.exists():
        shutil.copytree(site.state, full)
    with ExitStack() as stack:
        box = stack.enter_context(mailbox())
        yield Outbox(site=site, kind=kind, full=full, box=box, prepare=prepare)
