"""What happens to a step of the outbox, one transition after the other: called in the daemon's own process, which may be killed at any of them.

`watched` puts a call of `passed` before and after every transaction of the couriers, every call to a desk, every operation on a file of the folder
desk and every word with the mail relay. `with_a_ledger` puts a ticket system in the place of the folder desk that forgives nothing: what it is told
twice stands there twice. The other functions take one part of the reconciliation away: a daemon without it must be found out.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import itertools
import json
import os
import signal
import sys
import types
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import aiosmtplib
from sqlalchemy import Connection, update

from agent.delivery import outbox
from agent.model import Step, StepState, TicketRef
from agent.ports import Clock
from agent.store import queries, tables
from agent.store.database import Store
from exporters.tickets import evidence
from exporters.tickets.folder import desk as folder_desk
from exporters.tickets.folder import files as folder_files
from exporters.tickets.mail import desk as mail_desk
from exporters.tickets.mail import message as mail_message

TOLD = "told to read the configuration again"
DESK_CALLS = ("find", "has_step", "create", "attach", "comment", "resolve", "reopen")
FILE_CALLS = ("mkdir", "open", "write", "fsync", "replace")
OWN_OS = types.SimpleNamespace(**vars(os))
"""The module `os` as the folder desk alone sees it."""
RELAY_CALLS = ("connect", "ehlo", "mail", "rcpt", "data", "quit")


def passed(where: str) -> None:
    """A transition is about to happen, or has happened. The launcher kills the process here."""


class CourierStore:
    """A courier's way to the database: its transactions alone, not those of the polls."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def run(self, work: Callable[[Connection], Any]) -> Any:
        return await self._store.run(work)


