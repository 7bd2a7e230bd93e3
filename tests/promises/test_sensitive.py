"""Promise 9: what else a device writes into its report is handled as the desk's policy says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.model import Desk, StepKind, StepState
from agent.store import queries
from tests.agent.test_watch import Toy, plans, site
from tests.support.clock import TurnedClock

__all__ = ["plans"]  # a fixture


@pytest.mark.promise(9)
async def test_a_desk_that_takes_no_sensitive_files_is_told_their_names_and_sums_and_no_more(tmp_path: Path, plans: Any) -> None:
    toy, clock = Toy(), TurnedClock()
    ours, cloud = Desk(name="ours", type="folder"), Desk(name="cloud", type="folder", language="pl", sensitive=False)
    with site(tmp_path, plans, toy, clock, desks=(ours, cloud)) as here:
        await here.polls(2)
        toy.lamp = "out"
        await here.polls(6)
        (case,) = await here.cases()
        queued = await here.store.run(lambda c: queries.queued(c, states=list(StepState)))
    sent = {desk: [a.name for q in queued if q.step.desk == desk for a in q.step.artifacts] for desk in ("ours", "cloud")}
    assert sorted(sent["ours"]) == ["bundle.tar", "latarnik-view.json", "status.txt"]
    assert sent["cloud"] == ["latarnik-view.json"]
    (told,) = [q.step.draft.body for q in queued if q.step.desk == "cloud" and q.step.kind is StepKind.COMMENT]
    for artifact in case.evidence:
        assert (artifact.name in told and artifact.sha256 in told) is artifact.sensitive
    assert f"evidence/{case.id}" in told
    assert not [q for q in queued if q.step.desk == "ours" and q.step.kind is StepKind.COMMENT]
