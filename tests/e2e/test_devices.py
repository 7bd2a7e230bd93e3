"""Devices that are away, in a call, half switched off, or do not let us in: with the real daemon."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator

import pytest

from tests.e2e.site import Simulator, Site, attached, entry
from tests.support.processes import wait_for

UNPLUGGED, WEB_OFF, STRANGERS = "unplugged", "web-off", ("enrol-camera", "enrol-room")


@pytest.fixture(scope="module")
def watched(fleet: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One daemon for the tests that need no restart, each of which looks at its own devices. The room's web interface is off from the start."""
    site = Site(folder=tmp_path_factory.mktemp("watched"), fleet=fleet)
    strangers = [entry(fleet, name, tls={"mode": "enrol"}) for name in STRANGERS]
    site.write([entry(fleet, UNPLUGGED), entry(fleet, WEB_OFF), *strangers])
    fleet.switch(WEB_OFF, "web_off", on=True)
    try:
        with site.daemon() as daemon:
            yield site
            assert daemon.stop() == 0
    finally:
        fleet.switch(WEB_OFF, "web_off", on=False)


def test_an_unplugged_device_is_down_its_values_go_and_one_ticket_says_why_there_is_no_report(watched: Site) -> None:
    site = watched
    label = f'{{device="{UNPLUGGED}"'
    site.healthy(UNPLUGGED)
    page = site.metrics()
    assert f"latarnik_device_up{label}}} 1" in page
    assert f"latarnik_device_temperature_celsius{label}" in page
    serial = site.devices()[UNPLUGGED]["serial"]
    site.fleet.switch(UNPLUGGED, "unplugged", on=True)
    try:
        wait_for("it is down", lambda: f"latarnik_device_up{label}}} 0" in site.metrics())
        page = site.metrics()
        for gone in ("temperature_celsius", "storage_ok", "ready", "facet_ok", "boot_timestamp_seconds"):
            assert f"latarnik_device_{gone}{label}" not in page
        assert f"latarnik_device_info{label}" in page
        assert f'serial="{serial}"' in page
        wait_for("its ticket has what we knew", lambda: site.tickets(UNPLUGGED) and attached(site.ticket(UNPLUGGED)))
        site.polls(UNPLUGGED)
        ticket = site.ticket(UNPLUGGED)
        assert ticket["fields"]["fault"]["code"] == "device.unreachable"
        assert ticket["fields"]["identity"]["serial"] == serial
        assert set(attached(ticket)) == {"latarnik-view.json"}
        assert "does not answer, so it gave no report" in ticket["fields"]["evidence_note"]
    finally:
        site.fleet.switch(UNPLUGGED, "unplugged", on=False)
    wait_for("it is resolved", lambda: site.ticket(UNPLUGGED)["state"] == "resolved")
    wait_for("its values are back", lambda: f"latarnik_device_temperature_celsius{label}" in site.metrics())


def test_with_the_web_interface_off_ssh_gives_identity_and_status(watched: Site) -> None:
    site = watched
    wait_for("it is known", lambda: site.devices()[WEB_OFF]["serial"])
    shown = site.devices()[WEB_OFF]
    assert shown["up"]
    assert shown["model"]
    assert shown["firmware"]
    assert shown["facets"]["ssh_identity"] == shown["facets"]["ssh_status"] == "ok"
    assert shown["facets"]["system"] == "failed"
    assert shown["health"] == "unknown", "what could not be asked is no health"
    assert f'latarnik_poly_status{{device="{WEB_OFF}"' in site.metrics()
    assert "device.unreachable" not in site.faults(WEB_OFF)


def test_in_enrol_mode_nothing_is_sent_before_a_person_accepts_the_fingerprint(watched: Site) -> None:
    site, names = watched, STRANGERS
    for name in names:
        wait_for("the stranger is shown", lambda n=name: "device.not_trusted" in site.faults(n))  # type: ignore[misc]
    site.polls(*names)
    assert [site.fleet.requests(name) for name in names] == [0, 0]
    assert [site.fleet.counters(name).get("logins", {}) for name in names] == [{}, {}]
    shown = [line for line in site.cli("trust", "--show").splitlines() if line.startswith(names)]
    assert len(shown) == 3, "two certificates and the room's SSH host key"
    assert all(line.split()[-1] == "new" for line in shown)
    assert "1 fingerprint accepted" in site.cli("trust", names[0], "--yes")
    site.healthy(names[0])
    assert site.fleet.requests(names[1]) == 0, "one device's fingerprint is not another's"
    site.cli("trust", "--all", "--yes")
    site.healthy(*names)
    assert not any(site.faults(name) for name in names)


def test_in_a_call_the_ticket_opens_at_once_and_the_log_bundle_waits_for_its_end(site: Site) -> None:
    room = "in-call"
    site.write([entry(site.fleet, room)])

    def bundles() -> int:
        return int(site.fleet.counters(room)["requests"].get("GET /rest/system/logs", 0))

    with site.daemon() as daemon:
        site.healthy(room)
        site.fleet.switch(room, "in_call", on=True)
        wait_for("the call is seen", lambda: site.devices()[room]["in_use"])
        site.fleet.switch(room, "mic_lost", on=True)
        try:
            wait_for("the ticket is written", lambda: site.tickets(room))
            site.polls(room)
            assert bundles() == 0
            assert daemon.stop() == 0
            # What waits is not forgotten over a restart, and the call still counts.
            with site.daemon():
                site.polls(room)
                assert bundles() == 0
                assert "poly-logs.tar" not in attached(site.ticket(room))
                site.fleet.switch(room, "in_call", on=False)
                wait_for("the bundle is attached", lambda: "poly-logs.tar" in attached(site.ticket(room)))
                site.polls(room)
                assert bundles() == 1
                assert len(site.tickets()) == 1
        finally:
            site.fleet.switch(room, "in_call", on=False)
            site.fleet.switch(room, "mic_lost", on=False)


