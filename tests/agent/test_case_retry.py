"""A report that a desk refused for good, and a person who mended the reason: nothing that the desk missed is left out, and nothing is said twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.model import Step, StepKind, StepState
from agent.polling import casework
from agent.store import queries
from tests.agent.test_watch import Site, Toy, plans, site
from tests.support.clock import TurnedClock

__all__ = ["plans"]


async def dead(here: Site, *kinds: StepKind) -> None:
    """The desk refuses these steps for good."""
    for item in await here.store.run(lambda c: queries.queued(c, desk="box")):
        if item.step.kind in kinds:
            await here.store.run(lambda c, step=item.step: queries.set_step(c, step.id, StepState.DEAD, error="auth: wrong password"))  # type: ignore[misc] # bound at once


async def retry(here: Site, case: str) -> list[Step]:
    return await here.store.run(lambda c: casework.retry(c, here.watch.rules, case, here.clock.now()))


async def broken(here: Site, toy: Toy) -> str:
    """A case whose report was refused before its evidence was there; its id."""
    await here.polls(3)
    toy.lamp, toy.in_use = "out", None
    await here.polls(3)
    (case,) = await here.cases()
    await dead(here, StepKind.CREATE, StepKind.ATTACH)
    await here.store.run(lambda c: c.exec_driver_sql("DELETE FROM outbox WHERE kind = 'attach'"))
    return case.id


async def test_files_that_came_while_the_report_was_given_up_follow_it(tmp_path: Path, plans: Any) -> None:
    toy = Toy()
    with site(tmp_path, plans, toy, TurnedClock()) as here:
        case = await broken(here, toy)
        toy.in_use = False
        await here.polls(2)
        (found,) = await here.cases()
        assert found.evidence_state == "done"
        assert [step for step in await here.steps() if step[0] == "attach"] == [], "a desk that refused the report is told nothing more"
        assert [step.kind for step in await retry(here, case)] == [StepKind.CREATE]
        assert await here.steps() == [("create", "unknown"), ("attach", "pending")]
        items = await here.store.run(lambda c: queries.queued(c, desk="box"))
        assert [a.name for item in items for a in item.step.artifacts] == [a.name for a in found.evidence]
        assert await retry(here, case) == [], "what is on its way is not revived again"


async def test_a_recovery_that_came_meanwhile_is_told_after_the_report(tmp_path: Path, plans: Any) -> None:
    toy = Toy()
    with site(tmp_path, plans, toy, TurnedClock()) as here:
        case = await broken(here, toy)
        toy.lamp, toy.in_use = "on", False
        await here.polls(8)
        assert (await here.cases())[0].state == "recovered"
        assert [kind for kind, _ in await here.steps()] == ["create"]
        await retry(here, case)
        assert [kind for kind, _ in await here.steps()] == ["create", "attach", "resolve"]


async def test_a_report_in_whose_place_a_newer_one_stands_stays_given_up(tmp_path: Path, plans: Any) -> None:
    toy = Toy()
    with site(tmp_path, plans, toy, TurnedClock()) as here:
        case = await broken(here, toy)
        for lamp, count in (("on", 8), ("out", 6)):
            toy.lamp = lamp
            await here.polls(count)
        assert [step for step in await here.steps() if step[0] == "create"] == [("create", "dead"), ("create", "pending")]
        assert await retry(here, case) == []


async def test_a_single_step_that_was_given_up_is_revived_alone(tmp_path: Path, plans: Any) -> None:
    toy = Toy()
    with site(tmp_path, plans, toy, TurnedClock()) as here:
        await here.polls(3)
        toy.lamp = "out"
        await here.polls(6)
        (case,) = await here.cases()
        before = await here.steps()
        await dead(here, StepKind.ATTACH)
        assert [step.kind for step in await retry(here, case.id)] == [StepKind.ATTACH]
        assert [kind for kind, _ in await here.steps()] == [kind for kind, _ in before]
        with pytest.raises(KeyError):
            await retry(here, "nonsense")
