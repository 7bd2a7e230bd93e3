"""Defects between a poll and its case, one test each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.errors import StoreError
from agent.model import Contract, Device, Fault, Identity, Incident, IncidentState, Severity, StepState
from agent.ports import FacetData, Session
from agent.store import queries
from tests.agent import test_watch as base
from tests.agent.test_watch import BOX, CODEC, PLUGIN, VENDOR, Site, Toy, plans, site
from tests.support.clock import TurnedClock

__all__ = ["plans"]


class Refusing:
    """A store that does not write while `full`."""

    def __init__(self, here: Site, full: Callable[[], bool]) -> None:
        self._store = here.store
        self._full = full

    async def run(self, work: Any) -> Any:
        if self._full():
            raise StoreError("the database refused: disk is full")
        return await self._store.run(work)


async def test_while_the_disk_is_full_the_newest_values_are_shown_and_not_the_last_written_ones(tmp_path: Path, plans: Any) -> None:
    toy, clock = Toy(), TurnedClock()
    with site(tmp_path, plans, toy, clock) as here:
        await here.polls(2)
        here.watch._store = Refusing(here, lambda: True)  # type: ignore[assignment]
        toy.dead = True
        for _ in range(10):
            with pytest.raises(StoreError):
                await here.watch.poll("codec")
            clock.turn(60)
            await here.watch.sweep()
        assert here.shown["codec"].up is not True, "ten polls found it dead"
        assert here.shown["codec"].snapshot is None


async def test_evidence_that_could_not_be_noted_is_noted_at_a_later_poll(tmp_path: Path, plans: Any) -> None:
    toy, clock = Toy(), TurnedClock()
    with site(tmp_path, plans, toy, clock) as here:
        await here.polls(2)
        toy.lamp = "out"
        await here.polls(2)
        failures: list[int] = []
        evidence: set[asyncio.Task[None] | None] = set()

        def full() -> bool:
            if asyncio.current_task() in evidence and not failures:
                failures.append(1)
                return True
            return False

        spawn = here.watch._spawn

        def marked(name: str, work: Coroutine[None, None, None]) -> None:
            async def guarded() -> None:
                evidence.add(asyncio.current_task())
                with suppress(StoreError):  # the daemon logs it
                    await work

            spawn(name, guarded())

        here.watch._spawn = marked
        here.watch._store = Refusing(here, full)  # type: ignore[assignment]
        await here.polls(10)
        assert failures
        (case,) = await here.cases()
        assert case.evidence_state == "done"


async def test_a_report_that_waited_for_the_contract_number_goes_out_when_it_was_written_into_the_config(tmp_path: Path, plans: Any) -> None:
    toy, clock = Toy(), TurnedClock()
    nameless = replace(CODEC, contract=replace(CODEC.contract or Contract(id="k"), number=""))
    with site(tmp_path, plans, toy, clock, codec=nameless, desks=(BOX, VENDOR)) as here:
        await here.polls(2)
        toy.lamp = "out"
        await here.polls(6)
        (case,) = await here.cases()
        assert case.missing == ("contract_number",)
    with site(tmp_path, plans, toy, clock, codec=CODEC, desks=(BOX, VENDOR)) as here:
        await here.watch.load()
        await here.polls(2)
        (case,) = await here.cases()
        assert case.missing == ()
        assert (await here.steps("hezo"))[0] == ("create", "pending")


async def test_an_incident_of_a_fault_code_that_an_upgrade_took_away_does_not_stop_the_polls(tmp_path: Path, plans: Any) -> None:
    toy, clock = Toy(), TurnedClock()
    with site(tmp_path, plans, toy, clock) as here:
        gone = Incident(
            id="i1",
            key="codec/toy.renamed",
            device="codec",
            fault=Fault(code="toy.renamed", severity=Severity.WARNING, summary="x"),
            state=IncidentState.CONFIRMED,
            first_seen=clock.now(),
            last_seen=clock.now(),
        )
        await here.store.run(lambda c: queries.save_incident(c, gone))
        await here.watch.load()
        await here.polls(2)
        assert here.shown["codec"].up is True


async def test_a_device_that_sends_half_a_character_stops_nothing(tmp_path: Path, plans: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    r"""JSON may hold `\ud83d` alone (a name cut off in the middle of an emoji); it becomes a string that has no UTF-8."""
    toy, clock = Toy(), TurnedClock()
    parse = base.parse

    def cut(raw: Toy) -> FacetData:
        return replace(parse(raw), identity=Identity(vendor="toy", serial="CODEC-1", name="Room \ud83d"))

    plugin = replace(PLUGIN, facets=(replace(PLUGIN.facets[0], parse=cut),))
    monkeypatch.setattr(base, "PLUGIN", plugin)
    with site(tmp_path, plans, toy, clock) as here:
        await here.polls(2)
        toy.lamp = "out"
        await here.polls(6)
        assert len(await here.cases()) == 1


async def test_a_bug_in_a_checklist_costs_the_answers_and_not_the_case(tmp_path: Path, plans: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise KeyError("bug")

    monkeypatch.setattr(base, "PLUGIN", replace(PLUGIN, checklist=broken))
    toy, clock = Toy(), TurnedClock()
    with site(tmp_path, plans, toy, clock) as here:
        await here.polls(2)
        toy.lamp = "out"
        await here.polls(6)
        assert len(await here.cases()) == 1


async def test_one_reading_that_is_asked_every_five_minutes_counts_once(tmp_path: Path, plans: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault counts when it was seen in two polls: an answer that is only repeated from memory was not seen again."""
    slow = replace(PLUGIN, facets=(PLUGIN.facets[0], replace(PLUGIN.facets[0], name="lamp", every=300, decides_use=False)))

    def without_lamp(raw: Toy) -> FacetData:
        return replace(base_parse(raw), readings=())

    base_parse = base.parse
    slow = replace(slow, facets=(replace(slow.facets[0], parse=without_lamp), slow.facets[1]))
    monkeypatch.setattr(base, "PLUGIN", slow)
    toy, clock = Toy(), TurnedClock()
    with site(tmp_path, plans, toy, clock) as here:
        await here.polls(5)
        toy.lamp = "out"
        await here.polls(1)
        toy.lamp = "on"
        await here.polls(15)
        assert await here.cases() == [], "one bad answer among many good ones"


