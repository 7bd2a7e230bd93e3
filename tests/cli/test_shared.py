"""`latarnik list` and `adopt` where several devices have one cause, without a daemon: what was written down tells it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from agent.model import Incident
from agent.store import queries
from agent.store.database import open_store
from tests.agent.test_correlation import incident
from tests.cli.terminal import latarnik


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "latarnik.yaml"
    devices = "".join(f"  - {{id: {name}, vendor: axis, host: 192.0.2.{n}}}\n" for n, name in enumerate(("gate", "dock", "yard"), 1))
    file.write_text(f"site: {{name: krakow, timezone: Europe/Warsaw}}\nstate_dir: state\ndesks: {{}}\nroutes: []\ndevices:\n{devices}")
    root = incident("gate", first_sight=True)
    with open_store(tmp_path / "state") as store, store.transaction() as c:
        for each in (root, incident("dock", 1, parent=root.id, first_sight=True), incident("yard", 2, parent=root.id, first_sight=True)):
            queries.save_incident(c, each)
    return file


def written(config: Path) -> dict[str, Incident]:
    with open_store(config.parent / "state") as store, store.transaction() as c:
        return {i.device: i for i in queries.open_incidents(c)}


def test_the_list_shows_one_incident_and_what_is_part_of_it(config: Path) -> None:
    devices = {d["id"]: d["faults"][0] for d in json.loads(latarnik("list", "--output", "json", "--config", str(config)).out)["devices"]}
    assert {name: (f["part_of"], f["devices"], f["cause"]) for name, f in devices.items()} == {
        "gate": ("", 3, "credential:cameras"),
        "dock": ("i-gate", 1, "credential:cameras"),
        "yard": ("i-gate", 1, "credential:cameras"),
    }
    assert devices["gate"]["summary"] == "3 devices: gate, dock, yard. refused"
    text = latarnik("list", "--config", str(config)).out
    assert "device.login_refused, 3 devices as i-gate (latarnik adopt i-gate)" in text
    assert text.count("(part of i-gate)") == 2
    assert text.count("latarnik adopt") == 1


def test_adopting_one_of_them_adopts_the_one_that_stands_for_all(config: Path) -> None:
    done = latarnik("adopt", "i-yard", "--config", str(config))
    assert done.code == 0
    assert "i-yard is part of i-gate" in done.out
    assert {name: i.adopted for name, i in written(config).items()} == {"gate": True, "dock": False, "yard": False}
    cased = replace(written(config)["gate"], case="krakow-2026-0001")
    with open_store(config.parent / "state") as store, store.transaction() as c:
        queries.save_incident(c, cased)
    assert "already case krakow-2026-0001" in latarnik("adopt", "i-dock", "--config", str(config)).out
