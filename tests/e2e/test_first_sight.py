"""What was broken before we came is shown, and becomes a ticket when a person adopts it."""

from __future__ import annotations

from tests.e2e.site import Site, attached, entry
from tests.support.processes import wait_for

CAMERA = "first-sight"


def test_a_fault_from_before_the_first_start_is_listed_and_ticketed_only_when_adopted(site: Site) -> None:
    site.write([entry(site.fleet, CAMERA)])
    site.fleet.switch(CAMERA, "sd_failed", on=True)
    try:
        with site.daemon() as daemon:
            fault = wait_for("the fault is shown", lambda: site.faults(CAMERA).get("axis.storage.failed"))
            assert fault["first_sight"]
            site.polls(CAMERA)
            assert site.tickets() == []
            assert f"adopt {fault['incident']}" in site.cli("list")
            assert daemon.stop() == 0

        # Also after a restart it is old news; and a person may adopt it while no daemon runs.
        with site.daemon() as daemon:
            site.polls(CAMERA)
            assert site.faults(CAMERA)["axis.storage.failed"]["first_sight"]
            assert site.tickets() == []
            assert fault["incident"] in site.cli("adopt", fault["incident"])
            wait_for("its ticket is written", lambda: "serverreport.zip" in attached(site.ticket(CAMERA)) if site.tickets() else False)
            assert not site.faults(CAMERA)["axis.storage.failed"]["first_sight"]
            assert "already case" in site.cli("adopt", fault["incident"])
            daemon.kill()

        with site.daemon():
            site.polls(CAMERA)
            assert len(site.tickets()) == 1
            site.fleet.switch(CAMERA, "sd_failed", on=False)
            wait_for("it is resolved", lambda: site.ticket(CAMERA)["state"] == "resolved")
    finally:
        site.fleet.switch(CAMERA, "sd_failed", on=False)


def test_a_fault_adopted_while_no_daemon_runs_is_ticketed_at_the_next_start(site: Site) -> None:
    site.write([entry(site.fleet, CAMERA)])
    site.fleet.switch(CAMERA, "sd_failed", on=True)
    try:
        with site.daemon() as daemon:
            fault = wait_for("the fault is shown", lambda: site.faults(CAMERA).get("axis.storage.failed"))
            assert daemon.stop() == 0
        assert "when the daemon runs again" in site.cli("adopt", fault["incident"])
        with site.daemon():
            wait_for("its ticket is written", lambda: len(site.tickets(CAMERA)) == 1)
    finally:
        site.fleet.switch(CAMERA, "sd_failed", on=False)
