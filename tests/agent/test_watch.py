"""From polls to cases on a clock that is turned by hand, over the real store: what is opened, told, held, and shown."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from pydantic import BaseModel

from agent.app import find_house
from agent.catalogue import COMMON_FAULTS
from agent.errors import CollectError, Reason, Unreachable
from agent.inventory import Inventory
from agent.model import (
    Case,
    Component,
    Contract,
    Desk,
    Device,
    Fault,
    FaultSpec,
    Healthy,
    History,
    Identity,
    Judgement,
    Reading,
    Severity,
    Snapshot,
    StepKind,
    StepState,
    Text,
    TicketRef,
)
from agent.polling import casework
from agent.polling.rules import Rules
from agent.polling.state import Cadence
from agent.polling.watch import EVIDENCE_WAIT, Watch
from agent.ports import CollectorPlugin, DeviceStatus, EvidenceItem, Facet, FacetData, PollReport, Session
from agent.service.cases import Office
from agent.store import queries
from agent.store.database import Store, open_store
from agent.store.queries import Queued
from config.load import load
from tests.support.clock import TurnedClock

CODEC = Device(id="codec", vendor="toy", host="192.0.2.7", site="krakow", room="3.14", contract=Contract(id="k1", plan="partner-poly-plus", number="HZ/1"))
CAMERA = Device(
    id="codec-cam", vendor="toy", parent="codec", model="E70", site="krakow", room="3.14", contract=Contract(id="k2", plan="partner-poly-plus", number="HZ/2")
)
E70 = Component(kind="camera", key="CAM-1", serial="CAM-1", model="Studio E70", firmware="1.1", state="ok", removable=True)
BOX = Desk(name="box", type="folder")
VENDOR = Desk(name="hezo", type="mail", role="vendor", language="pl")


@dataclass
class Toy:
    """A codec with a lamp and a camera; what it answers is set by the test."""

    lamp: str = "on"
    camera: bool = True
    in_use: bool | None = False
    dead: bool = False
    fetched: list[str] = field(default_factory=list)

    client: Any = None

    @property
    def sent(self) -> dict[str, int]:
        return {}

    async def knock(self) -> None:
        raise Unreachable(Reason.REFUSED, "dead")

    def offers(self, facet: Facet) -> bool:
        return True

    @asynccontextmanager
    async def open(self, device: Device) -> AsyncIterator[Session]:
        self.client = self
        yield self


async def fetch(toy: Toy) -> Toy:
    if toy.dead:
        raise Unreachable(Reason.TIMEOUT, "192.0.2.7: no answer within 10 s")
    return toy


def parse(toy: Toy) -> FacetData:
    return FacetData(
        identity=Identity(vendor="toy", serial="CODEC-1", model="G7500", firmware="4.6"),
        readings=(Reading(metric="lamp", value=float(toy.lamp == "on")),),
        components=(E70,) if toy.camera else (),
        in_use=toy.in_use,
    )


def lamp(snapshot: Snapshot, history: History, device: Device) -> Iterator[Judgement]:
    for reading in snapshot.of("lamp"):
        yield Healthy(code="toy.lamp") if reading.value else Fault(code="toy.lamp", severity=Severity.WARNING, summary="out", proof=(reading,))


def camera(snapshot: Snapshot, history: History, device: Device) -> Iterator[Judgement]:
    if not snapshot.ok("state"):
        return
    for part in history.components.values():
        if snapshot.component(part.key) is None:
            yield Fault(code="toy.camera", component=part.key, severity=Severity.CRITICAL, summary="gone", part=part)
    for part in snapshot.components:
        yield Healthy(code="toy.camera", component=part.key)


def bundle(name: str, *, light: bool) -> EvidenceItem:
    async def download(toy: Toy) -> AsyncGenerator[bytes, None]:
        toy.fetched.append(name)
        if toy.dead:
            raise CollectError(Reason.TIMEOUT, "dead")
        yield name.encode()

    return EvidenceItem(name=name, media_type="text/plain", fetch=download, limit=1000, timeout=5, light=light)


SPECS = (
    FaultSpec(code="toy.lamp", severity=Severity.WARNING, title=Text("Lamp", "Lampa"), advice=Text("a", "a")),
    FaultSpec(code="toy.camera", severity=Severity.CRITICAL, title=Text("Camera", "Kamera"), advice=Text("a", "a")),
)
PLUGIN = CollectorPlugin(
    name="toy",
    settings=BaseModel,
    facets=(Facet(name="state", source="http", every=60, fetch=fetch, parse=parse, what="", endpoint="", decides_use=True),),
    metrics=(),
    faults=SPECS,
    rules=(lamp, camera),
    evidence=(bundle("status.txt", light=True), bundle("bundle.tar", light=False)),
    checklist=lambda *_: (),
    start=lambda _: (_ for _ in ()).throw(AssertionError),
)


@pytest.fixture(scope="session")
def plans(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("plans") / "latarnik.yaml"
    path.write_text("site: {name: x}\ndevices: []\n")
    house = find_house()
    return load(path, vendors={n: p.settings for n, p in house.collectors.items()}, desks={n: p.settings for n, p in house.desks.items()}).plans


class Site:
    """A watch over one codec, and a person who looks."""

    def __init__(
        self, store: Store, folder: Path, plans: Any, toy: Toy, clock: TurnedClock, *, codec: Device, desks: tuple[Desk, ...], first_sight: str
    ) -> None:
        self.store, self.toy, self.clock = store, toy, clock
        self.shown: dict[str, DeviceStatus] = {}
        self.tasks: list[asyncio.Task[None]] = []
        self.poked: list[str] = []
        inventory = Inventory(devices=(codec, CAMERA), contracts={}, plans=plans, desks=desks, routes=())
        rules = Rules(
            specs=MappingProxyType({s.code: s for s in (*COMMON_FAULTS, *SPECS)}),
            first_sight=first_sight,
            cadence=Cadence(interval=60.0),
            office=Office(language="en", timezone="Europe/Warsaw"),
            inventory=inventory,
            site="krakow",
        )
        self.watch = Watch(
            [(codec, PLUGIN, toy, (CAMERA,))],
            rules=rules,
            store=store,
            clock=clock,
            evidence_root=folder,
            blocked=lambda _: False,
            changed=lambda status: self.shown.__setitem__(status.device.id, status),
            polled=self._polled,
            news=lambda _: None,
            spawn=self._spawn,
            poke=self.poked.append,
        )

    def _polled(self, report: PollReport) -> None: ...

    def _spawn(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.create_task(work))

    async def polls(self, count: int = 1, every: float = 60.0) -> None:
        for _ in range(count):
            await self.watch.poll("codec")
            while self.tasks:
                await self.tasks.pop()
            self.clock.turn(every)

    def up(self, device: str) -> bool | None:
        return self.shown[device].up

    def fresh(self, device: str) -> bool:
        return self.shown[device].snapshot is not None

    async def cases(self) -> list[Case]:
        return await self.store.run(queries.load_cases)

    async def steps(self, desk: str = "box") -> list[tuple[str, str]]:
        rows: list[Queued] = await self.store.run(lambda c: queries.queued(c, desk=desk, states=list(StepState)))
        return [(q.step.kind.value, q.state.value) for q in sorted(rows, key=lambda q: (q.step.case, q.step.seq))]


@contextmanager
def site(
    folder: Path, plans: Any, toy: Toy, clock: TurnedClock, codec: Device = CODEC, desks: tuple[Desk, ...] = (BOX,), first_sight: str = "list"
) -> Iterator[Site]:
    with open_store(folder / "state") as store:
        yield Site(store, folder / "evidence", plans, toy, clock, codec=codec, desks=desks, first_sight=first_sight)


async def test_a_fault_becomes_one_case_with_evidence_and_its_recovery_is_told(tmp_path: Path, plans: Any) -> None:
    toy, clock = Toy(), TurnedClock()
    with site(tmp_path, plans, toy, clock) as here:
        await here.polls(3)
        assert await here.cases() == []
        toy.lamp = "out"
        await here.polls(2)
        assert await here.cases() == []
        await here.polls(20)
        (case,) = await here.cases()
        assert case.id == "krakow-2026-0001"
        assert case.identity.serial == "CODEC-1"
        assert case.contract is not None
        assert case.contract.number == "HZ/1"
        assert {a.name for a in case.evidence} == {"latarnik-view.json", "status.txt", "bundle.tar"}
        assert toy.fetched == ["status.txt", "bundle.tar"]
        assert await here.steps() == [("create", "pending"), ("attach", "pending")]
        assert [i.fault.code for i in here.shown["codec"].incidents] == ["toy.lamp"]
        toy.lamp = "on"
        await here.polls(7)
        assert await here.steps() == [("create", "pending"), ("attach", "pending"), ("resolve", "pending")]
        assert here.shown["codec"].incidents == ()


async def test_it_is_the_same_case_after_a_restart_in_every_state(tmp_path: Path, plans: Any) -> None:
    toy, clock = Toy(), TurnedClock()
    steps = []
    for lamp_state, count in (("on", 2), ("out", 2), ("out", 2), ("out", 3), ("on", 2), ("on", 6), ("out", 2), ("out", 3), ("on", 8)):
        toy.lamp = lamp_state
        with site(tmp_path, plans, toy, clock) as here:
            await here.watch.load()
            await here.polls(count)
            steps = await here.steps()
            assert len(await here.cases()) <= 1
    assert [kind for kind, _ in steps] == ["create", "attach", "resolve", "reopen", "resolve"]


async def test_after_the_reopen_window_it_is_a_new_case(tmp_path: Path, plans: Any) -> None:
    toy, clock = Toy(), TurnedClock()
    with site(tmp_path, plans, toy, clock) as here:
        for lamp_state, count in (("on", 1), ("out", 5), ("on", 8)):
            toy.lamp = lamp_state
            await here.polls(count)
        clock.turn(8 * 86400)
        await here.polls(1)
        toy.lamp = "out"
        await here.polls(5)
        assert [c.id for c in await here.cases()] == ["krakow-2026-0001", "krakow-2026-0002"]


async def test_a_part_that_is_a_device_of_its_own_has_its_own_case_serial_and_contract(tmp_path: Path, plans: Any) -> None:
    toy, clock = Toy(), TurnedClock()
    with site(tmp_path, plans, toy, clock) as here:
        await here.polls(2)
        assert here.up("codec-cam") is True
        assert here.shown["codec-cam"].identity.serial == "CAM-1"
        toy.camera = False
        await here.polls(5)
        (case,) = await here.cases()
        assert case.device == "codec-cam"
        assert case.identity.serial == "CAM-1"
        assert case.parent is not None
        assert case.parent.serial == "CODEC-1"
        assert case.contract is not None
        assert case.contract.number == "HZ/2"
        assert here.up("codec-cam") is False
        assert here.up("codec") is True
        toy.dead = True
        await here.polls(1)
        assert here.up("codec-cam") is None, "while the codec cannot be asked nobody knows"


async def test_what_was_broken_before_we_came_is_listed_until_a_person_adopts_it(tmp_path: Path, plans: Any) -> None:
    toy, clock = Toy(lamp="out"), TurnedClock()
    with site(tmp_path, plans, toy, clock) as here:
        await here.polls(10)
        assert await here.cases() == []
        (incident,) = here.shown["codec"].incidents
        assert incident.first_sight
        assert incident.active
    with site(tmp_path, plans, toy, clock) as here:
        await here.watch.load()
        await here.polls(2)
        assert await here.cases() == []
        adopted = await here.watch.adopt(incident.id)
        assert adopted.adopted
        await here.polls(1)
        assert len(await here.cases()) == 1
        with pytest.raises(KeyError):
            await here.watch.adopt("nonsense")
    with site(tmp_path, plans, toy, clock) as here:
        await here.watch.load()
        await here.polls(3)
        assert len(await here.cases()) == 1, "that it became a case is known after a restart too"
        assert (await here.watch.adopt(incident.id)).case == "krakow-2026-0001"
    with site(tmp_path / "other", plans, toy, clock, first_sight="ticket") as here:
        await here.polls(5)
        assert len(await here.cases()) == 1


async def test_an_unreachable_device_is_a_case_after_five_minutes_with_what_was_known(tmp_path: Path, plans: Any) -> None:
    toy, clock = Toy(), TurnedClock()
    with site(tmp_path, plans, toy, clock) as here:
        await here.polls(2)
        toy.dead = True
        await here.polls(1)
        assert here.up("codec") is False
        assert not here.fresh("codec")
        assert here.shown["codec"].identity.serial == "CODEC-1"
        await here.polls(4)
        assert await here.cases() == []
        await here.polls(1)
        (case,) = await here.cases()
        assert case.fault.code == "device.unreachable"
        assert case.identity.serial == "CODEC-1"
        assert case.identity_at == TurnedClock().now() + timedelta(seconds=60)
        assert [a.name for a in case.evidence] == ["latarnik-view.json"]
        assert "does not answer" in case.evidence_note
        assert toy.fetched == []


async def test_in_a_call_the_ticket_opens_and_the_bundle_waits_for_its_end(tmp_path: Path, plans: Any) -> None:
    toy, clock = Toy(), TurnedClock()
    with site(tmp_path, plans, toy, clock) as here:
        await here.polls(2)
        toy.lamp, toy.in_use = "out", True
        await here.polls(10)
        (case,) = await here.cases()
        assert toy.fetched == ["status.txt"]
        assert case.evidence_state == "partial"
        assert "bundle.tar" in case.evidence_note
        assert [kind for kind, _ in await here.steps()] == ["create", "attach"]
    with site(tmp_path, plans, toy, clock) as here:
        await here.watch.load()
        toy.in_use = None
        await here.polls(3)
        assert toy.fetched == ["status.txt"]
        toy.in_use = False
        await here.polls(3)
        assert toy.fetched == ["status.txt", "bundle.tar"]
        assert [kind for kind, _ in await here.steps()] == ["create", "attach", "attach"]


async def test_a_room_left_in_a_meeting_does_not_hold_the_evidence_for_ever(tmp_path: Path, plans: Any) -> None:
    toy, clock = Toy(), TurnedClock()
    with site(tmp_path, plans, toy, clock) as here:
        await here.polls(2)
        toy.lamp, toy.in_use = "out", True
        await here.polls(5)
        clock.turn(EVIDENCE_WAIT)
        await here.polls(2)
        (case,) = await here.cases()
        assert case.evidence_state == "done"
        assert "bundle.tar: not fetched" in case.evidence_note
        assert toy.fetched == ["status.txt"]


async def test_nothing_goes_to_a_vendor_before_it_is_complete_and_approved(tmp_path: Path, plans: Any) -> None:
    nameless = replace(CODEC, contract=replace(CODEC.contract or Contract(id="k"), number=""))
    toy, clock = Toy(), TurnedClock()
    for name, codec, desk, released in (
        ("complete", CODEC, VENDOR, "pending"),
        ("no-number", nameless, VENDOR, "held"),
        ("approval", CODEC, replace(VENDOR, approval=True), "held"),
    ):
        toy.lamp = "on"
        with site(tmp_path / name, plans, toy, clock, codec=codec, desks=(BOX, desk)) as here:
            await here.polls(2)
            toy.lamp = "out"
            await here.polls(5)
            (case,) = await here.cases()
            assert (await here.steps("box"))[0] == ("create", "pending")
            assert (await here.steps("hezo"))[0] == ("create", released), name
            assert case.missing == (("contract_number",) if name == "no-number" else ())
            await here.watch.approve(case.id)
            assert (await here.steps("hezo"))[0] == ("create", "held" if name == "no-number" else "pending")


async def test_a_report_that_was_never_sent_is_withdrawn_when_the_fault_is_gone(tmp_path: Path, plans: Any) -> None:
    toy, clock = Toy(), TurnedClock()
    with site(tmp_path, plans, toy, clock, desks=(BOX, replace(VENDOR, approval=True))) as here:
        await here.polls(2)
        toy.lamp = "out"
        await here.polls(5)
        toy.lamp = "on"
        await here.polls(8)
        assert {state for kind, state in await here.steps("hezo") if kind == "create"} == {"withdrawn"}
        assert {state for _, state in await here.steps("hezo")} == {"withdrawn"}
        assert (await here.steps("box"))[-1] == ("resolve", "pending")
        toy.lamp = "out"
        await here.polls(5)
        assert (await here.steps("box"))[-1] == ("reopen", "pending")
        assert (await here.steps("hezo"))[-2:] == [("create", "held"), ("attach", "pending")], "this desk knows nothing yet, so it gets the report anew"


async def test_the_vendors_clock_starts_when_its_report_has_gone_and_the_internal_desk_is_told(tmp_path: Path, plans: Any) -> None:
    toy, clock = Toy(), TurnedClock()
    with site(tmp_path, plans, toy, clock, desks=(BOX, VENDOR)) as here:
        await here.polls(2)
        toy.lamp = "out"
        await here.polls(5)
        (case,) = await here.cases()
        assert {d.name: d.due for d in case.deadlines}["reaction"] is None
        first = (await here.store.run(lambda c: queries.queued(c, desk="hezo")))[0]
        await here.store.run(lambda c: queries.save_ticket(c, case.id, "hezo", TicketRef(ref="m1"), "open"))
        for _ in range(2):
            await here.store.run(lambda c: casework.reported(c, here.watch.rules, first.step, clock.now()))
            await here.watch.step_taken(first.step)
        (case,) = await here.cases()
        assert {d.name: d.due for d in case.deadlines}["reaction"] == clock.now() + timedelta(hours=1)
        (comment,) = [q for q in await here.store.run(lambda c: queries.queued(c, desk="box")) if q.step.kind is StepKind.COMMENT]
        assert "reakcja: termin 2026-03-04T11:07:00+01:00" in comment.step.draft.body
        assert [t.ref for t in here.shown["codec"].tickets] == ["m1"]


async def test_values_of_a_device_that_is_no_longer_polled_are_no_longer_shown(tmp_path: Path, plans: Any) -> None:
    toy, clock = Toy(), TurnedClock()
    with site(tmp_path, plans, toy, clock) as here:
        await here.polls(1)
        assert here.fresh("codec")
        clock.turn(100)
        await here.watch.sweep()
        assert here.fresh("codec")
        clock.turn(61)
        await here.watch.sweep()
        assert not here.fresh("codec")
        assert here.up("codec") is False


async def test_a_call_that_begins_during_the_evidence_leaves_the_bundle_for_its_end(tmp_path: Path, plans: Any) -> None:
    toy, clock = Toy(), TurnedClock()
    with site(tmp_path, plans, toy, clock) as here:
        await here.polls(2)
        toy.lamp = "out"
        await here.polls(2)
        await here.watch.poll("codec")
        toy.in_use = True
        clock.turn(60)
        await here.watch.poll("codec")
        while here.tasks:
            await here.tasks.pop()
        assert toy.fetched == ["status.txt"]
        assert [c.evidence_state for c in await here.cases()] == ["partial"]
        toy.in_use = False
        await here.polls(2)
        assert toy.fetched == ["status.txt", "bundle.tar"]
        assert [c.evidence_state for c in await here.cases()] == ["done"]


async def test_a_suspicion_of_which_nothing_more_is_heard_does_not_have_every_facet_asked_for_ever(tmp_path: Path, plans: Any) -> None:
    toy, clock = Toy(), TurnedClock()
    with site(tmp_path, plans, toy, clock) as here:
        await here.polls(2)
        toy.lamp = "out"
        await here.polls(1)
        watched = here.watch.watched["codec"]
        assert watched.state.facets["state"].due == watched.state.facets["state"].not_before
        watched.plugin = replace(PLUGIN, rules=())
        await here.polls(31)
        assert watched.incidents, "silence did not close it"
        assert watched.state.facets["state"].due > watched.state.facets["state"].not_before


async def test_a_clock_set_back_a_day_opens_nothing_and_closes_nothing(tmp_path: Path, plans: Any) -> None:
    toy, clock = Toy(), TurnedClock()
    with site(tmp_path, plans, toy, clock) as here:
        await here.polls(2)
        toy.lamp = "out"
        await here.polls(5)
        clock.set_wall(clock.now() - timedelta(days=1))
        await here.polls(10)
        assert len(await here.cases()) == 1
        toy.lamp = "on"
        await here.polls(8)
        assert [kind for kind, _ in await here.steps()] == ["create", "attach", "resolve"]


async def test_a_bug_in_a_rule_leaves_the_incidents_as_they_are_and_the_readings_shown(tmp_path: Path, plans: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    toy, clock = Toy(), TurnedClock()
    with site(tmp_path, plans, toy, clock) as here:
        await here.polls(2)
        toy.lamp = "out"
        await here.polls(5)

        def buggy(*_: object) -> Iterator[Judgement]:
            raise ZeroDivisionError

        watched = here.watch.watched["codec"]
        watched.plugin = replace(PLUGIN, rules=(buggy,))
        toy.lamp = "on"
        await here.polls(10)
        assert [i.fault.code for i in here.shown["codec"].incidents] == ["toy.lamp"]
        assert here.fresh("codec")
