"""Defects of the delivery, one test each: steps doubled, given up too early, held for ever, or a loop that stands still."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, update

from agent.delivery.outbox import RETRY
from agent.errors import DeskError, StoreError
from agent.model import StepKind, StepState, TicketRef
from agent.store import queries
from agent.store.tables import outbox
from tests.agent.test_outbox import Room, make_step, opened


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    with opened(tmp_path) as room:
        yield room


class Stumbling:
    """A store that refuses the calls whose numbers are in `refuse`, as a full disk does for a moment."""

    def __init__(self, room: Room, refuse: Callable[[int], bool]) -> None:
        self._store = room.store
        self._refuse = refuse
        self.calls = 0

    async def run(self, work: Any) -> Any:
        self.calls += 1
        if self._refuse(self.calls):
            raise StoreError("the database refused: disk is full")
        return await self._store.run(work)


async def test_a_step_that_was_taken_but_could_not_be_noted_is_looked_for_and_not_sent_again(room: Room) -> None:
    await room.write(make_step("c1", 1, StepKind.CREATE))
    await room.courier().once()
    await room.write(make_step("c1", 2, StepKind.COMMENT))
    courier = room.courier()
    # Calls: 1 the step, now SENDING; 2 DONE.
    courier._store = Stumbling(room, lambda call: call == 2)  # type: ignore[assignment]
    with pytest.raises(StoreError):
        await courier.once()
    assert room.desk.tickets == {"c1": ["c1.box.1", "c1.box.2"]}
    room.clock.turn(RETRY[0])
    await courier.once()
    assert await room.states() == {"c1.box.1": "done", "c1.box.2": "done"}
    assert "bug" not in room.outcomes, "the desk was sent the same step again, and refused it"


async def test_a_report_that_waited_long_for_a_person_survives_a_first_refusal_for_now(room: Room) -> None:
    """Greylisting answers every first mail with 4xx."""
    step = make_step("c1", 1, StepKind.CREATE)
    await room.write(step, state=StepState.HELD)
    room.clock.turn(8 * 86400)
    await room.store.run(lambda c: queries.set_step(c, step.id, StepState.PENDING, next_at=room.clock.now()))
    room.desk.troubles = [DeskError("refused", "450 come again", retryable=True)]
    await room.courier().once()
    assert await room.states() == {"c1.box.1": "pending"}


async def test_a_clock_that_was_set_back_does_not_hold_the_tickets(room: Room) -> None:
    room.clock.turn(30 * 86400)
    await room.write(make_step("c1", 1, StepKind.CREATE))
    room.clock.set_wall(room.clock.now() - timedelta(days=30))
    await room.courier().once()
    assert await room.states() == {"c1.box.1": "done"}


async def test_a_desk_that_is_down_while_an_outcome_is_unknown_is_asked_ever_more_seldom(room: Room) -> None:
    await room.write(make_step("c1", 1, StepKind.CREATE))
    room.desk.troubles = [DeskError("timeout", "broke off", retryable=True, unknown=True)]
    await room.courier().once()

    async def down(key: str, case: str) -> TicketRef | None:
        raise DeskError("unreachable", "refused", retryable=True)

    room.desk.find = down  # type: ignore[method-assign]
    start, tries = room.clock.monotonic(), 0
    while tries < 10:
        room.clock.turn((await room.courier().once()) + 0.001)
        tries += room.outcomes.count("unreachable") > tries
    assert room.clock.monotonic() - start > sum(RETRY), "a desk that is down for a night is not hammered"


async def test_choosing_the_next_of_many_steps_does_not_hold_the_loop(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut: two thousand cases of two steps each for one desk. It is chosen anew after each delivered step."""
    kinds = {1: StepKind.CREATE, 2: StepKind.ATTACH}
    await room.write(*(make_step(f"c{case}", seq, kind) for case in range(2000) for seq, kind in kinds.items()))
    read: list[Any] = []
    parse = queries._of_row

    def counted(row: Any) -> Any:
        read.append(row)
        return parse(row)

    monkeypatch.setattr(queries, "_of_row", counted)
    found, _ = await room.store.run(lambda c: queries.due_step(c, "box", room.clock.now(), longest=RETRY[-1]))
    assert found is not None
    assert found.step.id == "c0.box.1"
    assert len(read) == 1, "however many cases wait, one step is read"
    later = room.clock.now() + timedelta(minutes=5)
    await room.store.run(lambda c: c.execute(update(outbox).values(next_at=later.timestamp())))
    assert await room.store.run(lambda c: queries.due_step(c, "box", room.clock.now(), longest=RETRY[-1])) == (None, 300.0)


async def test_what_follows_from_a_delivery_and_fails_does_not_end_the_courier(room: Room) -> None:
    """A bug in a case text (it is written in the transaction that notes the step) must not end the daemon, nor stop the other cases."""
    await room.write(make_step("c1", 1, StepKind.CREATE), make_step("c2", 1, StepKind.CREATE))
    courier = room.courier()

    def settled(c: Connection, step: Any, now: Any) -> None:
        if step.case == "c1":
            raise ValueError("a bug in a template")

    courier._settled = settled
    await courier.once()
    assert (await room.states())["c2.box.1"] == "done"
