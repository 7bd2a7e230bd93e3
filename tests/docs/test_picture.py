"""The picture in the README is what the demo draws."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from simulator import demo
from simulator.fleet import demo as demo_fleet
from tests.docs.pages import ROOT


def _words(svg: str) -> str:
    return "".join(ET.fromstring(svg).itertext()).replace("\xa0", " ")


def test_the_picture_shows_the_fleet_of_the_demo_and_fetches_nothing() -> None:
    picture = (ROOT / "docs" / "demo.svg").read_text(encoding="utf-8")
    shown = _words(picture)
    fleet = demo_fleet()
    names = [member.device.name for member in fleet] + [part.id for member in fleet for part in member.parts]
    assert [name for name in names if name not in shown] == []
    assert "axis.storage.failed" in shown
    assert "poly.peripheral.missing" in shown
    assert "url(http" not in picture
    assert "…" not in shown, "a cell was too wide"


def test_the_demo_draws_what_the_daemon_shows(tmp_path: Path) -> None:
    room = {"id": "room-1", "room": "<1 & 2>", "model": "X", "serial": "S1", "firmware": "1.0", "up": False, "faults": [], "tickets": [{"ref": "T-1"}]}
    fault = {"code": "poly.status.down", "component": "row"}
    picture = demo._svg(demo.Stage(folder=tmp_path, control=0, listen=0, devices=[room | {"faults": [fault]}]))
    shown = _words(picture)
    for word in ("latarnik demo", "room-1", "<1 & 2>", "S1", "DOWN", "poly.status.down row", "T-1"):
        assert word in shown
    assert "font-face" not in picture
