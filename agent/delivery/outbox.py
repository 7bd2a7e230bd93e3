"""Delivery: the outbox's steps, one desk at a time, each case's steps in their order, each tried until it is done or a person must look.

A step is written down as SENDING before the first byte goes out. What was SENDING when we died, or broke off after we sent it, is UNKNOWN:
it is looked for at the desk before it is sent again; a desk that cannot tell (mail) gets it again with the same id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import DatabaseError

from agent.errors import DeskError, StoreError
from agent.logs import logger
from agent.model import Artifact, Step, StepKind, StepState, TicketRef
from agent.ports import Clock, TicketDesk
from agent.store import queries
from agent.store.database import Store
from agent.store.queries import Queued

RETRY = (5.0, 15.0, 60.0, 300.0, 900.0, 3600.0)
"""Seconds before the next try; the last is repeated. A desk that is down for a night is not hammered, and not forgotten."""
GIVE_UP_AFTER = timedelta(days=7)
"""A step that a desk keeps refusing for a week needs a person: it is shown as dead, and kept."""
GIVE_UP_TRIES = len(RETRY) + int(GIVE_UP_AFTER.total_seconds() // RETRY[-1])
"""The tries of that week. They are counted, not the days since the step was written: it may have been held, or we may have been off."""
CALL_TIMEOUT = 300.0
"""One call to a desk: a bundle of some hundred MB over a slow line is the longest."""
IDLE = 30.0
"""Without news the queue is looked at this often: steps whose time has come."""
SHORTEST = 0.05
"""The queue is looked at no sooner again, however soon a step's time comes."""

Told = Callable[[str, str], None]


