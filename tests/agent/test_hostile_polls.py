"""A device of which some paths hang: they cost themselves alone, and the whole poll is bounded."""

from __future__ import annotations

import asyncio

import pytest

from agent.errors import Reason, Unreachable
from agent.model import FacetStatus
from agent.polling import state
from agent.polling.state import POLL_TIMEOUT, SHORTEST_LIMIT, Cadence
from tests.agent.test_poller import Toy, facet, values

SILENT = Unreachable(Reason.TIMEOUT, "no answer", sent=True)
CLOSED = Unreachable(Reason.TIMEOUT, "no connection")


async def test_one_path_that_hangs_costs_its_own_facet_also_when_it_is_asked_first() -> None:
    toy = Toy(facet("a", account=""), facet("b", account=""), facet("c"))
    for trouble in (SILENT, Unreachable(Reason.RESET, "gone", sent=True)):
        toy.answers = {"a": trouble}
        assert values(await toy.poll()) == {"b": 1.0, "c": 1.0}
        toy.clock.turn(60)


async def test_two_paths_that_hang_are_a_device_that_hangs() -> None:
    toy = Toy(facet("a", account=""), facet("b", account=""), facet("c", account=""), facet("d"))
    toy.answers = {"a": SILENT, "b": SILENT}
    snapshot = await toy.poll()
    assert toy.asked == ["a", "b"]
    assert not snapshot.reachable


async def test_where_no_connection_is_made_nothing_else_is_asked() -> None:
    toy = Toy(facet("a", account=""), facet("b", account=""))
    toy.answers = {"a": CLOSED}
    await toy.poll()
    assert toy.asked == ["a"]


@pytest.mark.promise(1)
async def test_no_login_is_tried_where_nothing_has_answered_yet() -> None:
    for first in ("", "http"):
        toy = Toy(facet("a", account=first), facet("b"), facet("c"))
        toy.answers = {"a": SILENT}
        snapshot = await toy.poll()
        assert toy.asked == ["a"]
        assert all(snapshot.facets[name].reason == Reason.TIMEOUT for name in "abc")


async def test_what_hung_is_asked_last_the_next_time_but_for_what_others_wait_for() -> None:
    toy = Toy(facet("use", decides_use=True), facet("first"), facet("hangs"), facet("replaced"), facet("instead", fallback_for="replaced"), facet("last"))
    toy.answers = dict.fromkeys(("use", "hangs", "replaced"), SILENT) | {"first": 1.0}
    toy.answers["use"] = 1.0
    await toy.poll()
    assert toy.asked == ["use", "first", "hangs", "replaced", "instead", "last"]
    toy.clock.turn(60)
    await toy.poll()
    assert toy.asked == ["use", "first", "replaced", "instead", "last", "hangs"]
    toy.answers = {}
    toy.clock.turn(60)
    await toy.poll()
    toy.clock.turn(60)
    await toy.poll()
    assert toy.asked == ["use", "first", "hangs", "replaced", "last"], "it answered: it has its place again"


async def test_a_poll_that_is_cut_off_was_not_long_enough_for_what_hangs_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The facets behind one that hangs for the whole poll are read in the next one."""
    monkeypatch.setattr(state, "SHORTEST_LIMIT", 0.05)

    async def hang(_client: object) -> None:
        await asyncio.Event().wait()

    toy = Toy(facet("a"), facet("hangs", fetch=hang), facet("b"))
    first = await toy.poll(interval=0.001)
    assert first.facets["a"].status is FacetStatus.OK
    assert "b" not in values(first)
    toy.clock.turn(60)
    snapshot = await toy.poll(interval=0.001)
    assert values(snapshot) == {"a": 1.0, "b": 1.0}
    assert snapshot.facets["hangs"].reason == Reason.TIMEOUT


@pytest.mark.promise(5)
@pytest.mark.parametrize(("interval", "missed", "limit"), [(60.0, 3, POLL_TIMEOUT), (20.0, 3, 40.0), (2.0, 3, SHORTEST_LIMIT), (600.0, 1, SHORTEST_LIMIT)])
def test_a_poll_ends_before_the_values_of_the_one_before_count_as_old(interval: float, missed: int, limit: float) -> None:
    assert Cadence(interval=interval, missed=missed).limit == limit
