from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from agent.inventory import Inventory, build
from agent.model import HttpCredential, SnmpCredential, TlsMode
from config.load import load

PASSWORD = "correct-horse-8"

CONFIG = f"""
site: {{name: krakow, timezone: Europe/Warsaw}}
credentials:
  rooms: {{username: admin, password_env: P}}
  cameras: {{username: operator, password_env: P}}
  ro: {{snmp: {{version: 2c, community_env: P}}}}
  v3: {{snmp: {{version: 3, user: monitor, auth: sha256, auth_key_env: P, priv: aes128, priv_key_env: P}}}}
contracts:
  hezo: {{plan: hezo-plus, number: HZ/1, contact: {{name: Jan, phone: "1", email: jan@example.org}}, address: Example 1}}
  bare: {{}}
poly: {{level: 2}}
devices:
  - {{id: room, vendor: poly, host: 192.0.2.1, credentials: {{http: rooms, snmp: v3}}, contract: hezo, room: "3.14", site: gdansk, interval: 30s}}
  - {{id: camera, vendor: poly, parent: room, serial: E1}}
  - {{id: panel, vendor: poly, parent: camera, model: TC8, room: lobby, credentials: cameras, contract: bare, poly: {{level: 3}}}}
  - {{id: gate, vendor: axis, host: 192.0.2.2, port: 8443, tls: {{mode: pin, sha256: "{"0f" * 32}"}}, credentials: {{http: cameras, snmp: ro}}, tags: [east]}}
desks:
  help: {{type: toy}}
  vendor: {{type: toy, role: vendor, language: pl, approval: required}}
routes:
  - {{match: {{plan: hezo-plus, vendor: [poly, axis]}}, to: [help, vendor, help]}}
  - {{match: {{tag: east}}, to: [help]}}
"""


class Level(BaseModel):
    model_config = ConfigDict(extra="forbid")

    level: int = 1


class Empty(BaseModel):
    model_config = ConfigDict(extra="forbid")


@pytest.fixture
def inventory(tmp_path: Path) -> Inventory:
    path = tmp_path / "latarnik.yaml"
    path.write_text(CONFIG, encoding="utf-8")
    return build(load(path, vendors={"poly": Level, "axis": Empty}, desks={"toy": Empty}, environ={"P": PASSWORD}))


def test_devices_are_in_order_and_hold_what_was_written(inventory: Inventory) -> None:
    room, _, _, gate = inventory.devices
    assert [device.id for device in inventory.devices] == ["room", "camera", "panel", "gate"]
    assert (room.host, room.site, room.room, room.interval, room.tls.mode) == ("192.0.2.1", "gdansk", "3.14", 30.0, TlsMode.ENROL)
    assert (gate.port, gate.site, gate.tls.mode, gate.tls.sha256, gate.tags) == (8443, "krakow", TlsMode.PIN, "0f" * 32, ("east",))
    assert room.settings == Level(level=2)
    assert gate.settings == Empty()


def test_a_part_takes_from_its_parent_what_it_does_not_have(inventory: Inventory) -> None:
    room, camera, panel, _ = inventory.devices
    assert (camera.site, camera.room, camera.contract, camera.credentials) == ("gdansk", "3.14", room.contract, room.credentials)
    assert (panel.site, panel.room, panel.settings) == ("gdansk", "lobby", Level(level=3))
    assert set(panel.credentials) == {"http"}
    assert panel.contract is not None
    assert (panel.contract.id, panel.contract.plan) == ("bare", "")


def test_accounts_are_made_once_and_hold_their_secrets(inventory: Inventory) -> None:
    room, camera, _, gate = inventory.devices
    http = room.http_credential()
    assert http == HttpCredential(name="rooms", username="admin", password=http.password) if http else False
    assert http is not None
    assert http.password.reveal() == PASSWORD
    assert camera.http_credential() is http
    community, third = gate.snmp_credential(), room.snmp_credential()
    assert isinstance(community, SnmpCredential)
    assert isinstance(third, SnmpCredential)
    assert (community.snmp_version, community.community.reveal()) == (2, PASSWORD)
    assert (third.user, third.auth, third.priv, third.auth_key.reveal()) == ("monitor", "sha256", "aes128", PASSWORD)
    assert PASSWORD not in repr(inventory)


def test_desks_and_routes_are_the_agents_own(inventory: Inventory) -> None:
    internal, vendor = inventory.desks
    assert (internal.name, internal.role, internal.approval) == ("help", "internal", False)
    assert (vendor.role, vendor.language, vendor.approval, vendor.settings) == ("vendor", "pl", True, Empty())
    first, second = inventory.routes
    assert (first.plan, first.vendor, first.to) == (("hezo-plus",), ("poly", "axis"), ("help", "vendor"))
    assert (second.tag, second.to) == (("east",), ("help",))
    contract = inventory.contracts["hezo"]
    assert (contract.number, contract.contact_name, contract.contact_phone, contract.contact_email, contract.address) == (
        "HZ/1", "Jan", "1", "jan@example.org", "Example 1",
    )  # fmt: skip
