"""A site server in trouble: killed in the middle of a case, its disk full, its database out of reach, its clock set, its configuration wrong."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.store.database import FILE
from tests.e2e.site import FAST_FAULTS, Simulator, Site, attached, entry, simulator
from tests.promises import troubles
from tests.promises.troubles import Trouble
from tests.support.crash import Forked, Point, forked
from tests.support.processes import events, get, wait_for
from tests.support.promises import Tried, scale

pytestmark = pytest.mark.timeout(scale(180, 7200))

DEVICE = "spare-2"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with simulator(tmp_path_factory.mktemp("fleet") / "simulator.log") as running:
        yield running


@pytest.fixture
def site(fleet: Simulator, tmp_path: Path) -> Iterator[Site]:
    """A site with one camera, which is mended at the end."""
    made = Site(folder=tmp_path, fleet=fleet)
    made.write([entry(fleet, DEVICE)])
    yield made
    broken(made, on=False)


def broken(site: Site, *, on: bool) -> None:
    site.fleet.switch(DEVICE, "sd_failed", on=on)


@contextmanager
def watching(site: Site, *points: Point, prepare: tuple[Callable[[], None], ...] = ()) -> Iterator[Forked]:
    with forked(site.config, site.log, *points, prepare=prepare) as daemon:
        daemon.ready()
        yield daemon


def rows(site: Site, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"file:{site.state / FILE}?mode=ro", uri=True, timeout=20)) as raw:
        return raw.execute(query).fetchall()


def delivered(site: Site) -> bool:
    """The case is there, its evidence was fetched, and all of it has gone to the desk."""
    cases = [json.loads(value) for (value,) in rows(site, "SELECT value FROM cases")]
    return [case["evidence_state"] for case in cases] == ["done"] and {state for (state,) in rows(site, "SELECT state FROM outbox")} == {"done"}


def one_whole_ticket(site: Site) -> dict[str, Any]:
    """Promise 4, as a person finds it at the folder desk."""
    ticket = site.ticket(DEVICE)
    assert [step["kind"] for step in ticket["steps"]].count("create") == 1
    assert len({step["id"] for step in ticket["steps"]}) == len(ticket["steps"])
    ((case,),) = rows(site, "SELECT value FROM cases")
    assert sorted(attached(ticket)) == sorted(artifact["name"] for artifact in json.loads(case)["evidence"])
    assert "serverreport.zip" in attached(ticket)
    assert sum(len(step["attachments"]) for step in ticket["steps"]) == len(attached(ticket)), "every file once"
    assert rows(site, "SELECT key FROM incidents WHERE state != 'closed' GROUP BY key HAVING count(*) > 1") == []
    assert rows(site, "PRAGMA integrity_check") == [("ok",)]
    return ticket


def value(site: Site, series: str) -> float | None:
    """One value of `/metrics`."""
    found = re.search(rf"^{re.escape(series)} (\S+)$", site.metrics(), re.MULTILINE)
    return float(found[1]) if found else None


# --- killed


LIFE = {
    "the evidence being noted": "agent.polling.casework:add_evidence",
    "a transaction": "agent.store.database:Store._run",
    "an item of evidence": "agent.diagnosis.evidence:_fetch",
    "the case being opened": "agent.polling.casework:open_for",
}


@pytest.mark.promise(4)
@pytest.mark.parametrize(("what", "where"), list(LIFE.items())[: scale(2, 4)], ids=list(LIFE)[: scale(2, 4)])
def test_a_kill_in_the_middle_of_a_case_leaves_one_ticket_with_every_file_once(site: Site, tried: Tried, what: str, where: str) -> None:
    """From the first poll that sees the fault until the last file is at the desk."""
    with watching(site):
        site.healthy(DEVICE)
    before = site.folder / "before"
    shutil.copytree(site.state, before, ignore=shutil.ignore_patterns("*.sock"))
    broken(site, on=True)
    quickly = [troubles.with_short_pauses]
    kills = 0
    for turn in itertools.count():
        nth = (scale(7, 1) if where.endswith("_run") else 1) + turn // 2
        shutil.rmtree(site.state)
        shutil.copytree(before, site.state)
        shutil.rmtree(site.folder / "tickets", ignore_errors=True)
        with forked(site.config, site.log, Point(where=where, nth=nth, when="after" if turn % 2 else "before"), prepare=quickly) as daemon:
            wait_for("it is killed, or all is delivered", lambda: daemon.process.exitcode is not None or delivered(site), 60)
            killed = daemon.process.exitcode is not None
            assert daemon.process.exitcode in (None, -signal.SIGKILL), daemon.text()[-3000:]
            daemon.kill()
        if killed:
            kills += 1
            with forked(site.config, site.log, prepare=quickly) as daemon:
                wait_for("all is delivered", lambda: delivered(site), 60)
                daemon.kill()
        one_whole_ticket(site)
        if not killed or kills >= scale(1, 1000):
            break
    assert kills
    tried(f"kills around {what} while a case is made", kills)


@pytest.mark.promise(4)
def test_a_database_restored_from_before_the_case_makes_no_second_ticket_of_it(site: Site) -> None:
    with watching(site):
        site.healthy(DEVICE)
    before = site.folder / "before"
    shutil.copytree(site.state, before, ignore=shutil.ignore_patterns("*.sock"))
    broken(site, on=True)
    with watching(site) as daemon:
        wait_for("the ticket is whole", lambda: delivered(site), 60)
        daemon.kill()
    first = one_whole_ticket(site)
    shutil.rmtree(site.state)
    shutil.copytree(before, site.state)
    with watching(site):
        wait_for("the case is made again", lambda: delivered(site), 60)
    again = site.ticket(DEVICE)
    assert again["case"] == first["case"]
    assert [step["kind"] for step in again["steps"]].count("create") == 1


# --- disk and database


TROUBLES: dict[str, tuple[Trouble, str]] = {
    "disk full": (troubles.full_disk, "full"),
    "no file may grow": (troubles.no_file_grows, ""),
    "database read-only": (troubles.read_only, ""),
    "database locked by another process": (troubles.locked, "locked"),
}


@pytest.mark.promise(4)
@pytest.mark.parametrize(("trouble", "says"), TROUBLES.values(), ids=TROUBLES.keys())
def test_while_nothing_can_be_written_it_polls_on_and_says_so_and_then_makes_the_ticket(
    site: Site, tried: Tried, trouble: Trouble, says: str, request: pytest.FixtureRequest
) -> None:
    """A reload in the middle of it does not end it either."""
    on_its_own = trouble is troubles.full_disk
    with troubles.small_disk(site.state) if on_its_own else nullcontext(), forked(site.config, site.log) as daemon:
        daemon.ready()
        site.healthy(DEVICE)
        pid = daemon.process.pid
        assert pid is not None
        with trouble(site.state, pid):
            broken(site, on=True)
            site.polls(DEVICE, count=scale(3, 20))
            assert site.devices()[DEVICE]["up"]
            assert get(f"http://127.0.0.1:{site.listen}/-/healthy")
            assert site.tickets() == []
            if trouble is not troubles.no_file_grows:  # its log is a file as well
                wait_for("it says so", lambda: '"database_not_usable"' in daemon.text())
                assert says in daemon.text()
            _signal(daemon, signal.SIGHUP)
            if trouble is not troubles.no_file_grows:
                wait_for("it has closed", lambda: '"not_started_again"' in daemon.text() or daemon.text().count('"watching"') == 2, 90)
        wait_for("the ticket is whole", lambda: delivered(site), 90)
        one_whole_ticket(site)
        wait_for("it polls", lambda: site.devices()[DEVICE]["up"])
        said = [event["event"] for event in events(site.log)]
        assert said.count("database_not_usable") <= 8, "an outage is a few lines, not one a poll"
        assert not [event for event in said if event.startswith("bug_")]
        assert daemon.stop() == 0
    tried(f"outages: {request.node.callspec.id}", 1)


def test_a_state_folder_that_cannot_be_written_is_said_at_the_start(site: Site) -> None:
    site.state.mkdir()
    with _unwritable(site.state), forked(site.config, site.log) as daemon:
        daemon.process.join(30)
        assert daemon.process.exitcode == 1
        assert "is not writable for this user" in daemon.text()
        assert "Traceback" not in daemon.text()


# --- the clock


@pytest.mark.promise(4)
@pytest.mark.promise(5)
@pytest.mark.parametrize("days", [-1.0, 9 * 365.0, 1.0][: scale(2, 3)])
def test_a_clock_that_is_set_neither_stops_the_polls_nor_holds_up_a_ticket(site: Site, tried: Tried, days: float) -> None:
    """Set while a fault is suspected, while a ticket waits for its desk, and while a fault is seen to be gone."""
    slow = {**FAST_FAULTS, "axis.storage.failed": {"hits": 2, "misses": 2, "hold": "3s", "clear": "3s"}}
    # By a clock that is years ahead these are true faults.
    slow |= {code: {"ticket": False} for code in ("axis.application.license", "axis.certificate.*", "axis.clock.*")}
    desk = {"helpdesk": {"type": "folder", "path": "later/tickets", "language": "en"}}
    site.write([entry(site.fleet, DEVICE)], faults=slow, desks=desk)
    offset = site.folder / "offset"
    offset.write_text("0")
    sets = itertools.count(1)

    def set_clock() -> None:
        (new := offset.with_suffix(".new")).write_text(str(next(sets) * days * 86400))
        new.rename(offset)

    with watching(site, prepare=(partial(troubles.with_a_clock_that_is_set, offset),)) as daemon:
        site.healthy(DEVICE)
        broken(site, on=True)
        wait_for("the fault is suspected", lambda: rows(site, "SELECT 1 FROM incidents WHERE state = 'suspected'"))
        set_clock()
        wait_for("the desk is tried", lambda: rows(site, "SELECT 1 FROM outbox WHERE attempts > 0"), 60)
        opened = datetime.fromisoformat(json.loads(rows(site, "SELECT value FROM cases")[0][0])["opened_at"])
        assert abs(opened - datetime.now(UTC) - timedelta(days=days)) < timedelta(hours=1), "times are those of the wall clock"
        set_clock()
        (site.folder / "later").mkdir()
        wait_for("the ticket is written", lambda: delivered(site) and bool(_kinds(site)), 60)
        assert (site.folder / "later" / "tickets").is_dir()
        broken(site, on=False)
        wait_for("it is seen to be gone", lambda: rows(site, "SELECT 1 FROM incidents WHERE json_extract(value, '$.gone_since') IS NOT NULL"))
        set_clock()
        wait_for("it is resolved", lambda: "resolve" in _kinds(site), 60)
        site.polls(DEVICE, count=3)
        assert get(f"http://127.0.0.1:{site.listen}/-/healthy")
        assert daemon.stop() == 0
        assert '"polls_missed"' not in daemon.text()
        assert '"bug_' not in daemon.text()
    tried(f"times that the clock was set by {days:g} days", 3)


# --- the configuration


@pytest.mark.promise(4)
def test_a_configuration_that_is_wrong_or_cannot_be_put_to_work_changes_nothing(site: Site, tried: Tried) -> None:
    good = site.config.read_text()
    taken = socket.create_server(("127.0.0.1", 0))
    secret, gone = site.folder / "cameras.password", site.folder / "gone"

    def changed(**more: Any) -> str:
        return yaml.safe_dump(site.document | more, allow_unicode=True)

    wrong: dict[str, str | None] = {
        "cut off in the middle": good[: len(good) // 2] + '\n  "',
        "a key that does not exist": good + "colour: blue\n",
        "a secret that is gone": good,
        "no file at all": None,
        "an address that is taken": changed(listen=f"127.0.0.1:{taken.getsockname()[1]}"),
        "a state folder that cannot be": changed(state_dir=str(site.config / "state")),
    }

    def spoil(name: str, text: str | None) -> None:
        if name == "a secret that is gone":
            secret.rename(gone)
        elif gone.exists():
            gone.rename(secret)
        if text is None:
            site.config.unlink()
        else:
            site.config.write_text(text)

    broken(site, on=True)
    with taken, watching(site) as daemon:
        since = value(site, "latarnik_config_last_reload_success_timestamp_seconds")
        assert since is not None
        for count, (name, text) in enumerate(wrong.items(), 1):
            spoil(name, text)
            _signal(daemon, signal.SIGHUP)
            wait_for(f"{name}: it is said", lambda: daemon.text().count('"config_not_reloaded"') == count)  # noqa: B023 - used before the loop goes on
            wait_for(f"{name}: the old one goes on", lambda: _reachable(site))
            wait_for(f"{name}: it is shown", lambda: value(site, "latarnik_config_last_reload_successful") == 0)
            site.polls(DEVICE, count=1)
        site.config.write_text(good)
        _signal(daemon, signal.SIGHUP)
        wait_for("the good one is put to work", lambda: '"config_reloaded"' in daemon.text())
        wait_for("it is shown", lambda: _reachable(site) and value(site, "latarnik_config_last_reload_successful") == 1)
        wait_for("the time is that of the reload", lambda: (value(site, "latarnik_config_last_reload_success_timestamp_seconds") or 0) > since)
        site.polls(DEVICE, count=1)
        assert daemon.stop() == 0
    tried("configurations that are wrong, one after the other", len(wrong))


@pytest.mark.promise(4)
def test_a_reload_with_another_time_zone_keeps_cases_and_waiting_steps_as_they_are(site: Site) -> None:
    """While a case is open, its first step is done and others wait."""
    site.write([entry(site.fleet, DEVICE)], desks={"helpdesk": {"type": "folder", "path": "later/tickets", "language": "en"}})
    with watching(site) as daemon:
        site.healthy(DEVICE)
        broken(site, on=True)
        wait_for("the files wait for the desk", lambda: rows(site, "SELECT 1 FROM outbox WHERE kind = 'attach'"), 60)
        waiting = rows(site, "SELECT id, value FROM outbox ORDER BY id")
        moved = site.document | {"site": {"name": "przyklad", "timezone": "Pacific/Kiritimati"}}
        site.config.write_text(yaml.safe_dump(moved, allow_unicode=True))
        _signal(daemon, signal.SIGHUP)
        wait_for("it is put to work", lambda: daemon.text().count('"watching"') == 2)
        assert dict(waiting).items() <= dict(rows(site, "SELECT id, value FROM outbox")).items(), "what is written is not written anew"
        (site.folder / "later").mkdir()
        wait_for("the ticket is whole", lambda: delivered(site), 60)
        broken(site, on=False)
        wait_for("it is resolved", lambda: "resolve" in _kinds(site), 60)
        assert daemon.stop() == 0
    (ticket,) = [json.loads(path.read_text()) for path in (site.folder / "later" / "tickets").glob("*/ticket.json")]
    assert [step["at"][-6:] for step in ticket["steps"] if step["kind"] == "resolve"] == ["+14:00"]
    assert {step["at"][-6:] for step in ticket["steps"] if step["kind"] != "resolve"} <= {"+01:00", "+02:00"}
    assert rows(site, "SELECT count(*) FROM cases") == [(1,)]


def test_signals_that_come_at_any_moment_are_neither_lost_nor_deadly(site: Site, tried: Tried) -> None:
    """SIGHUP before it is ready, in bursts, in the middle of a reload; and SIGTERM behind them ends it, with a clean exit."""
    count = scale(5, 50)
    with socket.create_server(("127.0.0.1", 0)) as relay:
        relay.settimeout(30)
        mail = {"type": "mail", "to": ["desk@example.org"], "from": "rooms@example.org", "smtp": f"127.0.0.1:{relay.getsockname()[1]}", "tls": "none"}
        site.write([entry(site.fleet, DEVICE)], desks={"mail": mail})
        with forked(site.config, site.log) as daemon:
            visitor, _ = relay.accept()
            _signal(daemon, signal.SIGHUP)  # it is at its desk, and not ready yet
            site.write([entry(site.fleet, DEVICE)])
            visitor.close()
            wait_for("it is reloaded as soon as it is ready", lambda: '"config_reloaded"' in daemon.text())
            daemon.ready()
            for _ in range(count):
                before = daemon.text().count('"config_reloaded"')
                for _ in range(3):
                    _signal(daemon, signal.SIGHUP)
                wait_for("it is reloaded", lambda: daemon.text().count('"config_reloaded"') > before)  # noqa: B023 - used before the loop goes on
            _signal(daemon, signal.SIGHUP)
            assert daemon.stop() == 0
        with forked(site.config, site.log) as daemon:
            daemon.ready()
            _signal(daemon, signal.SIGTERM)
            _signal(daemon, signal.SIGHUP)
            daemon.process.join(30)
            assert daemon.process.exitcode == 0
        site.write([entry(site.fleet, DEVICE)], desks={"mail": mail})
        with forked(site.config, site.log) as daemon:
            visitor, _ = relay.accept()
            assert daemon.stop() == 0, "a start that waits for a desk can be ended"
            visitor.close()
    tried("bursts of SIGHUP", count)


def _signal(daemon: Forked, number: signal.Signals) -> None:
    assert daemon.process.pid is not None
    os.kill(daemon.process.pid, number)


def _reachable(site: Site) -> bool:
    try:
        return bool(site.metrics())
    except OSError:
        return False


def _kinds(site: Site) -> list[str]:
    return [step["kind"] for path in site.folder.glob("**/tickets/*/ticket.json") for step in json.loads(path.read_text())["steps"]]


@contextmanager
def _unwritable(folder: Path) -> Iterator[None]:
    if os.geteuid() == 0:
        if subprocess.run(["chattr", "+i", folder], check=False, capture_output=True).returncode:
            pytest.skip("this file system has no unchangeable folders")
        try:
            yield
        finally:
            subprocess.run(["chattr", "-i", folder], check=True)
    else:
        folder.chmod(0o500)
        yield
        folder.chmod(0o700)