class Courier:
    """Takes the steps of one desk there. `news` is set by whoever wrote to the outbox.

    `settled` is called in the transaction that notes a step as done, for what follows from it; `taken` after each try, to show it.
    """

    def __init__(
        self,
        desk: str,
        target: TicketDesk,
        *,
        store: Store,
        clock: Clock,
        evidence_root: Path,
        delivered: Told,
        settled: Callable[[Connection, Step, datetime], None],
        taken: Callable[[Step], None],
    ) -> None:
        self.desk = desk
        self.target = target
        self.news = asyncio.Event()
        self._store = store
        self._clock = clock
        self._root = evidence_root
        self._delivered = delivered
        self._settled = settled
        self._taken = taken
        self._failing = ""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self.news.clear()
            try:
                wait = await self.once()
            except StoreError:
                # The store said so. The daemon lives on: nothing is lost, and it is tried again.
                wait = RETRY[0]
            try:
                async with asyncio.timeout(wait):
                    await self.news.wait()
            except TimeoutError:
                continue

    async def once(self) -> float:
        """Send what is due, and give the seconds until something else is."""
        while True:
            item, ref, wait = await self._store.run(self._take)
            if item is None:
                return max(min(wait, IDLE), SHORTEST)
            await self._deliver(item, ref)

    def _take(self, c: Connection) -> tuple[Queued | None, TicketRef | None, float]:
        """The next step, written down as being sent, with the ticket that it is for; without one the seconds until one may go."""
        item, wait = queries.due_step(c, self.desk, self._clock.now(), longest=RETRY[-1])
        if item is None:
            return None, None, wait
        queries.set_step(c, item.step.id, StepState.UNKNOWN if _may_be_there(item) else StepState.SENDING, attempted=True)
        return item, queries.ticket(c, item.step.case, self.desk), 0.0

    async def _deliver(self, item: Queued, ref: TicketRef | None) -> None:
        step = item.step
        try:
            async with asyncio.timeout(CALL_TIMEOUT):
                settled = None
                if _may_be_there(item):
                    settled = await self._settle_unknown(item, ref)
                if settled is None:
                    settled = await self._send(item, ref)
        except DeskError as error:
            await self._failed(item, error)
        except TimeoutError:
            await self._failed(item, DeskError("timeout", f"no answer within {CALL_TIMEOUT:.0f} s", retryable=True, unknown=True))
        except (asyncio.CancelledError, StoreError):
            raise
        except Exception as error:  # noqa: BLE001 - a bug in one desk must not stop the others; it is logged with its traceback
            logger("delivery").exception("bug_in_desk", desk=self.desk, step=step.id)
            await self._failed(item, DeskError("bug", f"{type(error).__name__} in the desk, see the log", retryable=True, unknown=True))
        else:
            await self._done(item, settled)

    async def _settle_unknown(self, item: Queued, ref: TicketRef | None) -> TicketRef | None:
        """The ticket if the desk already has this step; None if it must be sent (again)."""
        step = item.step
        if step.kind is StepKind.CREATE:
            return await self.target.find(step.draft.key, step.case)
        has = await self.target.has_step(step, ref)
        return ref if has else None

    async def _send(self, item: Queued, ref: TicketRef | None) -> TicketRef:
        step = item.step
        if step.kind is StepKind.CREATE:
            return await self.target.find(step.draft.key, step.case) or await self.target.create(step)
        if ref is None:
            raise DeskError("no_ticket", "the case has no ticket at this desk yet", retryable=True)
        match step.kind:
            case StepKind.ATTACH:
                self._present(step.artifacts)
                await self.target.attach(step, ref)
            case StepKind.COMMENT:
                await self.target.comment(step, ref)
            case StepKind.RESOLVE:
                await self.target.resolve(step, ref)
            case StepKind.REOPEN:
                await self.target.reopen(step, ref)
        return ref

    def _present(self, artifacts: Sequence[Artifact]) -> None:
        """DeskError, not retryable: there is nothing to attach, or one of the files is gone or is none of ours."""
        if not artifacts:
            raise DeskError("no_file", "the step names no file to attach", retryable=False)
        root = self._root.resolve()
        for artifact in artifacts:
            if not artifact.path.resolve().is_relative_to(root):
                raise DeskError("no_file", f"{artifact.name} is not under the evidence folder", retryable=False)
            if not artifact.path.is_file():
                raise DeskError("no_file", f"{artifact.name} is gone from the evidence folder", retryable=False)

    async def _done(self, item: Queued, ref: TicketRef) -> None:
        step = item.step
        state = {StepKind.CREATE: "open", StepKind.REOPEN: "open", StepKind.RESOLVE: "resolved"}.get(step.kind)

        def write(c: Connection) -> None:
            queries.set_step(c, step.id, StepState.DONE)
            if state is not None:
                queries.save_ticket(c, step.case, self.desk, ref, state)
            try:
                with c.begin_nested():
                    self._settled(c, step, self._clock.now())
            except DatabaseError:
                raise
            except Exception:  # noqa: BLE001 - what follows from a step must not undo that it was taken, nor stop the other cases
                logger("delivery").exception("bug_after_delivery", desk=self.desk, step=step.id)

        await self._store.run(write)
        if self._failing:
            self._failing = ""
            logger("delivery").info("desk_works_again", desk=self.desk)
        logger("delivery").info("delivered", desk=self.desk, case=step.case, step=step.kind.value, ticket=ref.ref)
        self._delivered(self.desk, "ok")
        self._taken(step)

    async def _failed(self, item: Queued, error: DeskError) -> None:
        now = self._clock.now()
        tries = item.attempts + 1
        if not error.retryable or tries > GIVE_UP_TRIES:
            state, next_at = StepState.DEAD, now
        else:
            state = StepState.UNKNOWN if error.unknown or _may_be_there(item) else StepState.PENDING
            next_at = now + timedelta(seconds=RETRY[min(tries, len(RETRY)) - 1])
        await self._store.run(lambda c: queries.set_step(c, item.step.id, state, next_at=next_at, error=f"{error.reason}: {error.detail}"[:500]))
        if state is StepState.DEAD:
            logger("delivery").error(
                "step_given_up",
                desk=self.desk,
                case=item.step.case,
                step=item.step.kind.value,
                reason=error.reason,
                detail=error.detail,
                next=f"mend what it says, then: latarnik case retry {item.step.case}",
            )
        elif self._failing != error.reason:
            # One line an outage: the same trouble at every retry says nothing new.
            self._failing = error.reason
            logger("delivery").warning("desk_failing", desk=self.desk, case=item.step.case, step=item.step.kind.value, reason=error.reason, detail=error.detail)
        self._delivered(self.desk, error.reason)
        self._taken(item.step)


def _may_be_there(item: Queued) -> bool:
    """Whether the desk may have taken this step already. One that is SENDING was sent, and what came of it could not be written down."""
    return item.state in (StepState.UNKNOWN, StepState.SENDING)
