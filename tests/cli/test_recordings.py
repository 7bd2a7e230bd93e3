"""`latarnik poll`, the real command in a process of its own, against recordings of real devices. Nothing of them is kept here.

Replayed are the four Axis units that are whole, the M1065-LW put together from `kane610-axis`, and the Poly Studio X30.

Left out, with the reason:
- `axis/rs4acap-fixtures`: single answers of different devices; no model, firmware and serial number that belong together
- the other files of `axis/kane610-axis`: events, applications, and parameter groups of an M7001 (5.20) and an A9188 (1.84) without a model or
  a serial number beside them
- `poly/cli_groupseries_examples.txt`, `poly/extron_observed_enums.json`, `poly/snmp_polycom_endpoint_oids.csv`: excerpts and lists, no device
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.report import checked
from tests.cli.served import in_thread, site_of
from tests.replay.axis_replay import ASSEMBLED, RECORDINGS, WHOLE, replay
from tests.replay.poly_replay import PASSWORD, USER, Replay, bodies, serve_replay

FOLDER = Path(os.environ.get(RECORDINGS, ""))
pytestmark = pytest.mark.skipif(not os.environ.get(RECORDINGS), reason=f"{RECORDINGS} does not name a folder of recordings")

MASKED = "0123456789AB"
"""The recorder put this in the place of the units' serial numbers."""
AXIS = {
    "D4200-VE@12.9.57": ("D4200-VE", "12.9.57", MASKED),
    "M3066-V@10.12.323": ("M3066-V", "10.12.323", MASKED),
    "P3245-LVE@11.11.192": ("P3245-LVE", "11.11.192", MASKED),
    "Q1951-E@11.11.192": ("Q1951-E", "11.11.192", MASKED),
    ASSEMBLED: ("M1065-LW", "9.80.1", "ACCC12345678"),
}
LEFT_OUT = {"rs4acap-fixtures"}


def poll(folder: Path, *options: str, user: str, password: str) -> tuple[str, str, str]:
    """(model, firmware, serial number) of a device that is read without a fault."""
    secret = folder / "password"
    secret.write_text(password)
    secret.chmod(0o600)
    arguments = ["poll", "--host", "127.0.0.1", *options, "--username", user, "--password-file", str(secret), "--output", "json"]
    done = subprocess.run([sys.executable, "-P", "-m", "agent.cli", *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    report = checked(done.stdout)
    assert report["reachable"]
    assert report["faults"] == []
    assert report["errors"] == []
    identity = report["identity"]
    return identity["model"], identity["firmware"], identity["serial"]


@pytest.mark.parametrize("unit", AXIS)
def test_a_recorded_axis_unit_is_known_by_model_firmware_and_serial_number(unit: str, tmp_path: Path) -> None:
    with in_thread(lambda: site_of(replay(FOLDER / "axis" / unit))) as port:
        found = poll(tmp_path, "--vendor", "axis", "--scheme", "http", "--port", str(port), user="root", password="Nagranie-2026")
    assert found == AXIS[unit]


def test_the_recorded_studio_x30_is_known_by_model_firmware_and_serial_number(tmp_path: Path) -> None:
    device = Replay(recorded=bodies(FOLDER / "poly" / "x30_3.12.0"))
    with in_thread(lambda: serve_replay(device)) as port:
        found = poll(tmp_path, "--vendor", "poly", "--port", str(port), "--tls", "insecure", user=USER, password=PASSWORD)
    assert found == ("StudioX30", "3.12.0", "8L200353429AFC")
    assert not device.sessions, "the session was given back"


def test_every_recorded_device_is_replayed_or_left_out_for_a_reason() -> None:
    assert set(AXIS) == {*WHOLE, ASSEMBLED}
    assert {path.name for path in (FOLDER / "axis").iterdir() if path.is_dir()} == set(AXIS) | LEFT_OUT
    assert {path.name for path in (FOLDER / "poly").iterdir() if path.is_dir()} == {"x30_3.12.0"}
