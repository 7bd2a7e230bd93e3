"""One cause that several devices share is one incident: judged purely, and then from polls to tickets over the real store on a clock turned by hand."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from agent.app import find_house
from agent.catalogue import COMMON_FAULTS
from agent.diagnosis.correlation import Group, gathered, lives, named, place, tell_in
from agent.diagnosis.evaluate import due
from agent.diagnosis.rules import COMMON_RULES
from agent.errors import CollectError, LoginBlocked, LoginRefused, NotTrusted, Reason, StoreError
from agent.inventory import Inventory
from agent.model import (
    Case,
    Desk,
    Device,
    FacetOutcome,
    FacetStatus,
    Fault,
    FaultSpec,
    History,
    HttpCredential,
    Incident,
    IncidentState,
    Secret,
    Severity,
    Snapshot,
    StepState,
    Text,
)
from agent.polling.rules import Rules
from agent.polling.state import Cadence
from agent.polling.watch import Watch
from agent.ports import CollectorPlugin, DeviceStatus, Facet, FacetData, Session
from agent.service.cases import Office
from agent.store import queries
from agent.store.database import FILE, Store, open_store
from config.load import load
from tests.support.clock import TurnedClock
from tests.support.promises import Tried, scale

T0 = datetime(2026, 3, 4, 9, 0, tzinfo=UTC)
SPEC = FaultSpec(code="device.login_refused", severity=Severity.WARNING, title=Text("t", "t"), advice=Text("a", "a"), hold=0, hits=1, clear=0, misses=1)
CERTIFICATES = replace(SPEC, share_least=3, share_within=1800.0)


def incident(device: str, minute: float = 0, *, cause: str = "credential:cameras", **more: Any) -> Incident:
    at = T0 + timedelta(minutes=minute)
    fault = Fault(code=SPEC.code, severity=Severity.WARNING, summary="refused", shared=cause)
    base = Incident(
        id=f"i-{device}",
        key=f"{device}/{SPEC.code}",
        device=device,
        fault=fault,
        state=IncidentState.CONFIRMED,
        first_seen=at,
        last_seen=at,
        confirmed_at=at,
    )
    return replace(base, **more)


def group(of: Incident, members: int = 0, latest: float = 0, **more: Any) -> Group:
    return Group(root=of, members=members, latest=max(of.first_seen, T0 + timedelta(minutes=latest)), **more)


def eligible(found: Incident) -> bool:
    return due(found, SPEC, first_sight="list")


def judged(own: Group, *others: Group, spec: FaultSpec = SPEC) -> str:
    return place(own, others, spec, eligible=eligible)


def test_one_device_alone_stands_for_itself_and_a_second_is_part_of_the_first() -> None:
    first, second = incident("a"), incident("b", 5)
    assert judged(group(first)) == ""
    assert judged(group(second), group(first)) == first.id
    assert judged(group(first), group(second)) == "", "the first does not become part of the second"
    assert judged(group(replace(second, fault=replace(second.fault, shared=""))), group(first)) == ""


def test_what_has_a_case_stays_what_it_is_and_the_others_come_to_it() -> None:
    first, second = incident("a"), incident("b", 5, state=IncidentState.CASED, case="c")
    assert judged(group(second, case_open=True), group(first)) == ""
    assert judged(group(first), group(second, case_open=True)) == second.id


def test_what_is_to_get_a_case_is_not_hidden_under_what_is_only_listed() -> None:
    listed, new = incident("a", first_sight=True), incident("b", 5)
    assert judged(group(new), group(listed, members=4)) == ""
    assert judged(group(listed, members=4), group(new)) == new.id
    member = incident("c", 1, first_sight=True, parent=listed.id)
    assert judged(group(member), group(listed, members=4), group(new)) == listed.id, "it goes when its root has gone"
    assert judged(group(member), group(new)) == new.id
    assert judged(group(replace(member, adopted=True)), group(listed, members=4)) == "", "a person wants a case of it"


def test_a_group_lives_on_under_a_root_that_recovered_and_comes_back_within_its_case() -> None:
    gone = incident("a", state=IncidentState.RECOVERED, case="c", recovered_at=T0)
    new = incident("b", 5)
    assert judged(group(new), group(gone, members=2, case_open=True)) == gone.id
    assert judged(group(new), group(gone)) == "", "it was one device's trouble, and this is another's"
    assert judged(group(new), group(gone, told=True)) == gone.id
    assert judged(group(replace(new, first_sight=True)), group(gone, told=True)) == "", "what was there before us opens no ticket again"


def test_a_device_that_comes_back_while_others_have_a_case_opens_its_own_no_second_time() -> None:
    back = incident("a", state=IncidentState.CASED, case="old")
    assert judged(group(back), group(incident("b", 9, state=IncidentState.CASED, case="new"), case_open=True)) == "i-b"
    assert judged(group(back), group(incident("b", 9))) == "", "nobody else has one: its own comes back, and the other is part of it"


@pytest.mark.parametrize(
    ("minutes", "together"),
    [((0, 1), False), ((0, 1, 2), True), ((0, 20, 29), True), ((0, 31, 62), False), ((0, 1, 40), False), ((0, 31), False)],
)
def test_certificates_are_one_only_when_several_change_within_half_an_hour(minutes: Sequence[float], together: bool) -> None:
    *before, last = [incident(f"d{n}", minute, cause="certificates:krakow") for n, minute in enumerate(minutes)]
    assert bool(judged(group(last), *(group(i) for i in before), spec=CERTIFICATES)) is together


def test_a_roll_out_that_takes_hours_is_one() -> None:
    root = incident("a", cause="certificates:krakow")
    assert judged(group(incident("z", 200, cause="certificates:krakow")), group(root, members=3, latest=175), spec=CERTIFICATES) == root.id
    assert judged(group(incident("z", 206, cause="certificates:krakow")), group(root, members=3, latest=175), spec=CERTIFICATES) == ""


def test_a_case_waits_until_every_other_device_had_its_turn_but_not_for_a_clock() -> None:
    found = incident("a")
    for seconds, wanted in ((0, False), (119, False), (120, True), (-3600, True)):
        assert gathered(found, T0 + timedelta(seconds=seconds), 60.0) is wanted
    assert gathered(replace(found, adopted=True), T0, 60.0)
    assert gathered(incident("a", cause=""), T0, 60.0)


def test_desks_are_told_of_newcomers_soon_but_not_again_and_again() -> None:
    assert tell_in(None, T0, 60.0) == 120
    assert tell_in(T0, T0 + timedelta(minutes=5), 60.0) == 600
    assert tell_in(T0, T0 + timedelta(minutes=14), 60.0) == 120
    assert tell_in(T0, T0 + timedelta(hours=5), 60.0) == 120
    assert tell_in(T0, T0 - timedelta(days=1), 60.0) == 900, "a clock that was set back does not hold it for a day"


def test_a_long_list_of_devices_is_short() -> None:
    assert named(["a", "b", "c", "d"], 37) == "37 devices: a, b, c and 34 more"
    assert named(["a", "b"], 2) == "2 devices: a, b"


def causes(*facets: tuple[Reason | None, str], worked: bool = True, code: str = "device.login_refused") -> list[str]:
    """What the common rules say of a device with these facets: (why it failed, with which account)."""
    outcomes = {
        f"f{n}": FacetOutcome(status=FacetStatus.FAILED if reason else FacetStatus.OK, source="http", at=T0, reason=reason or "", credential=account)
        for n, (reason, account) in enumerate(facets)
    }
    snapshot = Snapshot(device="d", at=T0, duration=1, reachable=True, facets=outcomes)
    history = History(healthy=frozenset({"device.not_trusted"} if worked else ()))
    device = Device(id="d", vendor="toy", site="krakow")
    return [j.shared for rule in COMMON_RULES for j in rule(snapshot, history, device) if isinstance(j, Fault) and j.code == code]


def test_devices_that_refuse_the_same_accounts_have_the_same_cause_whichever_they_refused_last() -> None:
    assert causes((Reason.AUTH, "cameras"), (Reason.AUTH_BLOCKED, "admin")) == ["credential:cameras"]
    assert causes((Reason.AUTH_BLOCKED, "cameras"), (Reason.AUTH, "admin")) == ["credential:cameras"]
    assert causes((Reason.LOCKOUT, "cameras"), (Reason.AUTH, "admin")) == ["credential:cameras"]
    assert causes((None, "cameras"), (Reason.AUTH, "admin")) == ["credential:admin"]
    assert causes((Reason.LOCKOUT, "cameras"), (None, "admin")) == []
    assert causes((Reason.AUTH, "")) == [""]
    assert causes((Reason.AUTH_WAITS, "cameras"), (None, "")) == []


def test_a_certificate_that_was_accepted_before_is_another_cause_than_one_that_never_was() -> None:
    code = "device.not_trusted"
    assert causes((Reason.TLS_CHANGED, ""), worked=False, code=code) == ["certificates:krakow"]
    assert causes((Reason.TLS_NOT_TRUSTED, ""), worked=True, code=code) == ["certificates:krakow"]
    assert causes((Reason.TLS_NOT_TRUSTED, ""), worked=False, code=code) == ["enrolment:krakow"]
    assert causes((Reason.HOST_KEY, ""), worked=True, code=code) == ["certificates:krakow"]


# --- a fleet in a few lines, without a database: what each device does at its poll


@dataclass
class World:
    """What the transaction of a poll does, on dictionaries. `cases`: open or not, by the incident that has it."""

    first_sight: frozenset[str]
    refuses: set[str] = field(default_factory=set)
    incidents: dict[str, Incident] = field(default_factory=dict)
    cases: dict[str, bool] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)
    now: float = 0
    made: int = 0

    def poll(self, device: str) -> None:
        self.now += 1
        at = T0 + timedelta(minutes=self.now)
        found = before = self.incidents.get(device)
        if device in self.refuses and found is None:
            self.made += 1
            found = incident(device, self.now, id=f"i{self.made}", first_sight=device in self.first_sight)
        elif device in self.refuses and found is not None and found.state is IncidentState.RECOVERED:
            found = replace(found, state=IncidentState.CASED)
        elif device not in self.refuses and found is not None and found.active:
            found = replace(found, state=IncidentState.RECOVERED if found.case else IncidentState.CLOSED, recovered_at=at)
        if found is None:
            return
        if found.active:
            found = replace(found, parent=place(self._group(found), self._roots(found), SPEC, eligible=eligible))
            if not found.parent and not found.case and eligible(found):
                found = replace(found, state=IncidentState.CASED, case=f"case {found.id}")
                self.cases[found.id] = True
        else:
            found = replace(found, parent="")
        self.incidents[device] = found
        if found.state is IncidentState.CLOSED:
            del self.incidents[device]
        for root in {found.id, found.parent, before.parent if before is not None else ""}:
            self._follow(root)

    def _members(self, root: str) -> int:
        return sum(i.parent == root and i.active for i in self.incidents.values())

    def _group(self, of: Incident) -> Group:
        return Group(root=of, members=self._members(of.id), latest=of.first_seen, case_open=self.cases.get(of.id, False), told=of.id in self.told)

    def _roots(self, but: Incident) -> list[Group]:
        return [self._group(i) for i in self.incidents.values() if not i.parent and i.id != but.id]

    def _follow(self, root: str) -> None:
        found = next((i for i in self.incidents.values() if i.id == root), None)
        if found is not None and found.id in self.cases:
            self.cases[found.id] = lives(found, self._members(found.id))
            if self._members(found.id):
                self.told.add(found.id)


DEVICES = ("a", "b", "c", "d", "e")
WORDS = st.lists(st.tuples(st.sampled_from(["refuse", "mend", "poll"]), st.sampled_from(DEVICES)), max_size=60)


@settings(max_examples=300, deadline=None)
@given(words=WORDS, first_sight=st.frozensets(st.sampled_from(DEVICES)))
def test_in_whatever_order_devices_come_and_go_one_cause_has_one_root_and_one_open_case(words: list[tuple[str, str]], first_sight: frozenset[str]) -> None:
    world = World(first_sight)
    for word, device in words:
        match word:
            case "refuse":
                world.refuses.add(device)
            case "mend":
                world.refuses.discard(device)
            case _:
                world.poll(device)
        assert sum(world.cases.values()) <= 1
    for _ in range(3):
        for device in DEVICES:
            world.poll(device)
    settled = dict(world.incidents)
    active = [i for i in settled.values() if i.active]
    assert {i.device for i in active} == world.refuses
    roots = {i.parent or i.id for i in active}
    assert len(roots) == (1 if active else 0)
    assert all(not i.parent for i in settled.values() if i.id in roots), "what others are part of is part of nothing"
    wanted = any(i.case or not i.first_sight for i in active) or any(i.id in roots and i.case for i in settled.values())
    assert [root for root, is_open in world.cases.items() if is_open] == (list(roots) if active and wanted else [])
    for device in DEVICES:
        world.poll(device)
    assert {d: i.parent for d, i in world.incidents.items()} == {d: i.parent for d, i in settled.items()}, "and it stays so"


# --- over the store


@dataclass
class Camera:
    """Lets us in or not, as the test says."""

    error: CollectError | None = None
    client: Any = None

    @property
    def sent(self) -> dict[str, int]:
        return {}

    async def knock(self) -> None:
        """It is there."""

    def offers(self, facet: Facet) -> bool:
        return True


class Cameras:
    """The collector of all cameras."""

    def __init__(self, cameras: Mapping[str, Camera]) -> None:
        self._cameras = cameras

    @asynccontextmanager
    async def open(self, device: Device) -> AsyncIterator[Session]:
        camera = self._cameras[device.id]
        camera.client = camera
        yield camera


async def fetch(camera: Camera) -> None:
    if camera.error is not None:
        raise camera.error


PLUGIN = CollectorPlugin(
    name="toy",
    settings=BaseModel,
    facets=(Facet(name="state", source="http", every=60, fetch=fetch, parse=lambda _: FacetData(in_use=False), what="", endpoint=""),),
    metrics=(),
    faults=(),
    rules=(),
    evidence=(),
    checklist=lambda *_: (),
    start=lambda _: (_ for _ in ()).throw(AssertionError),
)
CREDENTIAL = HttpCredential(name="cameras", username="operator", password=Secret("x"), version="v1")
REFUSED = LoginRefused(Reason.AUTH, "the device refused the credential")
RENEWED = NotTrusted(Reason.TLS_CHANGED, "another certificate", fingerprint="ab")
BOX, OTHER = Desk(name="box", type="folder"), Desk(name="hezo", type="mail", role="vendor")


@pytest.fixture(scope="session")
def plans(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("plans") / "latarnik.yaml"
    path.write_text("site: {name: x}\ndevices: []\n")
    house = find_house()
    return load(path, vendors={n: p.settings for n, p in house.collectors.items()}, desks={n: p.settings for n, p in house.desks.items()}).plans


class Killed(BaseException):
    """The process ends here; what was not committed is gone."""


class Fleet:
    """A watch over some cameras with one credential, and a person who looks. `ticket`: refused logins and certificates make tickets here."""

    def __init__(self, store: Store, folder: Path, plans: Any, clock: TurnedClock, cameras: dict[str, Camera], *, ticket: bool, first_sight: str) -> None:
        self.store, self.clock, self.cameras = store, clock, cameras
        self.shown: dict[str, DeviceStatus] = {}
        self.tasks: list[asyncio.Task[None]] = []
        self.kill_at = 0
        self.full = False
        devices = [Device(id=name, vendor="toy", host="192.0.2.7", site="krakow", credentials={"http": CREDENTIAL}) for name in cameras]
        specs = {s.code: replace(s, ticket=ticket if s.code in ("device.login_refused", "device.not_trusted") else s.ticket) for s in COMMON_FAULTS}
        rules = Rules(
            specs=MappingProxyType(specs),
            first_sight=first_sight,
            cadence=Cadence(interval=60.0),
            office=Office(language="en", timezone="Europe/Warsaw"),
            inventory=Inventory(devices=tuple(devices), contracts={}, plans=plans, desks=(BOX, OTHER), routes=()),
            site="krakow",
        )
        self.watch = Watch(
            [(d, PLUGIN, Cameras(cameras), ()) for d in devices],
            rules=rules,
            store=self,  # type: ignore[arg-type]  # the store, and a kill within its transactions
            clock=clock,
            evidence_root=folder,
            blocked=lambda _: False,
            changed=lambda status: self.shown.__setitem__(status.device.id, status),
            polled=lambda _: None,
            news=lambda _: None,
            spawn=self._spawn,
            poke=lambda _: None,
        )

    async def run(self, work: Any) -> Any:
        if self.full:
            raise StoreError("disk is full")

        def dies(c: Connection) -> Any:
            done = work(c)
            self.kill_at -= 1
            if self.kill_at == 0:
                raise Killed
            return done

        return await self.store.run(dies if self.kill_at else work)

    def _spawn(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.create_task(work))

    async def poll(self, *names: str) -> None:
        for name in names:
            await self.watch.poll(name)
        while self.tasks:
            await self.tasks.pop()

    async def rounds(self, count: int = 1) -> None:
        """Each device once a minute."""
        for _ in range(count):
            await self.poll(*self.cameras)
            self.clock.turn(60)
            await self.watch.sweep()
            await self.poll()

    def refuse(self, *names: str, error: CollectError | None = REFUSED) -> None:
        for name in names:
            self.cameras[name].error = error

    def mend(self, *names: str) -> None:
        self.refuse(*(names or self.cameras), error=None)

    async def cases(self) -> list[Case]:
        return await self.store.run(queries.load_cases)

    async def steps(self, desk: str = "box") -> list[str]:
        rows = await self.store.run(lambda c: queries.queued(c, desk=desk, states=list(StepState)))
        return [q.step.kind.value for q in sorted(rows, key=lambda q: (q.step.case, q.step.seq)) if q.step.kind.value != "attach"]

    async def bodies(self, kind: str) -> list[str]:
        rows = await self.store.run(lambda c: queries.queued(c, desk="box", states=list(StepState)))
        return [q.step.draft.body for q in rows if q.step.kind.value == kind]

    def roots(self) -> set[str]:
        return {i.parent or i.id for s in self.shown.values() for i in s.incidents}

    def parents(self) -> dict[str, str]:
        return {name: i.parent for name, s in self.shown.items() for i in s.incidents}


@contextmanager
def fleet(folder: Path, plans: Any, clock: TurnedClock, cameras: dict[str, Camera] | int, *, ticket: bool = True, first_sight: str = "list") -> Iterator[Fleet]:
    if isinstance(cameras, int):
        cameras = {f"cam-{n}": Camera() for n in range(cameras)}
    with open_store(folder / "state") as store:
        yield Fleet(store, folder / "evidence", plans, clock, cameras, ticket=ticket, first_sight=first_sight)


async def test_a_password_that_five_devices_refuse_is_one_ticket_that_names_them_and_is_resolved_by_the_last(tmp_path: Path, plans: Any) -> None:
    with fleet(tmp_path, plans, TurnedClock(), 6) as here:
        await here.rounds(2)
        refusing = [f"cam-{n}" for n in range(1, 6)]
        here.refuse(*refusing)
        await here.rounds(1)
        assert await here.cases() == [], "every device has its turn before the ticket is written"
        assert len(here.roots()) == 1
        await here.rounds(2)
        (case,) = await here.cases()
        assert (case.device, case.cause, case.others) == ("cam-1", "credential:cameras", tuple(refusing[1:]))
        assert await here.steps() == ["create"]
        (body,) = await here.bodies("create")
        assert all(f"\n- {name}\n" in body for name in refusing)
        assert "- cam-0" not in body

        (shown,) = here.shown["cam-1"].incidents
        assert shown.fault.summary == "5 devices: cam-1, cam-2, cam-3 and 2 more. the device refused the credential"
        assert here.shown["cam-1"].sharing == {shown.id: 5}
        assert here.parents() == {"cam-1": "", **dict.fromkeys(refusing[1:], shown.id)}

        here.mend("cam-1")
        await here.rounds(2)
        assert here.shown["cam-1"].incidents == (), "its own device is fine, and shown as such"
        assert await here.steps() == ["create"], "but the cause is still there"
        here.mend("cam-2", "cam-3", "cam-4")
        await here.rounds(2)
        assert await here.steps() == ["create"]
        here.mend("cam-5")
        await here.rounds(2)
        assert await here.steps() == ["create", "resolve"]
        assert "The last of the 5 devices concerned" in (await here.bodies("resolve"))[0]
        assert all(s.incidents == () for s in here.shown.values())

        # Back within the reopen window, at another device first: the same ticket.
        here.refuse("cam-4", "cam-2")
        await here.rounds(4)
        assert await here.steps() == ["create", "resolve", "reopen"]
        assert "- cam-2" in (await here.bodies("reopen"))[0]
        here.mend()
        await here.rounds(2)
        assert await here.steps() == ["create", "resolve", "reopen", "resolve"]
        assert len(await here.cases()) == 1
        assert await here.store.run(lambda c: [i.device for i in queries.open_incidents(c) if i.state != "recovered"]) == []


async def test_devices_that_come_later_are_told_together_and_not_one_by_one(tmp_path: Path, plans: Any) -> None:
    clock = TurnedClock()
    with fleet(tmp_path, plans, clock, 6) as here:
        await here.rounds(2)
        here.refuse("cam-0", "cam-1")
        await here.rounds(3)
        here.refuse("cam-2", "cam-3")
        await here.rounds(1)
        assert await here.steps() == ["create"]
        await here.rounds(1)
        assert await here.steps() == ["create", "comment"]
        (body,) = await here.bodies("comment")
        assert "(credential cameras), 4 so far:\n- cam-2\n- cam-3\n" in body
        assert await here.steps("hezo") == ["create"], "a vendor is not told"
        here.refuse("cam-4")
        await here.rounds(2)
    with fleet(tmp_path, plans, clock, here.cameras) as here:
        await here.watch.load()
        here.refuse("cam-5")
        await here.rounds(12)
        assert await here.steps() == ["create", "comment"]
        await here.rounds(3)
        assert await here.steps() == ["create", "comment", "comment"], "a restart in between loses nothing"
        assert "6 so far:\n- cam-4\n- cam-5\n" in (await here.bodies("comment"))[1]
        await here.rounds(20)
        assert await here.steps() == ["create", "comment", "comment"]


async def test_one_device_alone_has_its_ticket_as_ever(tmp_path: Path, plans: Any) -> None:
    with fleet(tmp_path, plans, TurnedClock(), 2) as here:
        await here.rounds(2)
        here.refuse("cam-1")
        await here.rounds(4)
        (case,) = await here.cases()
        assert case.others == ()
        (shown,) = here.shown["cam-1"].incidents
        assert shown.fault.summary == "the device refused the credential"
        assert here.shown["cam-1"].sharing == {}
        here.mend()
        await here.rounds(1)
        assert await here.steps() == ["create", "resolve"]
        here.refuse("cam-0")
        await here.rounds(4)
        assert len(await here.cases()) == 2, "another device's trouble with it is another ticket"
        here.refuse("cam-1")
        await here.rounds(4)
        assert await here.steps() == ["create", "resolve", "create", "comment"], "its old ticket is not opened beside the one that stands"
        here.mend("cam-0")
        await here.rounds(2)
        here.mend("cam-1")
        await here.rounds(2)
        assert await here.steps() == ["create", "resolve", "create", "comment", "resolve"]


async def test_certificates_that_are_renewed_on_all_are_one_ticket_and_two_are_two(tmp_path: Path, plans: Any) -> None:
    for count, tickets in ((2, 2), (5, 1)):
        with fleet(tmp_path / str(count), plans, TurnedClock(), 5) as here:
            await here.rounds(2)
            here.refuse(*list(here.cameras)[:count], error=RENEWED)
            await here.rounds(5)
            assert len(await here.cases()) == tickets
            assert len(here.roots()) == tickets
            if tickets == 1:
                assert len((await here.cases())[0].others) == 4
            here.mend()
            await here.rounds(2)
            assert await here.steps() == ["create", "resolve"] * tickets


async def test_certificates_of_devices_that_are_new_are_no_change_of_those_that_are_known(tmp_path: Path, plans: Any) -> None:
    with fleet(tmp_path, plans, TurnedClock(), 6) as here:
        here.refuse("cam-3", "cam-4", "cam-5", error=NotTrusted(Reason.TLS_NOT_TRUSTED, "nobody accepted it yet", fingerprint="ab"))
        await here.rounds(2)
        assert len(here.roots()) == 1
        here.refuse("cam-0", "cam-1", "cam-2", error=RENEWED)
        await here.rounds(4)
        assert {s.incidents[0].fault.shared for s in here.shown.values()} == {"enrolment:krakow", "certificates:krakow"}
        assert len(here.roots()) == 2
        assert [c.device for c in await here.cases()] == ["cam-0"], "what was there before us is only listed"


async def test_without_tickets_what_is_listed_is_one_incident_and_a_group_outlives_its_root(tmp_path: Path, plans: Any) -> None:
    clock = TurnedClock()
    with fleet(tmp_path, plans, clock, 4, ticket=False) as here:
        await here.rounds(2)
        here.refuse(*here.cameras)
        await here.rounds(3)
        assert len(here.roots()) == 1
        here.mend("cam-0")
        await here.rounds(3)
        assert set(here.parents()) == {"cam-1", "cam-2", "cam-3"}
        assert len(here.roots()) == 1
        (root,) = [name for name, parent in here.parents().items() if not parent]
        assert here.shown[root].incidents[0].fault.summary.startswith("3 devices: ")
        assert await here.cases() == []
        adopted = await here.watch.adopt(here.shown[root].incidents[0].id)
        await here.rounds(1)
        (case,) = await here.cases()
        assert case.incident == adopted.id
        assert len(case.others) == 2


async def test_a_ticket_is_not_hidden_under_what_was_there_before_we_came(tmp_path: Path, plans: Any) -> None:
    with fleet(tmp_path, plans, TurnedClock(), 4) as here:
        here.refuse("cam-0", "cam-1")
        await here.rounds(4)
        assert await here.cases() == []
        assert here.parents()["cam-1"] == here.shown["cam-0"].incidents[0].id
        here.refuse("cam-2")
        await here.rounds(5)
        (case,) = await here.cases()
        assert case.device == "cam-2"
        assert set(case.others) == {"cam-0", "cam-1"}
        assert len(here.roots()) == 1


async def test_a_device_that_waits_for_another_ones_login_has_no_fault_and_is_counted_there(tmp_path: Path, plans: Any) -> None:
    with fleet(tmp_path, plans, TurnedClock(), 4) as here:
        await here.rounds(2)
        here.refuse("cam-0")
        here.refuse("cam-1", "cam-2", error=LoginBlocked(Reason.AUTH_WAITS, "tried elsewhere first"))
        await here.rounds(3)
        assert [name for name, s in here.shown.items() if s.incidents] == ["cam-0"]
        assert here.shown["cam-0"].incidents[0].fault.summary.endswith("Held back at 2 other devices.")


async def test_a_full_disk_in_the_middle_of_it_costs_time_and_nothing_else(tmp_path: Path, plans: Any) -> None:
    with fleet(tmp_path, plans, TurnedClock(), 4) as here:
        await here.rounds(2)
        here.refuse(*here.cameras)
        for name in here.cameras:
            here.full = name in ("cam-1", "cam-3")
            if here.full:
                with pytest.raises(StoreError):
                    await here.poll(name)
            else:
                await here.poll(name)
        here.full = False
        await here.rounds(4)
        assert len(await here.cases()) == 1
        assert len(here.roots()) == 1


async def test_the_ticket_of_a_device_that_left_the_inventory_does_not_stay_open_and_comes_back_with_it(tmp_path: Path, plans: Any) -> None:
    clock, cameras = TurnedClock(), {f"cam-{n}": Camera() for n in range(3)}
    with fleet(tmp_path, plans, clock, cameras) as here:
        await here.rounds(2)
        here.refuse("cam-0", "cam-1")
        await here.rounds(4)
    with fleet(tmp_path, plans, clock, {name: cameras[name] for name in ("cam-1", "cam-2")}) as here:
        await here.watch.load()
        await here.rounds(3)
        assert await here.steps() == ["create"], "the other device still has it"
    with fleet(tmp_path, plans, clock, {"cam-2": cameras["cam-2"]}) as here:
        await here.watch.load()
        await here.rounds(3)
        assert await here.steps() == ["create", "resolve"]
        assert await here.store.run(lambda c: [i.state.value for i in queries.open_incidents(c)]) == ["recovered"]
    with fleet(tmp_path, plans, clock, cameras) as here:
        await here.watch.load()
        await here.rounds(3)
        assert await here.steps() == ["create", "resolve", "reopen"]
        assert here.parents() == {"cam-0": "", "cam-1": here.shown["cam-0"].incidents[0].id}


async def test_of_one_device_that_left_nobody_says_that_it_works(tmp_path: Path, plans: Any) -> None:
    clock, cameras = TurnedClock(), {f"cam-{n}": Camera() for n in range(2)}
    with fleet(tmp_path, plans, clock, cameras) as here:
        await here.rounds(2)
        here.refuse("cam-0")
        await here.rounds(4)
    with fleet(tmp_path, plans, clock, {"cam-1": cameras["cam-1"]}) as here:
        await here.watch.load()
        assert "Whether the fault is gone is not known" in (await here.bodies("resolve"))[0]
        clock.turn(8 * 86400)
        await here.watch.load()
        assert await here.store.run(queries.open_incidents) == []
        assert await here.steps() == ["create", "resolve"]


def test_incidents_from_before_there_were_causes_are_kept_and_folded(tmp_path: Path) -> None:
    with open_store(tmp_path) as store, store.transaction() as c:
        for device in ("a", "b"):
            queries.save_incident(c, incident(device))
    with sqlite3.connect(tmp_path / FILE) as raw:
        for word in ("since", "parent", "cause"):
            raw.execute(f"DROP INDEX incidents_{word}")
        for word in ("since", "parent", "cause"):
            raw.execute(f"ALTER TABLE incidents DROP COLUMN {word}")
        raw.execute("UPDATE alembic_version SET version_num = '0002'")
    raw.close()
    with open_store(tmp_path) as store, store.transaction() as c:
        found = queries.open_incidents(c)
        assert [i.device for i in found] == ["a", "b"]
        assert queries.roots(c, "credential:cameras") == []
        for each in found:
            queries.save_incident(c, each)
        assert len(queries.roots(c, "credential:cameras")) == 2
        with pytest.raises(IntegrityError):
            queries.save_incident(c, replace(found[0], id="another"))


@pytest.mark.promise(4)
@pytest.mark.timeout(scale(120, 3600))
async def test_kills_and_restarts_in_whatever_order_leave_one_root_and_one_ticket(tmp_path: Path, plans: Any, tried: Tried) -> None:
    stories, kills, restarts = scale(25, 400), 0, 0
    for seed in range(stories):
        chance = random.Random(seed)
        clock, cameras = TurnedClock(), {f"cam-{n}": Camera() for n in range(4)}
        names = list(cameras)
        with fleet(tmp_path / str(seed), plans, clock, cameras) as here:
            await here.rounds(1)
            refused: set[str] = set()
            for _ in range(chance.randint(10, 25)):
                word = chance.choice(["refuse", "refuse", "mend", "poll", "poll", "poll", "restart", "kill"])
                name = chance.choice(names)
                if word == "refuse":
                    here.refuse(name)
                    refused.add(name)
                elif word == "mend":
                    here.mend(name)
                    refused.discard(name)
                elif word == "poll":
                    await here.poll(name)
                    clock.turn(chance.choice([5, 60, 200]))
                elif word == "kill":
                    # The process dies in a transaction, or, when no other comes, before the next one.
                    here.kill_at = 1
                    try:
                        await here.poll(name)
                    except Killed:
                        kills += 1
                    here.tasks.clear()
                if word in ("restart", "kill"):
                    restarts += 1
                    here = Fleet(here.store, tmp_path, plans, clock, cameras, ticket=True, first_sight="list")
                    await here.watch.load()
                    here.watch.show_all()
                assert sum(case.state == "open" for case in await here.cases()) <= 1
            await here.rounds(5)
            found = await here.cases()
            assert [case.state for case in found if case.state == "open"] == (["open"] if refused else []), seed
            assert {name for name, s in here.shown.items() if s.incidents} == refused
            assert len(here.roots()) == (1 if refused else 0)
            here.mend()
            await here.rounds(3)
            assert all(case.state == "recovered" for case in await here.cases())
            rows = await here.store.run(lambda c: queries.queued(c, desk="box", states=list(StepState)))
            for case in found:
                kinds = [
                    q.step.kind.value
                    for q in sorted(rows, key=lambda q: q.step.seq)
                    if q.step.case == case.id and q.step.kind.value not in ("attach", "comment")
                ]
                assert kinds == ["create", *["resolve", "reopen"] * ((len(kinds) - 2) // 2), "resolve"], (seed, kinds)
    tried("stories of four devices over the store", stories)
    tried("kills within a transaction", kills)
    tried("restarts", restarts)
