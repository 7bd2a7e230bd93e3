"""The main job, with the real daemon process over real sockets: something breaks, one ticket is written, it is mended, the ticket is resolved."""

from __future__ import annotations

import tarfile
import zipfile

from tests.e2e.site import Site, attached, entry, kinds
from tests.support.processes import events, wait_for

CAMERA, CODEC, E70 = "sd-story", "e70-story", "e70-story-e70"


def test_one_fault_is_one_ticket_through_restart_and_kill_until_it_is_mended_and_reopened(site: Site) -> None:
    """A camera's SD card and a codec's Studio E70, side by side through the same restarts."""
    fleet = site.fleet
    site.write([entry(fleet, CAMERA), entry(fleet, CODEC), {"id": E70, "vendor": "poly", "parent": CODEC, "model": "Studio E70"}])
    sessions = fleet.counters(CODEC)["sessions_open"]
    try:
        with site.daemon() as daemon:
            site.healthy(CAMERA, CODEC)
            wait_for("the E70 is seen", lambda: site.devices()[E70]["up"])
            known = site.devices()
            fleet.switch(CAMERA, "sd_failed", on=True)
            fleet.switch(CODEC, "e70_unplugged", on=True)
            wait_for("both bundles are attached", lambda: _has(site, CAMERA, "serverreport.zip") and _has(site, E70, "poly-logs.tar"), 45)

            camera, part = site.ticket(CAMERA), site.ticket(E70)
            assert camera["fields"]["fault"]["code"] == "axis.storage.failed"
            assert camera["fields"]["identity"]["serial"] == known[CAMERA]["serial"] != ""
            assert camera["fields"]["contract"]["number"] == "AX-2025-31"
            assert part["fields"]["fault"]["code"] == "poly.peripheral.missing"
            assert part["fields"]["identity"]["serial"] == known[E70]["serial"] != ""
            assert part["fields"]["parent"]["serial"] == known[CODEC]["serial"] != known[E70]["serial"]
            assert part["fields"]["contract"]["number"] == "HZ/2026/0007"
            for ticket, serial, number in ((camera, known[CAMERA]["serial"], "AX-2025-31"), (part, known[E70]["serial"], "HZ/2026/0007")):
                text = (ticket["folder"] / "ticket.txt").read_text()
                assert serial in text
                assert number in text
            assert known[CODEC]["serial"] in (part["folder"] / "ticket.txt").read_text()
            with zipfile.ZipFile(attached(camera)["serverreport.zip"]) as archive:
                assert archive.testzip() is None
                assert archive.namelist()
            with tarfile.open(attached(part)["poly-logs.tar"]) as archive_of_logs:
                assert archive_of_logs.getmembers()

            # More polls make no second one, and download nothing again.
            wait_for("all evidence is attached", lambda: _settled(site))
            written = _steps(site)
            reports = fleet.counters(CAMERA)["reports"]
            site.polls(CAMERA, CODEC)
            assert _steps(site) == written
            assert daemon.stop() == 0

        with site.daemon() as daemon:
            site.polls(CAMERA, CODEC)
            assert _steps(site) == written
            assert {t["device"]: t["tickets"] for t in _shown(site)} == {CAMERA: [camera["case"]], E70: [part["case"]]}
            daemon.kill()

        with site.daemon() as daemon:
            site.polls(CAMERA, CODEC)
            assert _steps(site) == written
            assert fleet.counters(CAMERA)["reports"] == reports

            fleet.switch(CAMERA, "sd_failed", on=False)
            fleet.switch(CODEC, "e70_unplugged", on=False)
            wait_for("both tickets are resolved", lambda: [t["state"] for t in site.tickets()] == ["resolved", "resolved"], 45)
            wait_for("no fault is shown", lambda: not site.faults(CAMERA) and not site.faults(E70))
            wait_for("no ticket is exported", lambda: "latarnik_ticket_opened_timestamp_seconds{" not in site.metrics())

            # Back within the reopen window: the same tickets again.
            fleet.switch(CAMERA, "sd_failed", on=True)
            fleet.switch(CODEC, "e70_unplugged", on=True)
            wait_for("both tickets are open again", lambda: [t["state"] for t in site.tickets()] == ["open", "open"], 45)
            site.polls(CAMERA, CODEC)
            assert sorted(t["case"] for t in site.tickets()) == sorted(written)
            assert [kinds(t) for t in site.tickets()] == [["create", "resolve", "reopen"]] * 2
            assert daemon.stop() == 0
        assert fleet.counters(CODEC)["sessions_open"] == sessions, "the management session was given back"
        assert fleet.counters(CODEC)["changes"] == []
        assert not fleet.counters(CAMERA)["changes"]
        assert not [e for e in events(site.log) if e["event"].startswith("bug_")]
    finally:
        fleet.switch(CAMERA, "sd_failed", on=False)
        fleet.switch(CODEC, "e70_unplugged", on=False)


def _has(site: Site, device: str, name: str) -> bool:
    return any(name in attached(ticket) for ticket in site.tickets(device))


def _settled(site: Site) -> bool:
    """Every file that was collected has reached the desk, and none is being written."""
    collected = {t["case"]: {path.name for path in (site.state / "evidence" / t["case"]).iterdir()} for t in site.tickets()}
    return all(collected[t["case"]] == set(attached(t)) for t in site.tickets())


def _steps(site: Site) -> dict[str, list[str]]:
    return {t["case"]: [step["id"] for step in t["steps"]] for t in site.tickets()}


def _shown(site: Site) -> list[dict[str, object]]:
    return [{"device": d["id"], "tickets": [t["case"] for t in d["tickets"]]} for d in site.devices().values() if d["tickets"]]
