"""One folder a ticket.

`ticket.json` is the truth, and its replacement is the instant at which a step counts: attachments and text are written before it, all in a way
that doing it again changes nothing. So a kill at any point leaves a step that is done or one that can be done again.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from agent.errors import DeskError
from agent.model import Artifact, Desk, Step, StepKind, TicketRef
from agent.ports import Clock, DeskContext
from agent.service.texts import one_line
from config.values import FilePath, Section
from exporters.tickets import evidence
from exporters.tickets.folder.files import make_folder, write

SCHEMA = 1
RULE = "=" * 8
"""Begins a section's head line; no line of a text may begin so."""

STATE_AFTER = {StepKind.CREATE: "open", StepKind.RESOLVE: "resolved", StepKind.REOPEN: "open"}
REASONS = {
    errno.ENOSPC: "disk_full",
    errno.EDQUOT: "disk_full",
    errno.EACCES: "not_writable",
    errno.EPERM: "not_writable",
    errno.EROFS: "not_writable",
}
FINAL = frozenset({errno.ENAMETOOLONG, errno.ELOOP})
"""Errors that the same step meets again whatever a person does to the disk."""

T = TypeVar("T")


class FolderSettings(Section):
    """`path`: the folder that holds the tickets' folders. It is made if its parent exists."""

    path: FilePath


class FolderDesk:
    """A `TicketDesk`. A ticket's `ref` is the name of its folder, its `url` that folder's file URL."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._writing = threading.Lock()  # a thread goes on after its task was cancelled; the next one waits for it

    async def self_check(self) -> None:
        await self._run(self._check)

    async def find(self, key: str, case: str) -> TicketRef | None:
        def look() -> TicketRef | None:
            ticket = _read(self._path / folder_name(case))
            return self._ref(case) if ticket and (ticket["case"], ticket["key"]) == (case, key) else None

        return await self._run(look)

    async def has_step(self, step: Step, ref: TicketRef | None) -> bool | None:
        def look() -> bool:
            ticket = _read(self._path / folder_name(step.case))
            return ticket is not None and (ticket["case"], ticket["key"]) == (step.case, step.draft.key) and _has(ticket, step)

        return await self._run(look)

    async def create(self, step: Step) -> TicketRef:
        def make() -> None:
            self._have_root()
            folder = self._path / folder_name(step.case)
            make_folder(folder)
            ticket = _read(folder) or {"schema": SCHEMA, "case": step.case, "key": step.draft.key, "state": "open", "steps": []}
            self._take(step, folder, ticket)

        await self._run(make)
        return self._ref(step.case)

    async def attach(self, step: Step, ref: TicketRef) -> None:
        await self._add(step)

    async def comment(self, step: Step, ref: TicketRef) -> None:
        await self._add(step)

    async def resolve(self, step: Step, ref: TicketRef) -> None:
        await self._add(step)

    async def reopen(self, step: Step, ref: TicketRef) -> None:
        await self._add(step)

    async def _add(self, step: Step) -> None:
        def add() -> None:
            folder = self._path / folder_name(step.case)
            ticket = _read(folder)
            if ticket is None:
                raise DeskError("no_ticket", f"{folder} holds no ticket; if it was moved away, put it back", retryable=False)
            self._take(step, folder, ticket)

        await self._run(add)

    def _take(self, step: Step, folder: Path, ticket: dict[str, Any]) -> None:
        if (ticket["case"], ticket["key"]) != (step.case, step.draft.key):
            raise DeskError("conflict", f"{folder} holds another ticket (case {ticket['case']!r}, key {ticket['key']!r})", retryable=False)
        if _has(ticket, step):
            return
        at = str(step.draft.fields.get("written_at") or self._clock.now().isoformat(timespec="seconds"))
        attachments = [_attachment(artifact) for artifact in step.artifacts]
        if attachments:
            _store(step.artifacts, folder / "attachments")
        _append(folder / "ticket.txt", step, at, [attachment["file"] for attachment in attachments])
        after = {
            **ticket,
            "state": STATE_AFTER.get(step.kind, ticket["state"]),
            "subject": step.draft.subject,
            "fields": step.draft.fields,
            "steps": [*ticket["steps"], {"id": step.id, "kind": step.kind.value, "at": at, "attachments": attachments}],
        }
        text = json.dumps(after, ensure_ascii=False, indent=2) + "\n"
        write(folder / "ticket.json", [text.encode("utf-8", "backslashreplace")])

    def _have_root(self) -> None:
        if not self._path.is_dir():
            make_folder(self._path)

    def _check(self) -> None:
        self._have_root()
        probe = self._path / ".latarnik-check"
        write(probe, [b"latarnik writes here\n"])
        probe.unlink()

    def _ref(self, case: str) -> TicketRef:
        name = folder_name(case)
        return TicketRef(ref=name, url=(self._path.absolute() / name).as_uri())

    async def _run(self, work: Callable[[], T]) -> T:
        def locked() -> T:
            with self._writing:
                return work()

        try:
            return await asyncio.to_thread(locked)
        except OSError as error:
            raise self._failure(error) from error

    def _failure(self, error: OSError) -> DeskError:
        reason = REASONS.get(error.errno or 0, "io")
        where = error.filename or self._path
        remedy = {
            "disk_full": "make room on that disk, or raise the quota",
            "not_writable": f"let the user that runs latarnik (uid {os.geteuid()}) write there (chown, chmod; under systemd ReadWritePaths=)",
            "io": f"the desk's path is {self._path}: it must be a folder, or a name that can become one in a folder that exists",
        }[reason]
        return DeskError(reason, f"{where}: {error.strerror or error}; {remedy}", retryable=error.errno not in FINAL)


@asynccontextmanager
async def open_desk(desk: Desk, context: DeskContext) -> AsyncIterator[FolderDesk]:
    """The desk over the configured folder; a relative path starts at the folder of the config."""
    assert isinstance(desk.settings, FolderSettings)
    yield FolderDesk(context.config_dir / desk.settings.path, context.clock)


def folder_name(case: str) -> str:
    """The one folder name of a case: different cases never share one, and none leads elsewhere."""
    name = quote(case, safe="")
    return f"%2E{name[1:]}" if name.startswith(".") else name or "%"


def attachment_name(artifact: Artifact) -> str:
    """The name of an attachment's file: of the artifact's own only what is harmless, made unique by its content."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in artifact.name)
    return f"{artifact.sha256[:16]}-{plain[-100:]}"


