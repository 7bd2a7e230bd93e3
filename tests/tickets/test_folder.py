"""The folder desk beyond the contract: kills at every system call, people's own edits, damage."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from agent.errors import DeskError
from agent.model import Step, StepKind, TicketRef
from agent.ports import SystemClock
from exporters.tickets.folder.desk import FolderDesk, FolderSettings, folder_name
from tests.contract.desks import deliver
from tests.tickets.adapters.folder import held_ticket
from tests.tickets.samples import CASE, artifact, step

REF = TicketRef(ref=CASE.id)
CREATE = step(StepKind.CREATE, 1)


class Killed(BaseException):
    """The process is gone: nothing after this runs, not even an error's clean-up."""


class KillingSystem:
    """The module `os`, in which the n-th system call that changes anything is the last; a write may get half-way."""

    CALLS = frozenset({"open", "write", "fsync", "replace", "mkdir"})

    def __init__(self, last: int, *, after: bool) -> None:
        self.left, self.after = last, after

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        return self._counted(name, real) if name in self.CALLS else real

    def _counted(self, name: str, real: Any) -> Any:
        def call(*args: Any) -> Any:
            self.left -= 1
            if self.left > 0:
                return real(*args)
            if self.left == 0:
                if name == "write":
                    real(args[0], bytes(args[1])[: len(args[1]) // 2])
                elif self.after and name != "open":
                    real(*args)
            raise Killed

        return call


def desk_in(folder: Path) -> FolderDesk:
    return FolderDesk(folder, SystemClock())


def steps_of(tmp_path: Path) -> list[Step]:
    files = tuple(artifact(tmp_path / "evidence", os.urandom(size), name=f"{size}.bin") for size in (3000, 1, 500))
    return [
        CREATE,
        step(StepKind.ATTACH, 2, files=files, note="Raport."),
        step(StepKind.COMMENT, 3, note="Uzupełniono."),
        step(StepKind.RESOLVE, 4, note="Działa."),
        step(StepKind.REOPEN, 5, note="Wróciło."),
    ]


@pytest.mark.parametrize("after", [False, True], ids=["before the call", "after the call"])
@pytest.mark.parametrize("which", range(5), ids=["create", "attach", "comment", "resolve", "reopen"])
async def test_a_kill_at_any_system_call_leaves_the_old_ticket_or_the_new_one_and_the_next_try_ends_it(
    which: int, after: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = steps_of(tmp_path)
    current = steps[which]
    kills = 0
    while True:
        path = tmp_path / str(kills)
        for earlier in steps[:which]:
            await deliver(desk_in(path), earlier)
        before = held_ticket(path / CASE.id) if which else None
        with monkeypatch.context() as patch:
            patch.setattr("exporters.tickets.folder.files.os", KillingSystem(kills + 1, after=after))
            try:
                await deliver(desk_in(path), current)
                break
            except Killed:
                kills += 1
        counted = await desk_in(path).has_step(current, REF)
        if counted:
            assert json.loads((path / CASE.id / "ticket.json").read_text("utf-8"))["steps"][-1]["id"] == current.id
        elif before:
            assert json.loads((path / CASE.id / "ticket.json").read_text("utf-8"))["steps"][-1]["id"] == steps[which - 1].id
        for again in steps[which:]:
            await deliver(desk_in(path), again)
        held = held_ticket(path / CASE.id)
        assert [text.split() for text in held.texts] == [told.draft.body.split() for told in steps]
        assert [content for _, content in held.attachments] == [file.path.read_bytes() for file in steps[1].artifacts]
        assert not list(path.rglob("*.part")), "nothing half-written is left"
    assert kills >= 8


async def test_the_raw_calls_are_harmless_the_second_time(tmp_path: Path) -> None:
    desk, attach = desk_in(tmp_path / "t"), steps_of(tmp_path)[1]
    resolve, reopen = step(StepKind.RESOLVE, 3, note="Działa."), step(StepKind.REOPEN, 4, note="Wróciło.")
    for _ in range(2):
        await desk.create(CREATE)
        await desk.attach(attach, REF)
        await desk.resolve(resolve, REF)
        await desk.reopen(reopen, REF)
    held = held_ticket(tmp_path / "t" / CASE.id)
    assert len(held.texts) == 4
    assert held.resolved is False, "an old resolve that comes again does not close what was opened after it"


async def test_the_ticket_says_which_file_came_with_which_step_and_keeps_the_whole_list(tmp_path: Path) -> None:
    first, second, third = (artifact(tmp_path / "evidence", name.encode(), name=name) for name in ("a.log", "b.log", "c.log"))
    case = replace(CASE, evidence=(first, second, third))
    desk = desk_in(tmp_path)
    await desk.create(CREATE)
    await desk.attach(step(StepKind.ATTACH, 2, case=case, files=(first, second)), REF)
    await desk.attach(step(StepKind.ATTACH, 3, case=case, files=(third,)), REF)
    ticket = json.loads((tmp_path / CASE.id / "ticket.json").read_text("utf-8"))
    assert [[file["name"] for file in entry["attachments"]] for entry in ticket["steps"]] == [[], ["a.log", "b.log"], ["c.log"]]
    assert ticket["steps"][2]["attachments"] == [
        {"file": f"attachments/{third.sha256[:16]}-c.log", "name": "c.log", "media_type": third.media_type, "size": 5, "sha256": third.sha256}
    ]
    assert [file["name"] for file in ticket["fields"]["evidence"]] == ["a.log", "b.log", "c.log"]
    assert [file["name"] for file in ticket["fields"]["attached"]] == ["c.log"]
    text = (tmp_path / CASE.id / "ticket.txt").read_text("utf-8")
    assert f"\n\n-> attachments/{first.sha256[:16]}-a.log\n-> attachments/{second.sha256[:16]}-b.log\n\n========" in text


async def test_a_step_that_fails_at_its_second_file_leaves_no_file_but_those_of_other_steps(tmp_path: Path) -> None:
    shared, fresh, changed = (artifact(tmp_path / "evidence", content) for content in (b"shared", b"fresh", b"changed"))
    desk = desk_in(tmp_path)
    await desk.create(CREATE)
    await desk.attach(step(StepKind.ATTACH, 2, files=(shared,)), REF)
    changed.path.write_bytes(b"Changed")
    with pytest.raises(DeskError, match="evidence"):
        await desk.attach(step(StepKind.ATTACH, 3, files=(shared, fresh, changed)), REF)
    assert [content for _, content in held_ticket(tmp_path / CASE.id).attachments] == [b"shared"]


async def test_a_ticket_can_be_opened_where_its_url_says_and_only_the_group_reads_it(tmp_path: Path) -> None:
    ref = await desk_in(tmp_path / "tickets dir").create(CREATE)
    folder = tmp_path / "tickets dir" / CASE.id
    assert ref == TicketRef(ref=CASE.id, url=folder.as_uri())
    for path in (folder, *folder.iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) & 0o007 == 0


async def test_what_people_write_into_the_text_stays(tmp_path: Path) -> None:
    desk = desk_in(tmp_path)
    await desk.create(CREATE)
    text = tmp_path / CASE.id / "ticket.txt"
    text.write_text(text.read_text("utf-8") + "\nAnna: zamówiłam kuriera, zażółć\n", "utf-8")
    await desk.comment(step(StepKind.COMMENT, 2, note="Uzupełniono."), REF)
    assert "Anna: zamówiłam kuriera, zażółć\n\n======== LK-000042.helpdesk.2 comment " in text.read_text("utf-8")


async def test_no_line_of_a_text_can_pass_for_a_section(tmp_path: Path) -> None:
    desk = desk_in(tmp_path)
    sly = f"======== {CASE.id}.helpdesk.2 comment 2026-11-21T10:16:00+01:00 ========"
    await desk.create(replace(CREATE, draft=replace(CREATE.draft, body=f"a\n{sly}\nb\x85{sly}\n", subject=f"x\n{sly}")))
    await desk.comment(step(StepKind.COMMENT, 2, note="Uzupełniono."), REF)
    text = (tmp_path / CASE.id / "ticket.txt").read_text("utf-8")
    assert text.count("\n========") == 1
    assert "Uzupełniono." in text


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"case": 1}', '{"case": "c", "key": "k", "state": "open", "steps": [1]}', "\x00\xff"])
async def test_a_damaged_ticket_is_named_and_left_as_it_is(content: str, tmp_path: Path) -> None:
    desk = desk_in(tmp_path)
    await desk.create(CREATE)
    path = tmp_path / CASE.id / "ticket.json"
    path.write_bytes(content.encode("latin-1"))
    for call in (desk.find(CASE.key, CASE.id), desk.has_step(CREATE, REF), desk.create(CREATE), desk.comment(step(StepKind.COMMENT, 2, note="x"), REF)):
        with pytest.raises(DeskError, match=r"ticket\.json") as caught:
            await call
        assert (caught.value.reason, caught.value.retryable, caught.value.unknown) == ("damaged", False, False)
    assert path.read_bytes() == content.encode("latin-1")


async def test_another_fault_under_the_same_case_is_refused(tmp_path: Path) -> None:
    desk = desk_in(tmp_path)
    await desk.create(CREATE)
    stranger = step(StepKind.CREATE, 1, case=replace(CASE, key="other/key"))
    with pytest.raises(DeskError, match="another ticket") as caught:
        await desk.create(stranger)
    assert caught.value.retryable is False
    assert await desk.has_step(stranger, REF) is False


async def test_a_step_for_a_ticket_that_was_moved_away_says_so(tmp_path: Path) -> None:
    with pytest.raises(DeskError, match="put it back") as caught:
        await desk_in(tmp_path).comment(step(StepKind.COMMENT, 2, note="x"), REF)
    assert (caught.value.reason, caught.value.retryable) == ("no_ticket", False)


async def test_a_parent_that_does_not_exist_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(DeskError, match="a folder that exists") as caught:
        await desk_in(tmp_path / "no" / "such").self_check()
    assert caught.value.retryable is True


async def test_a_name_too_long_for_the_disk_is_final(tmp_path: Path) -> None:
    with pytest.raises(DeskError) as caught:
        await desk_in(tmp_path).create(step(StepKind.CREATE, 1, case=replace(CASE, id="L" * 300)))
    assert caught.value.retryable is False


def test_no_two_cases_share_a_folder_and_none_leaves_its_place() -> None:
    cases = ["a", "A", ".", "..", "%2E", "%2E.", "a/b", "a%2Fb", "../a", "", "%", "a b", "ą", "a\n", ".a", "%2Ea"]
    names = [folder_name(case) for case in cases]
    assert len(set(names)) == len(names)
    for name in names:
        assert name not in {"", ".", ".."}
        assert "/" not in name
        assert not name.startswith(".")


def test_a_key_of_the_settings_that_is_not_known_is_refused() -> None:
    with pytest.raises(ValidationError, match="paht"):
        FolderSettings.model_validate({"path": "tickets", "paht": "x"})
