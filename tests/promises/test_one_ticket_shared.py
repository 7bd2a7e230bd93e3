"""Promise 4 where many devices have one trouble: a password changed and certificates renewed on a whole fleet, one ticket, whatever is killed when.

The real daemon over real sockets to simulated cameras.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.control import ask_daemon
from tests.e2e.site import FAST_FAULTS, Simulator, Site, entry, kinds, simulator
from tests.support.crash import Point, forked
from tests.support.processes import events, wait_for
from tests.support.promises import Tried, scale

FLEET = ("sd-story", "first-sight", "unplugged", "refused-camera", "enrol-camera", "spare-1")
ACCOUNTS = 2
"""The polling account and the one for reports: each may be refused once."""
KILLS = (
    "agent.store.queries:roots",
    "agent.store.queries:members",
    "agent.store.queries:save_incident",
    "agent.polling.casework:open_for",
    "agent.store.queries:add_step",
    "agent.polling.casework:follow",
    "agent.store.queries:set_step",
    "agent.store.queries:save_ticket",
)
"""What is called on the way from a refused login to its ticket, at every second call of which the data on the disk are other ones."""


@pytest.fixture(scope="module")
def cameras(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with simulator(tmp_path_factory.mktemp("fleet") / "simulator.log") as running:
        yield running


def site_of(cameras: Simulator, folder: Path) -> Site:
    folder.mkdir(parents=True, exist_ok=True)
    site = Site(folder=folder, fleet=cameras)
    tickets = {code: {"ticket": True, "hold": "0s", "hits": 1} for code in ("device.login_refused", "device.not_trusted")}
    site.write([entry(cameras, name) for name in FLEET], polling={"interval": "2s"}, faults=FAST_FAULTS | tickets)
    return site


def switch(cameras: Simulator, fault: str, *, on: bool) -> None:
    for name in FLEET:
        cameras.switch(name, fault, on=on)


def told(site: Site) -> set[str]:
    """The devices that the one ticket names, in its text as in its data."""
    (ticket,) = site.tickets()
    shared = ticket["fields"]["shared"]
    named = set(shared["devices"]) if shared is not None else {ticket["fields"]["device"]}
    text = (ticket["folder"] / "ticket.txt").read_text()
    return {name for name in named if name in text}


def states(site: Site) -> list[list[str]]:
    """The steps of each ticket. Devices that a kill kept from the first message are told of in one more."""
    assert all(kinds(t).count("comment") <= 1 for t in site.tickets())
    return [[kind for kind in kinds(t) if kind != "comment"] for t in site.tickets()]


def one_incident(site: Site, code: str) -> None:
    """The list, the metrics and the tickets agree: one for all."""
    wait_for(
        "all devices have it as one incident",
        lambda: len({f["part_of"] or f["incident"] for f in shown(site, code)}) == 1 and len(shown(site, code)) == len(FLEET),
    )
    (root,) = [fault for fault in shown(site, code) if not fault["part_of"]]
    assert root["devices"] == len(FLEET)
    assert root["summary"].startswith(f"{len(FLEET)} devices: ")
    page = [line for line in site.metrics().splitlines() if line.startswith("latarnik_device_fault_active") and f'code="{code}"' in line]
    assert len(page) == len(FLEET)
    assert all('cause=""' not in line for line in page), "every alert for one device alone leaves them out"


def shown(site: Site, code: str) -> list[dict[str, Any]]:
    return [fault for device in site.devices().values() for fault in device["faults"] if fault["code"] == code]


@pytest.mark.promise(4)
@pytest.mark.timeout(scale(180, 3600))
def test_a_password_changed_on_a_whole_fleet_is_one_ticket_that_names_them_all_whatever_is_killed_when(
    cameras: Simulator, tmp_path: Path, tried: Tried
) -> None:
    chance, kills, stories = random.Random(7), 0, scale(1, 12)
    for story in range(stories):
        site = site_of(cameras, tmp_path / str(story))
        before = {name: cameras.counters(name)["refused_logins"] for name in FLEET}
        try:
            with forked(site.config, site.log) as daemon:
                daemon.ready()
                site.healthy(*FLEET)
                assert daemon.stop() == 0
            switch(cameras, "wrong_password", on=True)
            for where in chance.sample(KILLS, 4):
                with forked(site.config, site.log, Point(where=where, nth=chance.randint(1, 12), when=chance.choice(["before", "after"]))) as daemon:
                    kills += daemon.died(within=6)
            with forked(site.config, site.log) as daemon:
                daemon.ready()
                wait_for("its ticket names them all", lambda s=site: s.tickets() and told(s) == set(FLEET))  # type: ignore[misc]
                one_incident(site, "device.login_refused")
                for name in FLEET:
                    assert cameras.counters(name)["refused_logins"] - before[name] <= ACCOUNTS
                switch(cameras, "wrong_password", on=False)
                *first, last = FLEET
                for name in first:
                    asyncio.run(ask_daemon(site.state, "unblock", name))
                wait_for("all but one are fine", lambda s=site: len(shown(s, "device.login_refused")) == 1)  # type: ignore[misc]
                assert states(site) == [["create"]], "it is open for as long as one device has it"
                asyncio.run(ask_daemon(site.state, "unblock", last))
                wait_for("it is resolved", lambda s=site: [t["state"] for t in s.tickets()] == ["resolved"])  # type: ignore[misc]
                assert states(site) == [["create", "resolve"]]
                assert daemon.stop() == 0
            assert not [e for e in events(site.log) if e["event"].startswith("bug_")]
        finally:
            switch(cameras, "wrong_password", on=False)
    assert kills
    tried(f"passwords changed on {len(FLEET)} cameras at once", stories)
    tried("kills on the way to the ticket", kills)


@pytest.mark.promise(4)
def test_certificates_renewed_on_a_whole_fleet_are_one_ticket(cameras: Simulator, tmp_path: Path, tried: Tried) -> None:
    site = site_of(cameras, tmp_path)
    try:
        with forked(site.config, site.log) as daemon:
            daemon.ready()
            site.healthy(*FLEET)
            switch(cameras, "certificate_changed", on=True)
            wait_for("its ticket names them all", lambda: site.tickets() and told(site) == set(FLEET))
            one_incident(site, "device.not_trusted")
            daemon.kill()
        with forked(site.config, site.log) as daemon:
            daemon.ready()
            site.polls(*FLEET)
            one_incident(site, "device.not_trusted")
            assert [kinds(t) for t in site.tickets()] == [["create"]]
            switch(cameras, "certificate_changed", on=False)
            wait_for("it is resolved", lambda: [t["state"] for t in site.tickets()] == ["resolved"])
            assert [kinds(t) for t in site.tickets()] == [["create", "resolve"]]
            assert daemon.stop() == 0
        assert not [e for e in events(site.log) if e["event"].startswith("bug_")]
    finally:
        switch(cameras, "certificate_changed", on=False)
    tried(f"certificates renewed on {len(FLEET)} cameras at once, with a kill", 1)
