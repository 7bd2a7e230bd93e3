"""What a device says by itself: shown at once, confirmed by a poll, and never the end of the polling."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from agent.model import HttpCredential, IncidentState, Reading, Secret
from agent.polling.hearing import Ear
from agent.polling.watch import HINT_EVERY, TRAP_BURST, TRAP_EVERY
from agent.ports import FacetData, Signal
from tests.agent.test_watch import CODEC, Site, Toy, plans, site
from tests.support.clock import TurnedClock

__all__ = ["plans"]


def lamp(value: float | None, *facets: str) -> Signal:
    data = FacetData() if value is None else FacetData(readings=(Reading(metric="lamp", value=value),))
    return Signal(key="lamp", data=data, facets=facets)


def shown_lamp(here: Site) -> float | None:
    snapshot = here.shown["codec"].snapshot
    assert snapshot is not None
    return next((r.value for r in snapshot.of("lamp")), None)


def states(here: Site) -> list[tuple[str, IncidentState]]:
    return [(i.fault.code, i.state) for i in here.shown["codec"].incidents]


async def test_a_fault_that_a_device_tells_of_is_shown_at_once_and_makes_no_ticket_before_polls_see_it(tmp_path: Path, plans: Any) -> None:
    toy, clock = Toy(), TurnedClock()
    with site(tmp_path, plans, toy, clock) as here:
        await here.polls(2)
        ear = Ear(here.watch, here.watch.watched["codec"])
        ear.opened()
        assert here.shown["codec"].streaming is True
        toy.lamp = "out"
        ear.heard([lamp(0.0, "state")])
        assert shown_lamp(here) == 0.0
        assert states(here) == [("toy.lamp", IncidentState.SUSPECTED)]
        assert here.poked == ["codec"]
        assert await here.cases() == []
        await here.polls(1)
        assert states(here) == [("toy.lamp", IncidentState.SUSPECTED)]
        await here.polls(20)
        assert len(await here.cases()) == 1


async def test_one_that_the_poll_does_not_see_was_none(tmp_path: Path, plans: Any) -> None:
    toy, clock = Toy(), TurnedClock()
    with site(tmp_path, plans, toy, clock) as here:
        await here.polls(2)
        watched = here.watch.watched["codec"]
        here.watch.hear(watched, [lamp(0.0, "state")])
        assert states(here) == [("toy.lamp", IncidentState.SUSPECTED)]
        clock.turn(1)
        await here.polls(1)
        assert states(here) == []
        assert shown_lamp(here) == 1.0


async def test_what_no_facet_tells_counts_by_the_polls_that_see_it_still_said(tmp_path: Path, plans: Any) -> None:
    toy, clock = Toy(), TurnedClock()
    with site(tmp_path, plans, toy, clock) as here:
        await here.polls(2)
        watched = here.watch.watched["codec"]
        here.watch.hear(watched, [lamp(0.0)])
        await here.polls(20)
        assert len(await here.cases()) == 1
        here.watch.hear(watched, [lamp(None)])
        await here.polls(8)
        assert here.shown["codec"].incidents == ()


async def test_when_the_stream_ends_nothing_that_it_said_is_shown_any_more(tmp_path: Path, plans: Any) -> None:
    toy, clock = Toy(), TurnedClock()
    with site(tmp_path, plans, toy, clock) as here:
        await here.polls(2)
        ear = Ear(here.watch, here.watch.watched["codec"])
        ear.opened()
        ear.heard([lamp(0.0)])
        ear.closed()
        assert shown_lamp(here) == 1.0
        assert here.shown["codec"].streaming is False


async def test_what_a_device_tells_of_our_own_secrets_is_masked_as_in_an_answer(tmp_path: Path, plans: Any) -> None:
    toy, clock = Toy(), TurnedClock()
    secret = "Nieprawdziwe-99"
    codec = replace(CODEC, credentials={"http": HttpCredential(name="rooms", username="admin", password=Secret(secret))})
    with site(tmp_path, plans, toy, clock, codec) as here:
        await here.polls(1)
        reading = Reading(metric="lamp", value=0.0, raw=f"login with {secret}", component=secret)
        here.watch.hear(here.watch.watched["codec"], [Signal(key=f"lamp/{secret}", data=FacetData(readings=(reading,), facts={"event.lamp": secret}))])
        assert shown_lamp(here) == 0.0
        assert secret not in repr(here.shown["codec"])
        assert secret not in repr(here.watch.watched["codec"].state.heard)


async def test_a_device_that_does_not_answer_has_nothing_laid_over(tmp_path: Path, plans: Any) -> None:
    toy, clock = Toy(dead=True), TurnedClock()
    with site(tmp_path, plans, toy, clock) as here:
        await here.polls(2)
        watched = here.watch.watched["codec"]
        here.watch.hear(watched, [lamp(0.0)])
        assert here.shown["codec"].snapshot is None
        assert not watched.reach.there.is_set()
        toy.dead = False
        await here.polls(1)
        assert watched.reach.there.is_set()


async def test_hints_in_a_row_are_one_poll_and_none_is_lost(tmp_path: Path, plans: Any) -> None:
    toy, clock = Toy(), TurnedClock()
    with site(tmp_path, plans, toy, clock) as here:
        await here.polls(1)
        watched = here.watch.watched["codec"]
        here.watch.hint(watched, ["state"])
        assert here.poked == ["codec"]
        await here.polls(1, every=0.0)
        for _ in range(1000):
            here.watch.hint(watched, ["state"])
        await here.watch.sweep()
        assert here.poked == ["codec"], "one was made just now"
        clock.turn(HINT_EVERY)
        await here.watch.sweep()
        assert here.poked == ["codec"] * 2
        assert watched.state.facets["state"].due > clock.monotonic()
        await here.polls(1, every=0.0)
        assert watched.hinted is None


async def test_forged_traps_without_end_make_few_polls(tmp_path: Path, plans: Any) -> None:
    toy, clock = Toy(), TurnedClock()
    with site(tmp_path, plans, toy, clock) as here:
        await here.polls(1)
        for _ in range(3600):
            for _ in range(20):
                here.watch.trap("codec")
            if len(here.poked) and here.watch.watched["codec"].hinted is not None:
                await here.polls(1, every=0.0)
            clock.turn(1)
        assert len(set(here.poked)) == 1
        assert here.watch.watched["codec"].traps_until <= clock.monotonic() + TRAP_BURST * TRAP_EVERY
        assert len(here.poked) <= 20 * (3600 / TRAP_EVERY + TRAP_BURST)


async def test_what_is_told_while_the_database_is_written_is_not_lost(tmp_path: Path, plans: Any) -> None:
    toy, clock = Toy(), TurnedClock()
    with site(tmp_path, plans, toy, clock) as here:
        await here.polls(1)
        watched = here.watch.watched["codec"]
        run = here.store.run

        async def slow(work: Any) -> Any:
            here.watch.hear(watched, [lamp(0.0)])
            return await run(work)

        here.store.run = slow  # type: ignore[method-assign]
        toy.camera = False
        await here.polls(1)
        here.store.run = run  # type: ignore[method-assign]
        assert ("toy.lamp", IncidentState.SUSPECTED) in states(here)