def _read(folder: Path) -> dict[str, Any] | None:
    path = folder / "ticket.json"
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        ticket = json.loads(content)
        _ = ticket["case"], ticket["key"], ticket["state"], [entry["id"] for entry in ticket["steps"]]
    except (ValueError, KeyError, TypeError) as error:
        raise DeskError("damaged", f"{path} is not a ticket of ours any more ({error!r}): mend it, or restore it from a backup", retryable=False) from error
    return dict(ticket)


def _has(ticket: dict[str, Any], step: Step) -> bool:
    return any(entry["id"] == step.id for entry in ticket["steps"])


def _attachment(artifact: Artifact) -> dict[str, Any]:
    return {
        "file": f"attachments/{attachment_name(artifact)}",
        "name": artifact.name,
        "media_type": artifact.media_type,
        "size": artifact.size,
        "sha256": artifact.sha256,
    }


def _store(artifacts: Sequence[Artifact], folder: Path) -> None:
    """All the files, or after an error none that was not there before."""
    make_folder(folder)
    written: list[Path] = []
    try:
        for artifact in artifacts:
            path = folder / attachment_name(artifact)
            if not path.exists():
                written.append(path)
            write(path, evidence(artifact))
    except Exception:
        for path in written:
            path.unlink(missing_ok=True)
        raise


def _append(path: Path, step: Step, at: str, files: Sequence[str]) -> None:
    """Add this step's section, unless it is there. What people wrote into the file stays."""
    head = f"{RULE} {step.id} {step.kind.value} "
    try:
        before = path.read_bytes()
    except FileNotFoundError:
        before = b""
    if any(line.startswith(head.encode()) for line in before.splitlines()):
        return
    body = "".join(f" {line}\n" if line.startswith(RULE) else f"{line}\n" for line in step.draft.body.splitlines())
    section = f"{head}{at} {RULE}\n{one_line(step.draft.subject)}\n\n{body}" + ("\n" if files else "") + "".join(f"-> {file}\n" for file in files)
    write(path, [before, b"\n" if before else b"", section.encode("utf-8", "replace")])
