"""list, trust, unblock, adopt, case, check-config, version: with the daemon and without it."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agent import __version__
from tests.cli.terminal import latarnik
from tests.e2e.site import Site, attached, entry
from tests.support.processes import wait_for

CAMERA, HALL, E70 = "spare-1", "spare-hall", "e70"
ROW: dict[str, type | tuple[type, ...]] = {
    "id": str,
    "vendor": str,
    "site": str,
    "room": str,
    "parent": str,
    "name": str,
    "model": str,
    "serial": str,
    "firmware": str,
    "up": (bool, type(None)),
    "last_poll": (str, type(None)),
    "last_success": (str, type(None)),
    "health": str,
    "login_blocked": bool,
    "in_use": (bool, type(None)),
    "facets": dict,
    "faults": list,
    "tickets": list,
}
FAULT = {"code", "severity", "component", "summary", "since", "state", "first_sight", "incident", "cause", "part_of", "devices"}


def listed(site: Site, *, daemon: bool) -> dict[str, dict[str, Any]]:
    """`list --output json` by device, with its keys and types checked."""
    body = json.loads(site.cli("list", "--output", "json"))
    assert list(body) == ["schema", "daemon", "devices"]
    assert (body["schema"], body["daemon"]) == (1, daemon)
    for row in body["devices"]:
        assert list(row) == list(ROW)
        assert all(isinstance(row[key], kind) for key, kind in ROW.items()), row
        assert all(set(fault) == FAULT for fault in row["faults"])
        assert all(set(ticket) == {"case", "desk", "ref", "url"} for ticket in row["tickets"])
    return {row["id"]: row for row in body["devices"]}


def test_list_shows_the_same_fleet_before_during_and_after_a_daemon(site: Site) -> None:
    site.write([entry(site.fleet, CAMERA), entry(site.fleet, HALL), {"id": E70, "vendor": "poly", "parent": HALL, "model": "Studio E70"}])
    before = listed(site, daemon=False)
    assert list(before) == [CAMERA, HALL, E70]
    assert all(row["up"] is None and row["health"] == "unknown" for row in before.values())
    assert not (site.state / "daemon.lock").exists(), "looking makes nothing that a daemon of another user could not use"

    with site.daemon():
        site.healthy(CAMERA, HALL)
        wait_for("the E70 is seen", lambda: site.devices()[E70]["up"])
        site.fleet.switch(CAMERA, "sd_failed", on=True)
        try:
            wait_for("the ticket is written", lambda: site.tickets(CAMERA) and "serverreport.zip" in attached(site.ticket(CAMERA)))
            during = listed(site, daemon=True)
            text = site.cli("list")
        finally:
            site.fleet.switch(CAMERA, "sd_failed", on=False)
    assert during[CAMERA]["up"] is True
    assert [fault["code"] for fault in during[CAMERA]["faults"]] == ["axis.storage.failed"]
    case = during[CAMERA]["tickets"][0]["case"]
    (line,) = [line for line in text.splitlines() if line.startswith(CAMERA)]
    for word in (during[CAMERA]["serial"], "P3265-LVE", "up", "axis.storage.failed SD_DISK", f"helpdesk {case}"):
        assert word in line

    after = listed(site, daemon=False)
    for name, row in after.items():
        assert row["up"] is None
        assert {key: row[key] for key in ("model", "serial", "firmware")} == {key: during[name][key] for key in ("model", "serial", "firmware")}, name
    assert [fault["incident"] for fault in after[CAMERA]["faults"]] == [fault["incident"] for fault in during[CAMERA]["faults"]]
    assert [ticket["case"] for ticket in after[CAMERA]["tickets"]] == [case]
    assert "The daemon does not run" in site.cli("list")

    # The case, without the daemon.
    (row,) = json.loads(site.cli("case", "list", "--output", "json"))["cases"]
    assert set(row) == {"id", "device", "state", "plan", "fault", "opened_at", "missing"}
    assert (row["id"], row["device"], row["fault"], row["state"]) == (case, CAMERA, "axis.storage.failed", "open")
    assert case in site.cli("case", "list")
    whole = json.loads(site.cli("case", "show", case))
    assert whole["identity"]["serial"] == during[CAMERA]["serial"]
    assert {item["name"] for item in whole["evidence"]} >= {"serverreport.zip"}
    assert "no case 'nonsense'" in site.cli("case", "show", "nonsense", code=1)
    assert "no case 'nonsense'" in site.cli("case", "approve", "nonsense", code=1)
    assert "the daemon does not run" in site.cli("case", "approve", case, code=1)
    assert "no open incident 'nonsense'" in site.cli("adopt", "nonsense", code=1)


TRUSTED: dict[str, type | tuple[type, ...]] = {
    "device": str,
    "endpoint": str,
    "offered": str,
    "accepted_before": (str, type(None)),
    "valid_until": (str, type(None)),
    "state": str,
    "accepted_now": bool,
}


def fingerprints(site: Site, *words: str, daemon: bool = False, code: int = 0) -> list[dict[str, Any]]:
    """The rows of `trust --output json`, with its keys and types checked; what it complained of is left away."""
    body, _ = json.JSONDecoder().raw_decode(site.cli("trust", *words, "--output", "json", code=code))
    assert list(body) == ["schema", "daemon", "fingerprints"]
    assert (body["schema"], body["daemon"]) == (1, daemon)
    for row in body["fingerprints"]:
        assert list(row) == list(TRUSTED)
        assert all(isinstance(row[key], kind) for key, kind in TRUSTED.items()), row
    found: list[dict[str, Any]] = body["fingerprints"]
    return found


def test_trust_by_device_by_site_and_all_with_and_without_the_daemon(site: Site) -> None:
    names = ("enrol-camera", "enrol-room", CAMERA)
    enrol = {"mode": "enrol"}
    site.write([entry(site.fleet, name, tls=enrol, **({"site": "oddzial"} if name == CAMERA else {})) for name in names])
    assert "no device was asked yet" in site.cli("trust", "--all", code=1)
    for name in names:
        site.cli("poll", name, code=1)
    shown = site.cli("trust")
    assert [line.split()[-1] for line in shown.splitlines()] == ["state", *["new"] * 4], "three certificates, one host key"
    assert "SHA256:" in shown, "a host key as ssh-keygen writes it"
    assert site.cli("trust", "--show", CAMERA).count("\n") == 2
    assert site.cli("trust", "--show", "--all") == shown
    assert {row["state"] for row in fingerprints(site)} == {"new"}
    assert all(re.fullmatch(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}", row["valid_until"]) for row in fingerprints(site) if row["endpoint"].startswith("https:"))

    # Nobody can be asked here, so nothing is accepted without a word that means it.
    for words in (("--all",), (CAMERA,), ("--site", "oddzial")):
        assert "nobody said yes" in site.cli("trust", *words, code=1)
    assert not any(row["accepted_now"] for row in fingerprints(site, "--all", code=1))
    assert site.cli("trust") == shown

    assert "1 fingerprint accepted" in site.cli("trust", "--site", "oddzial", "--yes")
    site.cli("poll", CAMERA)
    assert "Nothing to accept" in site.cli("trust", CAMERA)
    with site.daemon():
        assert "1 fingerprint accepted" in site.cli("trust", "enrol-camera", "--yes")
        wait_for("it is polled", lambda: site.devices()["enrol-camera"]["serial"])
        assert [row["accepted_now"] for row in fingerprints(site, "--all", "--yes", daemon=True)] == [False, True, True, False]
    assert {row["state"] for row in fingerprints(site)} == {"accepted"}
    site.cli("poll", "enrol-room")

    assert "no device 'nobody'" in site.cli("trust", "nobody", code=2)
    assert "there are oddzial, przyklad" in site.cli("trust", "--site", "nowhere", code=2)
    assert "give one of" in site.cli("trust", CAMERA, "--all", code=2)
    assert "belongs to one DEVICE" in site.cli("trust", "--all", "--sha256", "0" * 64, code=2)
    assert "64 hex digits" in site.cli("trust", CAMERA, "--sha256", "beef", code=2)


@pytest.mark.promise(9)
def test_a_changed_certificate_is_accepted_by_name_and_never_by_the_crowd(site: Site) -> None:
    names = (CAMERA, "enrol-camera")
    site.write([entry(site.fleet, name, tls={"mode": "enrol"}) for name in names])
    site.cli("poll", CAMERA, code=1)
    (before,) = fingerprints(site, CAMERA, "--yes")
    site.cli("poll", CAMERA)
    site.fleet.switch(CAMERA, "certificate_changed", on=True)
    try:
        for name in names:
            site.cli("poll", name, code=1)
        (row, _) = fingerprints(site)
        old, new = before["offered"], row["offered"]
        assert new != old
        assert (row["state"], row["accepted_before"]) == ("changed", old)
        assert "CHANGED" in site.cli("trust", "--show", CAMERA)

        # The crowd: the new one is accepted, the changed one is not.
        told = site.cli("trust", "--all", "--yes")
        assert "1 fingerprint accepted" in told
        assert "1 fingerprint CHANGED since it was accepted: left alone" in told
        assert [row["state"] for row in fingerprints(site)] == ["changed", "accepted"]
        site.cli("poll", CAMERA, code=1)
        site.cli("poll", "enrol-camera")

        # By its fingerprint, which must be the one it shows.
        assert "does not show this fingerprint" in site.cli("trust", CAMERA, "--sha256", old, code=1)
        assert "1 fingerprint accepted" in site.cli("trust", CAMERA, "--sha256", ":".join(new[i : i + 2] for i in range(0, 64, 2)).upper())
        site.cli("poll", CAMERA)
    finally:
        site.fleet.switch(CAMERA, "certificate_changed", on=False)
    site.cli("poll", CAMERA, code=1)
    assert fingerprints(site)[0]["state"] == "changed"
    assert [row["accepted_now"] for row in fingerprints(site, "--all", "--changed", "--yes")] == [True, False]
    site.cli("poll", CAMERA)


def test_a_certificate_that_was_shown_once_and_is_gone_again_is_nothing_to_accept(site: Site) -> None:
    site.write([entry(site.fleet, CAMERA, tls={"mode": "enrol"})])
    site.cli("poll", CAMERA, code=1)
    fingerprints(site, CAMERA, "--yes")
    site.fleet.switch(CAMERA, "certificate_changed", on=True)
    try:
        site.cli("poll", CAMERA, code=1)
    finally:
        site.fleet.switch(CAMERA, "certificate_changed", on=False)
    assert fingerprints(site)[0]["state"] == "changed"
    site.cli("poll", CAMERA)
    assert fingerprints(site)[0]["state"] == "accepted"


@pytest.mark.promise(9)
@pytest.mark.parametrize(("answer", "accepted"), [("y", True), ("n", False), ("", False)])
def test_on_a_terminal_a_person_is_asked_after_the_table_was_shown(site: Site, answer: str, *, accepted: bool) -> None:
    site.write([entry(site.fleet, CAMERA, tls={"mode": "enrol"})])
    site.cli("poll", CAMERA, code=1)
    ours, theirs = pty.openpty()
    words = [sys.executable, "-P", "-m", "agent.cli", "trust", "--all", "--config", str(site.config)]
    with subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True, cwd=Path(__file__).parents[2], env=python_path()) as asked:
        os.close(theirs)
        said = b""
        while b"[y/N]" not in said:
            said += os.read(ours, 4096)
        os.write(ours, answer.encode() + b"\n")
        with contextlib.suppress(OSError):  # a terminal whose other side is closed
            while piece := os.read(ours, 4096):
                said += piece
        code = asked.wait(timeout=60)
    os.close(ours)
    table, _, rest = said.decode().partition("Accept 1 fingerprint as shown above?")
    assert CAMERA in table
    assert "new" in table
    assert ("1 fingerprint accepted" in rest) is accepted
    assert code == (0 if accepted else 1)
    assert [row["state"] for row in fingerprints(site)] == ["accepted" if accepted else "new"]


def python_path() -> dict[str, str]:
    """The environment of a child that finds our packages where this process does."""
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "COLUMNS": "200"}


def test_unblock_without_the_daemon_lets_the_next_poll_try_once_more(site: Site) -> None:
    name = "refused-camera"
    site.write([entry(site.fleet, name, credentials={"http": "cameras"})])
    assert "none is blocked" in site.cli("unblock", name, code=1)
    site.fleet.switch(name, "wrong_password", on=True)
    try:
        before = site.fleet.counters(name)["refused_logins"]
        site.cli("poll", name)
        site.cli("poll", name)
        assert site.fleet.counters(name)["refused_logins"] == before + 1
        assert listed(site, daemon=False)[name]["login_blocked"]
        assert "1 refusal forgotten" in site.cli("unblock", name)
        assert "was not blocked" in site.cli("unblock", name)
        site.cli("poll", name)
        assert site.fleet.counters(name)["refused_logins"] == before + 2
    finally:
        site.fleet.switch(name, "wrong_password", on=False)
    assert "no device 'nobody'" in site.cli("unblock", "nobody", code=2)


def test_check_config_tells_everything_at_once_with_file_line_and_key(site: Site) -> None:
    site.write([entry(site.fleet, CAMERA)])
    assert site.cli("check-config") == f"{site.config}: fine. 1 device, 1 desk, 2 contracts.\n"
    lines = site.config.read_text().splitlines()
    lines += ["colour: blue", "language: de", "evidence: {max_age: soon}"]
    site.config.write_text("\n".join(lines) + "\n")
    first = len(lines) - 2
    told = site.cli("check-config", code=2)
    for line, key in ((first, "colour"), (first + 1, "language"), (first + 2, "evidence.max_age")):
        assert f"{site.config}:{line}: {key}: " in told
    assert "3 problems in" in told
    # The other commands say the same, and do nothing.
    for words in (("list",), ("poll", CAMERA), ("run",), ("trust", "--all")):
        assert f"{site.config}:{first}: colour: " in site.cli(*words, code=2)
    assert not site.state.exists()


def test_version_names_itself() -> None:
    done = latarnik("version")
    assert (done.code, done.err) == (0, "")
    assert done.out == f"latarnik {__version__} (Python {platform.python_version()}, {platform.machine()})\n"
