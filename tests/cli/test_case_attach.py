"""`case attach`: a person's file, with the daemon and without it, whole at the desk once."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

from agent.diagnosis import handed
from tests.e2e.site import SECRETS, Site, attached, entry
from tests.support.processes import wait_for

CAMERA = "spare-2"
NAMES = {"added-bericht.zip", "added-log.txt"}


def report(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("serverreport_cgi.txt", f"asked with {SECRETS['cameras.password']}\n" * 50_000)
    return path


def test_a_persons_file_reaches_the_desk_with_the_daemon_and_without_it(site: Site) -> None:
    site.write([entry(site.fleet, CAMERA)])
    with site.daemon():
        site.healthy(CAMERA)
        site.fleet.switch(CAMERA, "sd_failed", on=True)
        try:
            wait_for("the ticket is written", lambda: site.tickets(CAMERA) and "serverreport.zip" in attached(site.ticket(CAMERA)))
            case = site.ticket(CAMERA)["case"]
            mine = report(site.folder / "bericht.zip")
            said = site.cli("case", "attach", case, str(mine), "--note", "Fetched at the mast.")
            assert f"{case}: added-bericht.zip, " in said
            assert "goes to helpdesk" in said
            assert "has this file already" in site.cli("case", "attach", case, str(mine))
            wait_for("the file is at the desk", lambda: "added-bericht.zip" in attached(site.ticket(CAMERA)))
            with zipfile.ZipFile(attached(site.ticket(CAMERA))["added-bericht.zip"]) as archive:
                text = archive.read("serverreport_cgi.txt")
            assert SECRETS["cameras.password"].encode() not in text
            assert text.count(b"\n") == 50_000
            assert "Fetched at the mast." in (site.ticket(CAMERA)["folder"] / "ticket.txt").read_text()
            page = site.folder / "page.zip"
            page.write_text("<html>401</html>")
            assert "administrator's account" in site.cli("case", "attach", case, str(page), code=1)
        finally:
            site.fleet.switch(CAMERA, "sd_failed", on=False)

    log = site.folder / "log.txt"
    log.write_text(f"password={SECRETS['cameras.password']}\nall is well\n")
    assert "added-log.txt" in site.cli("case", "attach", case, str(log))
    assert "has this file already" in site.cli("case", "attach", case, str(log))
    with site.daemon():
        wait_for("the file is at the desk", lambda: "added-log.txt" in attached(site.ticket(CAMERA)))
    ticket = site.ticket(CAMERA)
    assert attached(ticket)["added-log.txt"].read_text() == "password=***\nall is well\n"
    names = [file["name"] for step in ticket["steps"] for file in step["attachments"]]
    assert len(names) == len(set(names))
    assert set(names) >= NAMES


def test_what_cannot_be_attached_is_said_with_what_helps(site: Site) -> None:
    site.write([entry(site.fleet, CAMERA)])
    assert "nothing was polled yet" in site.cli("case", "attach", "x", "y", code=1)
    with site.daemon():
        site.healthy(CAMERA)
        site.fleet.switch(CAMERA, "sd_failed", on=True)
        try:
            wait_for("the ticket is written", lambda: site.tickets(CAMERA))
            case = site.ticket(CAMERA)["case"]
            assert "`latarnik case list` shows them" in site.cli("case", "attach", "nonsense", str(site.config), code=1)
            assert "is no file; give the path" in site.cli("case", "attach", case, str(site.folder / "gone"), code=1)
            assert "is no file; give the path" in site.cli("case", "attach", case, str(site.folder), code=1)
            big = site.folder / "big.zip"
            big.touch()
            os.truncate(big, handed.LIMIT + 1)
            assert "the limit is 256 MiB; attach the part" in site.cli("case", "attach", case, str(big), code=1)
        finally:
            site.fleet.switch(CAMERA, "sd_failed", on=False)
        wait_for("the case is over", lambda: site.ticket(CAMERA)["state"] == "resolved")
        assert "is over" in site.cli("case", "attach", case, str(report(site.folder / "late.zip")), code=1)