def test_a_wrong_password_is_refused_once_however_many_polls_and_restarts(site: Site) -> None:
    names = ("refused-camera", "refused-room")
    for name in names:
        site.fleet.switch(name, "wrong_password", on=True)
    refused = {name: site.fleet.counters(name)["refused_logins"] for name in names}

    def tried(name: str) -> int:
        count: int = site.fleet.counters(name)["refused_logins"] - refused[name]
        return count

    try:
        site.write([entry(site.fleet, "refused-camera", credentials={"http": "cameras"}), entry(site.fleet, "refused-room")])
        for _ in range(2):
            with site.daemon() as daemon:
                for name in names:
                    wait_for(f"the refusal of {name} is shown", lambda n=name: "device.login_refused" in site.faults(n))  # type: ignore[misc]
                site.polls(*names)
                assert {name: tried(name) for name in names} == dict.fromkeys(names, 1)
                assert all(site.devices()[name]["login_blocked"] for name in names)
                assert all(site.devices()[name]["up"] for name in names)
                assert daemon.stop() == 0
        for name in names:
            # Beside the daemon and without it: no command tries again either.
            site.cli("poll", name, code=0 if name == "refused-camera" else 1)
        assert {name: tried(name) for name in names} == dict.fromkeys(names, 1)
        assert site.tickets() == []
        with site.daemon():
            site.polls(*names)
            assert {name: tried(name) for name in names} == dict.fromkeys(names, 1)
            for name in names:
                site.cli("unblock", name)
                wait_for("it was tried once more", lambda n=name: tried(n) == 2)  # type: ignore[misc]
            site.polls(*names)
            assert {name: tried(name) for name in names} == dict.fromkeys(names, 2)
            for name in names:
                site.fleet.switch(name, "wrong_password", on=False)
                site.cli("unblock", name)
            wait_for("both let us in", lambda: not any(site.faults(name) or site.devices()[name]["login_blocked"] for name in names))
            assert {name: tried(name) for name in names} == dict.fromkeys(names, 2)
    finally:
        for name in names:
            site.fleet.switch(name, "wrong_password", on=False)


def test_a_login_of_which_the_end_was_never_seen_is_not_tried_again_by_any_command(site: Site) -> None:
    """The note of an attempt is on the disk when the agent is killed. Whoever comes next finds it, and leaves the device alone."""
    name = "refused-camera"
    site.fleet.switch(name, "wrong_password", on=True)
    try:
        site.write([entry(site.fleet, name, credentials={"http": "cameras"})])
        site.cli("poll", name)
        before = site.fleet.counters(name)["refused_logins"]
        with sqlite3.connect(site.state / "latarnik.sqlite3") as database:
            assert database.execute("UPDATE logins SET state = 'trying', detail = ''").rowcount == 1
        database.close()
        site.cli("poll", name)
        assert site.fleet.counters(name)["refused_logins"] == before
        with site.daemon():
            wait_for("it is shown", lambda: "device.login_refused" in site.faults(name))
            site.polls(name)
            assert site.fleet.counters(name)["refused_logins"] == before
    finally:
        site.fleet.switch(name, "wrong_password", on=False)


def test_management_sessions_are_given_back_after_a_stop_and_after_a_kill(site: Site) -> None:
    """Three firmware lines, which differ in how a session is ended."""
    rooms = ("session-x30", "session-x50", "session-x70")

    def open_sessions() -> dict[str, int]:
        return {room: int(site.fleet.counters(room)["sessions_open"]) for room in rooms}

    before = open_sessions()
    site.write([entry(site.fleet, room) for room in rooms], polling={"interval": "2s"})
    with site.daemon() as daemon:
        site.healthy(*rooms)
        assert open_sessions() == {room: count + 1 for room, count in before.items()}
        assert daemon.stop() == 0
    assert open_sessions() == before

    with site.daemon() as daemon:
        site.healthy(*rooms)
        _quiet(site, rooms)
        daemon.kill()
    assert open_sessions() == {room: count + 1 for room, count in before.items()}, "a killed process gives nothing back"
    with site.daemon() as daemon:
        site.healthy(*rooms)
        assert open_sessions() == {room: count + 1 for room, count in before.items()}, "never a second one beside the first"
        assert daemon.stop() == 0
    assert open_sessions() == before


def _quiet(site: Site, rooms: tuple[str, ...]) -> None:
    """Wait for a moment between two polls: nothing is asked of any device for a moment."""
    last = -1
    for _ in range(100):
        count = sum(site.fleet.requests(room) for room in rooms)
        if count == last:
            return
        last = count
        time.sleep(0.3)
    raise AssertionError("the devices are polled without a pause")
