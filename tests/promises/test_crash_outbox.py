"""Promise 4 under SIGKILL: at every transition of the outbox, in the middle of the folder desk's writing, between SMTP's DATA and its answer."""

from __future__ import annotations

import itertools
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Literal

import pytest

from agent.store.database import FILE
from tests.e2e.site import Site, simulator
from tests.promises import transitions
from tests.promises.outbox_site import RECEIVER, BrokenPromiseError, Kind, fill, outbox
from tests.support.crash import Point
from tests.support.processes import wait_for
from tests.support.promises import Tried, scale

pytestmark = pytest.mark.timeout(scale(120, 7200))
PASSED = "tests.promises.transitions:passed"


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site whose outbox is full."""
    folder: Path = tmp_path_factory.mktemp("outbox")
    with simulator(folder / "simulator.log") as fleet:
        site = Site(folder=folder, fleet=fleet)
        fill(site)
        yield site


@pytest.mark.promise(4)
@pytest.mark.parametrize(("kind", "stride"), [("folder", 131), ("ledger", 17), ("mail", 51)])
def test_a_kill_at_any_transition_of_the_outbox_leaves_one_ticket(full: Site, tried: Tried, kind: Kind, stride: int) -> None:
    """Long: each of them. Short: every so many, another one at each stop of the way."""
    kills = doubled = 0
    with outbox(full, kind) as out:
        for nth in itertools.count(1, scale(stride, 1)):
            if out.survives(Point(where=PASSED, nth=nth)):
                break
            kills += 1
            doubled += out.doubled() if kind == "mail" else 0
    assert kills
    again = f", {doubled} messages came twice, each the same bytes under the same Message-ID" if kind == "mail" else ""
    tried(f"kills at transitions of the {kind} desk's outbox{again}", kills)


@pytest.mark.promise(4)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_between_a_message_and_its_answer_leaves_one_message_id_a_step(full: Site, tried: Tried, when: Literal["before", "after"]) -> None:
    with outbox(full, "mail") as out:
        out.reset()
        messages = len(out.steps())
        chosen = range(scale(2, 1), messages + 1, scale(9, 1))
        for nth in chosen:
            out.reset()
            out.box.kill_at, out.box.when = nth, when
            assert out.run()
            assert out.box.kills == 1
            out.box.kills = out.box.kill_at = 0
            assert not out.run()
            out.check()
            assert out.doubled() in ((1,) if when == "before" else (0, 1))
    tried(f"kills {when} the relay's answer to a message", len(chosen))


FOLDER, SMTP = "exporters.tickets.folder", "aiosmtplib:SMTP"
BROKEN: dict[str, tuple[Kind, Callable[[], None], str]] = {
    "it does not look for the ticket": ("ledger", transitions.without_asking_for_the_ticket, f"{FOLDER}.desk:FolderDesk.create"),
    "it does not look for the step": ("ledger", transitions.without_asking_for_the_step, f"{FOLDER}.desk:FolderDesk.attach"),
    "it forgets at the start what was in flight": ("ledger", transitions.without_marking_what_was_in_flight, f"{FOLDER}.desk:FolderDesk.attach"),
    "it does not note what goes out": ("ledger", transitions.without_noting_it_before_it_goes_out, f"{FOLDER}.desk:FolderDesk.resolve"),
    "its Message-IDs are new at each try": ("mail", transitions.with_message_ids_by_chance, f"{SMTP}.data"),
    "its texts are new at each try": ("mail", transitions.with_a_new_text_at_each_try, f"{SMTP}.data"),
    "its files are written over": ("folder", transitions.without_replacing_files_whole, f"{FOLDER}.files:os.open"),
}


@pytest.mark.promise(4)
@pytest.mark.parametrize(("kind", "without", "where"), BROKEN.values(), ids=BROKEN.keys())
def test_a_daemon_without_one_part_of_the_reconciliation_is_found_out(full: Site, tried: Tried, kind: Kind, without: Callable[[], None], where: str) -> None:
    """The same kills and the same checks, which can fail: each of these daemons goes wrong at one of its first kills there."""
    with outbox(full, kind, without) as out:
        for nth in itertools.count(5 if kind == "folder" else 1):  # the first files can be written over: there is nothing in them yet
            try:
                survived = out.survives(Point(where=where, nth=nth, when="after"))
            except BrokenPromiseError:
                break
            assert not survived, "no kill showed that it is broken"
    tried(f"kills until a daemon was found out: {without.__name__.replace('_', ' ')}", nth)


@pytest.mark.promise(4)
@pytest.mark.parametrize(("kind", "where"), sorted({(kind, where) for kind, _, where in BROKEN.values()})[-scale(1, 9) :])
def test_the_daemon_as_it_is_stands_the_kills_by_which_the_broken_ones_are_found_out(full: Site, tried: Tried, kind: Kind, where: str) -> None:
    with outbox(full, kind) as out:
        kills = sum(1 for nth in range(1, scale(2, 5)) if not out.survives(Point(where=where, nth=nth, when="after")))
    assert kills
    tried(f"kills after {where.partition(':')[2]} of the {kind} desk", kills)


# --- restarts of another kind


@pytest.mark.promise(4)
@pytest.mark.parametrize(("kind", "stride"), [("folder", 149), ("mail", 59)])
def test_a_reload_at_any_transition_of_the_outbox_loses_nothing_and_doubles_nothing(full: Site, tried: Tried, kind: Kind, stride: int) -> None:
    reloads = 0
    for nth in itertools.count(1 + scale(4, 0), scale(stride, 1)):
        with outbox(full, kind, partial(transitions.reloading_at, nth)) as out:
            out.reset()
            with out.daemon() as daemon:
                wait_for("the outbox is quiet", out.quiet)
                if transitions.TOLD in daemon.text():
                    wait_for("it is reloaded", lambda: '"config_reloaded"' in daemon.text())
                assert daemon.stop() == 0
                told = daemon.text()
            out.check()
        if transitions.TOLD not in told:
            break
        reloads += 1
    assert reloads
    tried(f"reloads at transitions of the {kind} desk's outbox", reloads)


@pytest.mark.promise(4)
@pytest.mark.parametrize("kind", ["folder", "mail"])
def test_a_state_folder_restored_from_an_older_backup_makes_no_second_ticket(full: Site, tried: Tried, kind: Kind, tmp_path: Path) -> None:
    """The outbox is older than the desk: backups from before the first step, after the first, ..."""
    with outbox(full, kind) as out:
        out.reset()
        backups = [out.full, *(tmp_path / str(nth) for nth in range(1, len(out.steps()), scale(9, 1)))]
        for nth, backup in zip(itertools.count(1, scale(9, 1)), backups[1:], strict=False):
            out.reset()
            assert out.run(Point(where="agent.delivery.outbox:Courier._done", nth=nth, when="after"))
            shutil.copytree(full.state, backup, ignore=shutil.ignore_patterns("*.sock"))
        for backup in backups:
            out.reset()
            assert not out.run()
            out.restore(backup)
            with closing(sqlite3.connect(full.state / FILE)) as raw:
                raw.execute("DELETE FROM outbox WHERE desk != ?", (out.desk,))
                raw.commit()
            assert not out.run()
            out.check()
    tried(f"backups of different ages restored beside a {kind} desk", len(backups))


@pytest.mark.promise(4)
def test_commands_beside_a_daemon_that_is_killed_again_and_again_answer_and_disturb_nothing(full: Site, tried: Tried) -> None:
    with outbox(full, "ledger") as out:
        out.reset()
        case = out.case().id
        kills = 0
        for _ in range(scale(1, 10)):
            kills += out.run(Point(where=PASSED, nth=7))
            for command in (("list",), ("case", "list"), ("case", "show", case)):
                full.cli(*command)
            assert "the daemon does not run" in full.cli("case", "retry", case, code=1)
        out.run()
        out.check()
    tried("kills with four commands after each", kills)


def test_a_step_that_was_refused_for_good_is_shown_and_goes_out_when_a_person_says_so(full: Site) -> None:
    with outbox(full, "mail") as out:
        out.reset()
        case = out.case().id
        out.box.kept.rcpt[RECEIVER] = "550 5.1.1 no such user"
        with out.daemon() as daemon:
            wait_for("the report is given up", out.quiet)
            wait_for("it is counted", lambda: 'latarnik_ticket_steps_dead{desk="mail"} 1' in full.metrics())
            assert "nothing was given up" not in full.cli("case", "retry", case)
            wait_for("it is given up again", lambda: daemon.text().count('"step_given_up"') == 2)
            out.box.kept.rcpt.clear()
            assert full.cli("case", "retry", case) == f"{case}: create is sent to mail again.\n"
            wait_for("all of it is delivered", out.quiet)
            wait_for("none is counted", lambda: 'latarnik_ticket_steps_dead{desk="mail"} 0' in full.metrics())
            assert full.cli("case", "retry", case) == f"{case}: nothing was given up.\n"
            assert "no case 'nonsense'" in full.cli("case", "retry", "nonsense", code=1)
        out.check()
        assert out.doubled() == 0
