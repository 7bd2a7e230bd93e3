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
            except StoreError as error:
                # The daemon lives on: nothing is lost, and it is tried again.
                wait = RETRY[0]
                if self._failing != "store":
                    self._failing = "store"
                    logger("delivery").error("database_not_writable", desk=self.desk, detail=str(error))
            try:
                async with asyncio.timeout(wait):
                    await self.news.wait()
            except TimeoutError:
                continue

    async def once(self) -> float:
        """Send what is due, and give the seconds until something else is."""
        while True:
            now = self._clock.now()
            waiting = await self._store.run(lambda c: queries.queued(c, desk=self.desk))
            ready, wait = pick(waiting, now)
            if ready is None:
                return min(wait, IDLE)
            await self._deliver(ready)

    async def _deliver(self, item: Queued) -> None:
        step = item.step
        ref = await self._store.run(lambda c: queries.ticket(c, step.case, self.desk))
        try:
            async with asyncio.timeout(CALL_TIMEOUT):
                settled = None
                # One that is SENDING here was sent, and what came of it could not be written down.
                unknown = item.state in (StepState.UNKNOWN, StepState.SENDING)
                await self._store.run(lambda c: queries.set_step(c, step.id, StepState.UNKNOWN if unknown else StepState.SENDING, attempted=True))
                if unknown:
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
            unknown = error.unknown or item.state in (StepState.UNKNOWN, StepState.SENDING)
            state = StepState.UNKNOWN if unknown else StepState.PENDING
            next_at = now + timedelta(seconds=RETRY[min(tries, len(RETRY)) - 1])
        await self._store.run(lambda c: queries.set_step(c, item.step.id, state, next_at=next_at, error=f"{error.reason}: {error.detail}"[:500]))
        if state is StepState.DEAD:
            logger("delivery").error("step_given_up", desk=self.desk, case=item.step.case, step=item.step.kind.value, reason=error.reason, detail=error.detail)
        elif self._failing != error.reason:
            # One line an outage: the same trouble at every retry says nothing new.
            self._failing = error.reason
            logger("delivery").warning("desk_failing", desk=self.desk, case=item.step.case, step=item.step.kind.value, reason=error.reason, detail=error.detail)
        self._delivered(self.desk, error.reason)
        self._taken(item.step)


def pick(waiting: list[Queued], now: datetime) -> tuple[Queued | None, float]:
    """The next step that may go out, and else the seconds until one may. Only a case's first undelivered step may. Pure."""
    soonest = IDLE
    firsts: dict[str, Queued] = {}
    for item in waiting:
        known = firsts.get(item.step.case)
        if known is None or item.step.seq < known.step.seq:
            firsts[item.step.case] = item
    for first in sorted(firsts.values(), key=lambda q: (q.created_at, q.step.case)):
        if first.state is StepState.HELD:
            continue
        wait = (first.next_at - now).total_seconds()
        # Longer than any wait of ours: the clock was set back since.
        if wait <= 0 or wait > RETRY[-1]:
            return first, 0.0
        soonest = min(soonest, wait)
    return None, max(soonest, 0.05)
