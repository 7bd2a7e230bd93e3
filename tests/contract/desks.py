"""What a ticket desk's tests must bring: a way to start its other side, to read what that holds, and to break it.

A desk in `exporters/tickets/<name>/` brings `tests/tickets/adapters/<name>.py` with `ADAPTER`; `test_desks.py` then holds it to the contract.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import exporters.tickets
from agent.model import Desk, Step, StepKind, TicketRef
from agent.ports import DeskContext, DeskPlugin, SystemClock, TicketDesk


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldTicket:
    """A ticket as a person finds it on the other side, read without the desk's own code.

    `texts`: bodies in order. `attachments`: (name as shown there, content). `resolved` None: the other side knows no state (mail).
    """

    case: str
    key: str
    subject: str
    texts: tuple[str, ...]
    attachments: tuple[tuple[str, bytes], ...]
    resolved: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakage:
    """A way in which the other side can fail, and what the desk must then say.

    `says`: words that must stand in the error of `self_check`, '' where self_check cannot notice it.
    """

    name: str
    retryable: bool
    unknown: bool = False
    says: str = ""


class OtherSide(Protocol):
    """A ticket system on loopback (or a folder), and a desk's settings for it."""

    settings: object

    async def held(self) -> list[HeldTicket]: ...

    def broken(self, name: str) -> AbstractAsyncContextManager[None]:
        """Break it in this way, and mend it at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskAdapter:
    """`searchable`: the desk can tell what it has (`find`, `has_step`). `subject_limit`: characters of a subject that are kept."""

    plugin: DeskPlugin
    start: Callable[[Path], AbstractAsyncContextManager[OtherSide]]
    breakages: tuple[Breakage, ...]
    searchable: bool = True
    subject_limit: int | None = None
    secrets: tuple[str, ...] = ()


def desk_names() -> list[str]:
    """The desks of `exporters.tickets`."""
    return sorted(module.name for module in pkgutil.iter_modules(exporters.tickets.__path__) if module.ispkg)


def adapter(name: str) -> DeskAdapter:
    """A desk's adapter; an ImportError names the file that is missing."""
    found = importlib.import_module(f"tests.tickets.adapters.{name}").ADAPTER
    assert isinstance(found, DeskAdapter)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskUnderTest:
    """A desk over its other side. `open` may be called again: that is a restart."""

    adapter: DeskAdapter
    other: OtherSide
    context: DeskContext

    @asynccontextmanager
    async def open(self) -> AsyncIterator[TicketDesk]:
        desk = Desk(name="helpdesk", type=self.adapter.plugin.name, settings=self.other.settings)
        async with self.adapter.plugin.open(desk, self.context) as opened:
            yield opened


def context(folder: Path) -> DeskContext:
    """What the agent lends a desk."""
    for name in ("state", "config"):
        (folder / name).mkdir(exist_ok=True)
    return DeskContext(site="krakow-hq", state_dir=folder / "state", config_dir=folder / "config", clock=SystemClock())


async def deliver(desk: TicketDesk, step: Step) -> TicketRef:
    """Take a step as the outbox does when it does not know whether the desk has it."""
    ref = await desk.find(step.draft.key, step.case)
    if step.kind is StepKind.CREATE:
        return ref or await desk.create(step)
    ref = ref or TicketRef(ref="thread")
    if await desk.has_step(step, ref):
        return ref
    calls: dict[StepKind, Callable[[Step, TicketRef], Awaitable[None]]] = {
        StepKind.ATTACH: desk.attach,
        StepKind.COMMENT: desk.comment,
        StepKind.RESOLVE: desk.resolve,
        StepKind.REOPEN: desk.reopen,
    }
    await calls[step.kind](step, ref)
    return ref
