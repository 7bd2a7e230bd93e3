"""What was broken before we came is shown, and becomes a ticket when a person adopts it."""

from __future__ import annotations

from tests.e2e.site import Site, attached, entry
from tests.support.processes import wait_for

SOON, LATER, NEVER = CAMERAS = ("first-sight", "spare-1", "spare-2")


def test_a_fault_from_before_the_first_start_is_listed_and_ticketed_only_when_adopted(site: Site) -> None:
    """One is adopted while the daemon runs, one while it does not, one never."""
    site.write([entry(site.fleet, camera) for camera in CAMERAS])
    for camera in CAMERAS:
        site.fleet.switch(camera, "not_ready", on=True)
    try:
        with site.daemon() as daemon:
            wait_for("the faults are shown", lambda: all("axis.not_ready" in site.faults(camera) for camera in CAMERAS))
            faults = {camera: site.faults(camera)["axis.not_ready"] for camera in CAMERAS}
            assert all(fault["first_sight"] for fault in faults.values())
            site.polls(*CAMERAS)
            assert site.tickets() == []
            shown = site.cli("list")
            assert all(f"latarnik adopt {fault['incident']}" in shown for fault in faults.values())
            assert daemon.stop() == 0

        assert "when the daemon runs again" in site.cli("adopt", faults[LATER]["incident"])

        # After a restart it is still old news.
        with site.daemon() as daemon:
            wait_for("its ticket is written", lambda: site.tickets(LATER) and "serverreport.zip" in attached(site.ticket(LATER)))
            assert site.tickets(SOON) == []
            assert "at its next poll" in site.cli("adopt", faults[SOON]["incident"])
            wait_for("its ticket is written", lambda: site.tickets(SOON) and "serverreport.zip" in attached(site.ticket(SOON)))
            assert not site.faults(SOON)["axis.not_ready"]["first_sight"]
            assert "already case" in site.cli("adopt", faults[SOON]["incident"])
            daemon.kill()

        with site.daemon():
            site.polls(*CAMERAS)
            assert sorted(t["fields"]["device"] for t in site.tickets()) == [SOON, LATER]
            assert site.faults(NEVER)["axis.not_ready"]["first_sight"]
            for camera in CAMERAS:
                site.fleet.switch(camera, "not_ready", on=False)
            wait_for("both are resolved", lambda: [t["state"] for t in site.tickets()] == ["resolved"] * 2)
            # The one that nobody adopted was mended in our sight: when it breaks again, that is news.
            wait_for("it is fine", lambda: not site.faults(NEVER))
            site.fleet.switch(NEVER, "not_ready", on=True)
            wait_for("now it is ticketed", lambda: site.tickets(NEVER))
    finally:
        for camera in CAMERAS:
            site.fleet.switch(camera, "not_ready", on=False)
