"""One pass over a device: cadences, in use, failures that cost only their facet, and values that vanish."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any

from pydantic import BaseModel

from agent.errors import BadPayload, Busy, CollectError, NotSupported, Reason, Unreachable
from agent.model import Device, FacetStatus, Identity, Reading, Snapshot
from agent.polling.poller import UNSUPPORTED_AGAIN, poll
from agent.polling.state import BASE_INTERVAL, Cadence, PollState, effective_every
from agent.ports import CollectorPlugin, Facet, FacetData, PollReport, Session
from tests.support.clock import TurnedClock

DEVICE = Device(id="dev", vendor="toy", host="127.0.0.1")


class ToySession:
    """Answers what `answers` says: a value, or an error to raise."""

    def __init__(self, toy: Toy) -> None:
        self.client = toy

    @property
    def sent(self) -> dict[str, int]:
        return {}

    async def knock(self) -> None:
        self.client.asked.append("knock")
        if isinstance(self.client.answers.get("knock"), Exception):
            raise self.client.answers["knock"]

    def offers(self, facet: Facet) -> bool:
        return facet.name not in self.client.not_offered


class Toy:
    def __init__(self, *facets: Facet) -> None:
        self.clock = TurnedClock()
        self.answers: dict[str, Any] = {}
        self.asked: list[str] = []
        self.not_offered: set[str] = set()
        self.state = PollState()
        self.plugin = CollectorPlugin(
            name="toy",
            settings=BaseModel,
            facets=facets,
            metrics=(),
            faults=(),
            rules=(),
            evidence=(),
            checklist=lambda *_: (),
            start=lambda _: (_ for _ in ()).throw(AssertionError),
        )

    @asynccontextmanager
    async def open(self, device: Device) -> AsyncIterator[Session]:
        yield ToySession(self)

    async def poll(self, interval: float = 60.0) -> Snapshot:
        self.asked.clear()
        snapshot, self.report = await poll(DEVICE, self.plugin, self, self.state, Cadence(interval=interval), self.clock)
        return snapshot

    report: PollReport


def facet(name: str, every: float = 60.0, **changes: Any) -> Facet:
    async def fetch(toy: Toy) -> Any:
        toy.asked.append(name)
        answer = toy.answers.get(name, 1.0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def parse(raw: Any) -> FacetData:
        if raw == "garbage":
            raise BadPayload("garbage")
        if isinstance(raw, FacetData):
            return raw
        return FacetData(identity=Identity(serial="S1"), readings=(Reading(metric="m", value=raw, labels=(name,)),))

    return replace(Facet(name=name, source="http", every=every, fetch=fetch, parse=parse, what=name, endpoint=name), **changes)


def values(snapshot: Snapshot) -> dict[str, float | None]:
    return {r.labels[0]: r.value for r in snapshot.readings}


async def test_each_facet_is_asked_at_its_own_cadence() -> None:
    toy = Toy(facet("fast"), facet("slow", 300))
    asked = []
    for _ in range(11):
        await toy.poll()
        asked.append(tuple(toy.asked))
        toy.clock.turn(60)
    assert [a for a in asked if "slow" in a] == [("fast", "slow")] * 3
    assert asked[0] == asked[5] == asked[10] == ("fast", "slow")


async def test_a_slow_facets_value_stays_between_its_turns() -> None:
    toy = Toy(facet("fast"), facet("slow", 300))
    await toy.poll()
    toy.clock.turn(60)
    assert values(await toy.poll()) == {"fast": 1.0, "slow": 1.0}
    assert toy.asked == ["fast"]


async def test_a_device_polled_faster_has_all_its_facets_asked_faster() -> None:
    assert effective_every(facet("x", 300), 6.0) == 30.0
    assert effective_every(facet("x", 300), BASE_INTERVAL) == 300.0
    assert effective_every(facet("x", 60), 600.0) == 600.0


async def test_a_failed_facet_costs_only_itself_and_its_old_value_goes() -> None:
    toy = Toy(facet("a"), facet("b"), facet("c"))
    await toy.poll()
    toy.clock.turn(60)
    for answer in (CollectError(Reason.HTTP_STATUS, "500"), "garbage", Unreachable(Reason.TIMEOUT, "slow"), ZeroDivisionError()):
        toy.answers = {"b": answer}
        snapshot = await toy.poll()
        assert values(snapshot) == {"a": 1.0, "c": 1.0}
        assert snapshot.facets["b"].status is FacetStatus.FAILED
        assert snapshot.reachable
        toy.clock.turn(60)


async def test_a_dead_device_is_asked_once_a_way_and_shows_nothing() -> None:
    toy = Toy(facet("a"), facet("b", 3600), facet("c", source="ssh"))
    await toy.poll()
    toy.clock.turn(60)
    toy.answers = {"a": Unreachable(Reason.REFUSED, "refused"), "b": Unreachable(Reason.REFUSED, "refused"), "c": Unreachable(Reason.REFUSED, "refused")}
    snapshot = await toy.poll()
    assert not snapshot.reachable
    assert toy.asked == ["a", "c"]
    assert snapshot.readings == ()
    assert snapshot.identity == Identity()
    assert {o.status for o in snapshot.facets.values()} == {FacetStatus.FAILED, FacetStatus.STALE}
    toy.answers = {}
    toy.clock.turn(60)
    assert values(await toy.poll()) == {"a": 1.0, "b": 1.0, "c": 1.0}, "what it was before the outage is not shown again: all was asked anew"
    assert toy.asked == ["a", "b", "c"]


async def test_a_poll_in_which_nothing_is_due_still_sees_the_device() -> None:
    toy = Toy(facet("gone"), facet("slow", 3600), facet("slower", 7200))
    toy.answers = {"gone": NotSupported("404")}
    assert (await toy.poll()).reachable
    toy.clock.turn(60)
    snapshot = await toy.poll()
    assert toy.asked == ["slow"]
    assert snapshot.reachable
    assert values(snapshot) == {"slow": 1.0, "slower": 1.0}


async def test_what_a_device_lacks_is_asked_for_again_after_a_day() -> None:
    toy = Toy(facet("a"), facet("lacking"))
    toy.answers = {"lacking": NotSupported("404")}
    snapshot = await toy.poll()
    assert snapshot.facets["lacking"].status is FacetStatus.UNSUPPORTED
    asked = 0
    for _ in range(int(UNSUPPORTED_AGAIN / 60) + 2):
        toy.clock.turn(60)
        await toy.poll()
        asked += "lacking" in toy.asked
    assert asked == 1


async def test_a_device_that_asks_to_be_left_alone_is() -> None:
    toy = Toy(facet("a"), facet("b"))
    toy.answers = {"a": Busy(Reason.SESSIONS_FULL, "full", retry_after=600)}
    await toy.poll()
    toy.answers = {}
    for _ in range(9):
        toy.clock.turn(60)
        toy.state.ask_all()
        await toy.poll()
        assert "a" not in toy.asked
    toy.clock.turn(61)
    await toy.poll()
    assert "a" in toy.asked


async def test_in_a_call_only_light_facets_run_and_the_heavy_ones_values_grow_stale() -> None:
    in_call = FacetData(in_use=True)
    toy = Toy(facet("use", decides_use=True), facet("light"), facet("heavy", light=False))
    toy.answers = {"use": FacetData(in_use=False)}
    assert "heavy" in values(await toy.poll())
    toy.answers = {"use": in_call}
    seen = []
    for _ in range(5):
        toy.clock.turn(60)
        snapshot = await toy.poll()
        assert "heavy" not in toy.asked
        seen.append("heavy" in values(snapshot))
    assert seen == [True, True, True, False, False]
    assert snapshot.facets["heavy"].status is FacetStatus.STALE
    assert snapshot.in_use is True


async def test_unknown_use_counts_as_in_use() -> None:
    for answer in (FacetData(in_use=None), CollectError(Reason.HTTP_STATUS, "500"), NotSupported("404")):
        toy = Toy(facet("use", decides_use=True), facet("heavy", light=False))
        toy.answers = {"use": answer}
        snapshot = await toy.poll()
        assert snapshot.in_use is None
        assert toy.asked == ["use"]


async def test_one_of_two_that_cannot_tell_makes_it_unknown_and_one_that_says_yes_decides() -> None:
    toy = Toy(facet("calls", decides_use=True), facet("apps", decides_use=True))
    for calls, apps, expected in ((False, None, None), (False, False, False), (True, None, True), (None, True, True)):
        toy.answers = {"calls": FacetData(in_use=calls), "apps": FacetData(in_use=apps)}
        assert (await toy.poll()).in_use is expected
        toy.clock.turn(60)


async def test_a_fallback_runs_only_when_the_facet_it_stands_for_is_not_answered() -> None:
    toy = Toy(facet("web"), facet("shell", source="ssh", fallback_for="web"))
    assert values(await toy.poll()) == {"web": 1.0}
    toy.clock.turn(60)
    toy.answers = {"web": Unreachable(Reason.REFUSED, "off")}
    snapshot = await toy.poll()
    assert values(snapshot) == {"shell": 1.0}
    assert snapshot.reachable
    toy.answers = {}
    toy.clock.turn(60)
    assert values(await toy.poll()) == {"web": 1.0}


async def test_of_two_sources_the_first_in_the_table_counts() -> None:
    one = FacetData(readings=(Reading(metric="t", value=1.0),))
    two = FacetData(readings=(Reading(metric="t", value=2.0),))
    toy = Toy(facet("http"), facet("snmp", source="snmp"))
    toy.answers = {"http": one, "snmp": two}
    assert [r.value for r in (await toy.poll()).readings] == [1.0]
    toy.clock.turn(60)
    toy.answers = {"http": CollectError(Reason.HTTP_STATUS, "500"), "snmp": two}
    assert [r.value for r in (await toy.poll()).readings] == [2.0]


async def test_a_login_that_is_not_tried_says_nothing_of_the_device() -> None:
    toy = Toy(facet("a"))
    toy.answers = {"a": CollectError(Reason.AUTH_BLOCKED, "blocked"), "knock": Unreachable(Reason.REFUSED, "nobody")}
    assert not (await toy.poll()).reachable
    assert toy.asked == ["a", "knock"]
    toy.clock.turn(60)
    toy.answers = {"a": CollectError(Reason.AUTH_BLOCKED, "blocked")}
    assert (await toy.poll()).reachable, "it answers when it is asked without a credential"
    toy.answers = {"a": CollectError(Reason.AUTH, "refused")}
    toy.clock.turn(60)
    assert (await toy.poll()).reachable
    assert toy.asked == ["a"]


async def test_what_is_not_offered_is_not_shown() -> None:
    toy = Toy(facet("a"), facet("snmp"))
    toy.not_offered = {"snmp"}
    assert set((await toy.poll()).facets) == {"a"}


async def test_a_collector_that_breaks_is_an_outcome_and_not_the_end() -> None:
    toy = Toy(facet("a"))
    await toy.poll()
    toy.clock.turn(60)
    snapshot, _ = await poll(DEVICE, toy.plugin, Broken(), toy.state, Cadence(interval=60.0), toy.clock)
    assert not snapshot.reachable
    assert snapshot.facets["a"].reason == "bug"


class Broken:
    def open(self, device: Device) -> AbstractAsyncContextManager[Session]:
        raise RuntimeError("bug")