class Ledger:
    """A ticket system as naive as one can be: it numbers its tickets, and writes down what it is told, once for each time it is told."""

    def __init__(self, path: Path, _clock: Clock) -> None:
        self._path = path

    async def self_check(self) -> None:
        self._path.mkdir(exist_ok=True)

    async def find(self, key: str, case: str) -> TicketRef | None:
        return next((TicketRef(ref=p.stem) for p in sorted(self._path.iterdir()) if _lines(p)[0]["of"] == [key, case]), None)

    async def has_step(self, step: Step, ref: TicketRef | None) -> bool | None:
        return ref is not None and any(line["step"] == step.id for line in _lines(self._path / f"{ref.ref}.jsonl"))

    async def create(self, step: Step) -> TicketRef:
        ref = TicketRef(ref=f"{len(list(self._path.iterdir())) + 1:04d}")
        self._write(ref, step)
        return ref

    async def attach(self, step: Step, ref: TicketRef) -> None:
        self._write(ref, step)

    async def comment(self, step: Step, ref: TicketRef) -> None:
        self._write(ref, step)

    async def resolve(self, step: Step, ref: TicketRef) -> None:
        self._write(ref, step)

    async def reopen(self, step: Step, ref: TicketRef) -> None:
        self._write(ref, step)

    def _write(self, ref: TicketRef, step: Step) -> None:
        files = [[a.name, hashlib.sha256(b"".join(evidence(a))).hexdigest()] for a in step.artifacts]
        line = json.dumps({"of": [step.draft.key, step.case], "step": step.id, "kind": step.kind.value, "files": files}).encode() + b"\n"
        handle = os.open(self._path / f"{ref.ref}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(handle, line)
        os.fsync(handle)
        os.close(handle)


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


# --- preparing the process


def reloading_at(nth: int) -> None:
    """At the nth transition the process is told to read its configuration again."""
    calls = itertools.count(1)

    def passed_and_told(_where: str) -> None:
        if next(calls) == nth:
            os.write(2, f"{TOLD}\n".encode())
            os.kill(os.getpid(), signal.SIGHUP)

    _set(sys.modules[__name__], "passed", passed_and_told)


def with_a_ledger() -> None:
    """The folder desk is a ledger."""
    _set(folder_desk, "FolderDesk", Ledger)


def watched() -> None:
    """Every transition calls `passed`."""
    _around(CourierStore, ["run"], "store")
    begin = outbox.Courier.__init__

    def opened(self: outbox.Courier, desk: str, target: Any, *, store: Store, **more: Any) -> None:
        begin(self, desk, target, store=CourierStore(store), **more)  # type: ignore[arg-type]  # it is asked for `run` alone

    _set(outbox.Courier, "__init__", opened)
    for desk in {folder_desk.FolderDesk, mail_desk.MailDesk}:
        _around(desk, DESK_CALLS, desk.__name__)
    _set(folder_files, "os", OWN_OS)
    _around(OWN_OS, FILE_CALLS, "file")
    _around(aiosmtplib.SMTP, RELAY_CALLS, "relay")


def without_asking_for_the_ticket() -> None:
    """A ticket is made without looking whether it is there."""

    async def find(*_: Any) -> None:
        return None

    _set(folder_desk.FolderDesk, "find", find)


def without_asking_for_the_step() -> None:
    """A step whose fate is unknown is sent again without looking whether it is there."""

    async def has_step(*_: Any) -> None:
        return None

    _set(folder_desk.FolderDesk, "has_step", has_step)


def without_marking_what_was_in_flight() -> None:
    """What was being sent when the process died is taken for what was not sent yet."""

    def back_to_pending(c: Connection) -> int:
        sending = update(tables.outbox).where(tables.outbox.c.state == StepState.SENDING.value)
        return int(c.execute(sending.values(state=StepState.PENDING.value)).rowcount)

    _set(queries, "interrupted_to_unknown", back_to_pending)


def without_noting_it_before_it_goes_out() -> None:
    """The step is pending until the desk has answered."""
    note = queries.set_step

    def late(c: Connection, step: str, state: StepState, **more: Any) -> None:
        note(c, step, StepState.PENDING if state is StepState.SENDING else state, **more)

    _set(queries, "set_step", late)


def with_message_ids_by_chance() -> None:
    """Each message has a new Message-ID, as mail programs give it."""

    def by_chance(_step: str, settings: Any, _site: str) -> str:
        return f"<{uuid.uuid4()}@{settings.sender.rpartition('@')[2]}>"

    _set(mail_message, "message_id", by_chance)


def with_a_new_text_at_each_try() -> None:
    """The message is written anew at each try, as the text of a mail that names the time of sending would be."""
    write = mail_message.message

    def anew(step: Step, *arguments: Any, **more: Any) -> bytes:
        return write(step, *arguments, **more) + f"Try {uuid.uuid4()}\r\n".encode()

    _set(mail_desk, "message", anew)


def without_replacing_files_whole() -> None:
    """The folder desk writes over its files where they are."""

    def in_place(path: Path, pieces: Iterable[bytes]) -> None:
        handle = OWN_OS.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)
        for piece in pieces:
            OWN_OS.write(handle, piece)
        OWN_OS.fsync(handle)
        OWN_OS.close(handle)

    _set(folder_desk, "write", in_place)


def _set(owner: Any, name: str, value: object) -> None:
    setattr(owner, name, value)


def _around(owner: Any, names: Iterable[str], what: str) -> None:
    for name in names:
        _set(owner, name, _announced(inspect.getattr_static(owner, name), f"{what}.{name}"))


def _announced(original: Callable[..., Any], where: str) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(original):

        @functools.wraps(original)
        async def waiting(*args: Any, **kwargs: Any) -> Any:
            passed(f"before {where}")
            result = await original(*args, **kwargs)
            passed(f"after {where}")
            return result

        return waiting

    @functools.wraps(original)
    def direct(*args: Any, **kwargs: Any) -> Any:
        passed(f"before {where}")
        result = original(*args, **kwargs)
        passed(f"after {where}")
        return result

    return direct