async def test_what_was_suspected_before_a_restart_has_to_hold_anew(tmp_path: Path, plans: Any) -> None:
    """A server that goes down loses its network first: each of its devices seems dead once or twice, and at its start again."""
    toy, clock = Toy(), TurnedClock()
    with site(tmp_path, plans, toy, clock) as here:
        await here.polls(3)
        toy.dead = True
        await here.polls(2)
    clock.turn(3600)
    with site(tmp_path, plans, toy, clock) as here:
        await here.watch.load()
        await here.polls(1)
        assert await here.cases() == [], "one poll after an hour in which nobody looked"


async def test_a_bug_of_ours_is_not_a_device_that_does_not_answer(tmp_path: Path, plans: Any) -> None:
    class Broken(Toy):
        broken = False

        @asynccontextmanager
        async def open(self, device: Device) -> AsyncIterator[Session]:
            if self.broken:
                raise TypeError("a bug in the collector")
            async with super().open(device) as session:
                yield session

    toy, clock = Broken(), TurnedClock()
    with site(tmp_path, plans, toy, clock) as here:
        await here.polls(2)
        toy.broken = True
        await here.polls(8)
        assert [c.fault.code for c in await here.cases()] == []


async def test_a_part_that_is_declared_as_a_device_later_keeps_its_ticket(tmp_path: Path, plans: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    toy, clock = Toy(), TurnedClock()
    declared = base.CAMERA
    monkeypatch.setattr(base, "CAMERA", replace(declared, model="Something else"))
    with site(tmp_path, plans, toy, clock) as here:
        await here.polls(2)
        toy.camera = False
        await here.polls(5)
        assert [c.device for c in await here.cases()] == ["codec"]
    monkeypatch.setattr(base, "CAMERA", declared)
    with site(tmp_path, plans, toy, clock) as here:
        await here.watch.load()
        await here.polls(6)
        assert len(await here.cases()) == 1, "one physical fault is one ticket"


async def test_a_report_that_was_given_up_is_sent_when_the_fault_comes_back(tmp_path: Path, plans: Any) -> None:
    toy, clock = Toy(), TurnedClock()
    with site(tmp_path, plans, toy, clock) as here:
        await here.polls(2)
        toy.lamp = "out"
        await here.polls(6)
        (case,) = await here.cases()
        first = (await here.store.run(lambda c: queries.queued(c, case=case.id)))[0]
        await here.store.run(lambda c: queries.set_step(c, first.step.id, StepState.DEAD, error="auth: wrong password"))
        toy.lamp = "on"
        await here.polls(8)
        toy.lamp = "out"
        await here.polls(6)
        kinds = [kind for kind, state in await here.steps() if state == "pending"]
        assert "reopen" not in kinds, "there is no ticket that could be opened again"
        assert "create" in kinds


async def test_adopting_while_a_poll_is_written_down_is_not_lost(tmp_path: Path, plans: Any) -> None:
    toy, clock = Toy(lamp="out"), TurnedClock()
    with site(tmp_path, plans, toy, clock) as here:
        await here.polls(5)
        (incident,) = here.shown["codec"].incidents
        written, go_on = asyncio.Event(), asyncio.Event()
        real = here.store

        class Slow:
            async def run(self, work: Any) -> Any:
                if work.__qualname__.startswith("Watch._settle"):
                    written.set()
                    await go_on.wait()
                return await real.run(work)

        here.watch._store = Slow()  # type: ignore[assignment]
        toy.camera = False
        poll = asyncio.create_task(here.watch.poll("codec"))
        await written.wait()
        adopting = asyncio.create_task(here.watch.adopt(incident.id))
        await asyncio.wait([adopting], timeout=0.2)
        go_on.set()
        await poll
        await adopting
        toy.camera = True
        await here.polls(2)
        assert [c.fault.code for c in await here.cases()] == ["toy.lamp"]
