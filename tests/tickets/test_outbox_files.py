"""The outbox and the files of an attachment: all are there and ours, or a person must look."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agent.delivery.outbox import Courier
from agent.model import Artifact, StepKind, StepState
from agent.store import queries
from agent.store.database import open_store
from exporters.tickets.folder.desk import FolderDesk
from tests.support.clock import TurnedClock
from tests.tickets.adapters.folder import held_ticket
from tests.tickets.samples import CASE, artifact, step


async def delivered(tmp_path: Path, files: tuple[Artifact, ...]) -> queries.Queued:
    """The state of an attachment's step after the courier took the ticket and it to a folder desk."""
    clock = TurnedClock()
    attach = replace(step(StepKind.ATTACH, 2, files=(artifact(tmp_path / "evidence"),)), artifacts=files)
    with open_store(tmp_path / "state") as store:
        await store.run(lambda c: queries.add_step(c, step(StepKind.CREATE, 1), now=clock.now()))
        await store.run(lambda c: queries.add_step(c, attach, now=clock.now()))
        courier = Courier(
            "helpdesk",
            FolderDesk(tmp_path / "tickets", clock),
            store=store,
            clock=clock,
            evidence_root=tmp_path / "evidence",
            delivered=lambda _desk, _result: None,
            settled=lambda *_: None,
            taken=lambda _step: None,
        )
        await courier.once()
        queued = await store.run(lambda c: queries.queued(c, case=CASE.id, states=list(StepState)))
    assert queued[0].state is StepState.DONE
    return queued[1]


async def test_all_files_of_a_step_survive_the_store_and_reach_the_desk(tmp_path: Path) -> None:
    files = tuple(artifact(tmp_path / "evidence" / CASE.id, name.encode(), name=name) for name in ("a.log", "b.log", "c.log"))
    done = await delivered(tmp_path, files)
    assert (done.state, done.step.artifacts) == (StepState.DONE, files)
    assert [content for _, content in held_ticket(tmp_path / "tickets" / CASE.id).attachments] == [b"a.log", b"b.log", b"c.log"]


@pytest.mark.parametrize("wrong", ["gone", "elsewhere", "a link that leads out", "no file at all"])
async def test_a_file_that_is_gone_or_not_ours_ends_the_step_and_nothing_of_it_is_attached(tmp_path: Path, wrong: str) -> None:
    good, bad = (artifact(tmp_path / "evidence" / CASE.id, content) for content in (b"good", b"bad"))
    outside = artifact(tmp_path / "private", b"bad")
    if wrong != "elsewhere":
        bad.path.unlink()
    if wrong == "a link that leads out":
        bad.path.symlink_to(outside.path)
    files = () if wrong == "no file at all" else (good, outside if wrong == "elsewhere" else bad)
    dead = await delivered(tmp_path, files)
    assert dead.state is StepState.DEAD
    assert dead.last_error.startswith("no_file: ")
    assert held_ticket(tmp_path / "tickets" / CASE.id).attachments == ()
