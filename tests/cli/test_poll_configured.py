"""`latarnik poll DEVICE --config FILE`: beside the running daemon, which does the polling, and without one."""

from __future__ import annotations

from tests.cli.report import checked
from tests.cli.terminal import latarnik
from tests.e2e.site import Site, entry
from tests.support.processes import wait_for

CAMERA, ROOM, HALL = "spare-1", "spare-room", "spare-hall"


def test_without_a_daemon_the_command_polls_and_leaves_no_session(site: Site) -> None:
    site.write([entry(site.fleet, CAMERA), entry(site.fleet, ROOM)])
    before = site.fleet.counters(ROOM)["sessions_open"]
    for name, model in ((CAMERA, "P3265-LVE"), (ROOM, "StudioX30")):
        done = latarnik("poll", name, "--config", str(site.config), "--output", "json")
        report = checked(done.out)
        assert (done.code, done.err) == (0, "")
        assert (report["device"], report["identity"]["model"]) == (name, model)
        assert report["faults"] == report["errors"] == []
    assert site.fleet.counters(ROOM)["sessions_open"] == before


def test_the_environment_names_the_configuration_as_well(site: Site) -> None:
    site.write([entry(site.fleet, CAMERA)])
    done = latarnik("poll", CAMERA, "--output", "json", env={"LATARNIK_CONFIG": str(site.config)})
    assert done.code == 0
    checked(done.out)


def test_beside_the_daemon_it_is_the_daemon_that_polls(site: Site) -> None:
    """One management session, not two; and what it read is on the metrics page too."""
    site.write(
        [entry(site.fleet, HALL), entry(site.fleet, CAMERA), {"id": "e70", "vendor": "poly", "parent": HALL, "model": "Studio E70"}], polling={"interval": "1h"}
    )
    with site.daemon():
        wait_for("both were polled once", lambda: all(site.devices()[name]["last_poll"] for name in (HALL, CAMERA)), 20)
        sessions, logins = site.fleet.counters(HALL)["sessions_open"], site.fleet.counters(HALL)["logins_ok"]
        site.fleet.switch(HALL, "mic_lost", on=True)
        try:
            done = latarnik("poll", HALL, "--config", str(site.config), "--output", "json")
        finally:
            site.fleet.switch(HALL, "mic_lost", on=False)
        report = checked(done.out)
        assert (done.code, done.err) == (0, "")
        assert "poly.status.down" in {fault["code"] for fault in report["faults"]}
        assert site.fleet.counters(HALL)["sessions_open"] == sessions
        assert site.fleet.counters(HALL)["logins_ok"] == logins
        assert f'latarnik_poly_status{{device="{HALL}",row="mr.audio",state="up"}} 0' in site.metrics()

        part = latarnik("poll", "e70", "--config", str(site.config))
        assert part.code == 2
        assert "it is polled with 'spare-hall'" in part.err


def test_a_poll_asked_for_while_another_runs_gives_that_device_and_not_an_error(site: Site) -> None:
    """The first poll of a slow device takes its time; who asks meanwhile gets an answer of now."""
    slow = "spare-3"
    site.write([entry(site.fleet, slow)])
    site.fleet.switch(slow, "slow", on=True)
    try:
        with site.daemon():
            before = site.fleet.requests(slow)
            wait_for("its first poll runs", lambda: site.fleet.requests(slow) > before)
            assert site.devices()[slow]["last_poll"] is None
            done = latarnik("poll", slow, "--config", str(site.config), "--output", "json")
            assert (done.code, done.err) == (0, "")
            assert checked(done.out)["identity"]["serial"]
    finally:
        site.fleet.switch(slow, "slow", on=False)


def test_a_device_that_is_away_is_code_1_both_ways(site: Site) -> None:
    away = "spare-2"
    site.write([entry(site.fleet, away)])
    site.fleet.switch(away, "unplugged", on=True)
    try:
        alone = latarnik("poll", away, "--config", str(site.config), "--output", "json")
        with site.daemon():
            beside = latarnik("poll", away, "--config", str(site.config), "--output", "json")
    finally:
        site.fleet.switch(away, "unplugged", on=False)
    for done in (alone, beside):
        assert done.code == 1
        report = checked(done.out)
        assert not report["reachable"]
        assert [fault["code"] for fault in report["faults"]] == ["device.unreachable"]
