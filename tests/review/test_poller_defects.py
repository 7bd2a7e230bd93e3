"""Defects of one pass over a device, one test each: an old answer that stays, and a blind day."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agent.errors import NotSupported, Reason, Unreachable
from agent.model import FacetStatus
from agent.ports import FacetData
from tests.agent.test_poller import Toy, facet, values


def hanging(toy: Toy, name: str, **changes: Any) -> Any:
    """A facet whose answer trickles in for ever while `name` is in `toy.answers['hang']`."""

    async def fetch(client: Toy) -> Any:
        client.asked.append(name)
        if name in client.answers.get("hang", ()):
            await asyncio.Event().wait()
        return client.answers.get(name, 1.0)

    return facet(name, fetch=fetch, **changes)


async def test_the_facet_on_which_a_poll_hung_is_failed_and_its_old_value_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.polling.state.POLL_TIMEOUT", 0.05)
    toy = Toy()
    toy.plugin = _with(toy, facet("first"), hanging(toy, "second"))
    await toy.poll()
    toy.clock.turn(60)
    toy.answers["hang"] = ("second",)
    snapshot = await toy.poll()
    assert snapshot.reachable
    assert snapshot.facets["second"].status is FacetStatus.FAILED
    assert values(snapshot) == {"first": 1.0}


async def test_use_is_unknown_when_the_poll_ended_before_it_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Promise 3: unknown counts as in use, so no log bundle is packed now."""
    monkeypatch.setattr("agent.polling.state.POLL_TIMEOUT", 0.05)
    toy = Toy()
    toy.plugin = _with(toy, facet("first"), hanging(toy, "use", decides_use=True))
    toy.answers["use"] = FacetData(in_use=False)
    assert (await toy.poll()).in_use is False
    toy.clock.turn(60)
    toy.answers["hang"] = ("use",)
    snapshot = await toy.poll()
    assert snapshot.reachable
    assert snapshot.in_use is None


async def test_one_404_of_a_device_that_is_starting_does_not_blind_us_for_a_day() -> None:
    """A web server that is coming up answers 404 for what it serves a minute later (promise 7: a published worst-case detection time)."""
    toy = Toy(facet("identity"), facet("storage"))
    await toy.poll()
    down = Unreachable(Reason.REFUSED, "refused")
    for identity, storage in ((down, down), (1.0, NotSupported("GET /disks answered 404")), (1.0, 1.0)):
        toy.clock.turn(60)
        toy.answers["identity"], toy.answers["storage"] = identity, storage
        await toy.poll()
    for _ in range(60):
        toy.clock.turn(60)
        snapshot = await toy.poll()
    assert snapshot.facets["storage"].status is FacetStatus.OK


def _with(toy: Toy, *facets: Any) -> Any:
    return Toy(*facets).plugin
