from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

import pytest

from config.errors import ConfigError
from config.reference import render
from config.settings import Settings
from tests.config.toys import DESKS, PASSWORD, VENDORS, Axis, Mail, Poly, Rt, Strict, load_text, read_cases, write_secret

SAMPLE = f"""
site: {{name: krakow-hq, timezone: Europe/Warsaw}}
listen: 127.0.0.1:9877
credentials:
  rooms:   {{username: admin, password_file: rooms.password}}
  cameras: {{username: operator, password_env: CAMERA_PASSWORD}}
  cameras-admin: {{username: root, password_file: rooms.password}}
  snmp-ro: {{snmp: {{version: 3, user: monitor, auth: sha256, auth_key_file: snmp.auth, priv: aes128, priv_key_file: snmp.priv}}}}
contracts:
  hezo-7: {{plan: partner-poly-plus, number: "HZ/2026/0007", starts: 2026-01-02, ends: 2029-01-01, purchased: 2025-12-15,
            contact: {{name: Jan Example, phone: "+48 000", email: jan@example.org}}, address: Example 1}}
devices:
  - {{id: room-314, vendor: poly, host: 192.0.2.14, credentials: rooms, contract: hezo-7, room: "3.14"}}
  - {{id: gate-2, vendor: axis, host: 192.0.2.2, port: 8443, credentials: {{http: cameras, service: cameras-admin, snmp: snmp-ro}},
      tls: {{mode: pin, sha256: "{":".join(["AB"] * 32)}"}}}}
  - {{file: devices.csv}}
desks:
  helpdesk: {{type: rt, url: https://rt.example.org, token_file: rt.token, queue: Serwis}}
  vendor:   {{type: mail, role: vendor, to: [service@example.org], from: rooms@example.org, smtp: smtp.example.org, language: pl, approval: required}}
routes:
  - {{match: {{plan: partner-poly-plus}}, to: [helpdesk, vendor]}}
  - {{to: [helpdesk]}}
"""

MINIMAL = "site: {name: hq}\ndevices: [{id: gate-2, vendor: axis, host: 192.0.2.7}]\n"
CAMERA = "credentials: {cameras: {username: operator, password_env: CAMERA_PASSWORD}}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("rooms.password", "snmp.auth", "snmp.priv", "rt.token"):
        write_secret(tmp_path / name, f"{name}-{PASSWORD}\n")
    (tmp_path / "devices.csv").write_text("id,vendor,host,credentials.http,room\ngate-3,axis,192.0.2.3,cameras,3.10\n", encoding="utf-8")
    return tmp_path


def test_the_public_sample_loads(folder: Path) -> None:
    settings = load_text(folder, SAMPLE)
    assert settings.warnings == ()
    assert (settings.site.name, settings.listen.host, settings.listen.port) == ("krakow-hq", "127.0.0.1", 9877)
    assert [device.id for device in settings.devices] == ["room-314", "gate-2", "gate-3"]
    room, gate, table = settings.devices
    assert room.room == "3.14"
    assert dict(room.credentials.named()) == {"http": "rooms"}
    assert dict(gate.credentials.named()) == {"http": "cameras", "service": "cameras-admin", "snmp": "snmp-ro"}
    assert gate.tls.sha256 == "ab" * 32
    assert table.room == "3.10"
    assert settings.credentials["rooms"].password.reveal() == f"rooms.password-{PASSWORD}"
    assert settings.credentials["cameras"].password.reveal() == PASSWORD
    snmp = settings.credentials["snmp-ro"].snmp
    assert snmp is not None
    assert (snmp.auth_key.reveal(), snmp.priv_key.reveal()) == (f"snmp.auth-{PASSWORD}", f"snmp.priv-{PASSWORD}")
    assert settings.contracts["hezo-7"].ends == dt.date(2029, 1, 1)
    assert isinstance(settings.desks["helpdesk"].settings, Rt)
    mail = settings.desks["vendor"].settings
    assert isinstance(mail, Mail)
    assert mail.sender == "rooms@example.org"
    assert [route.to for route in settings.routes] == [("helpdesk", "vendor"), ("helpdesk",)]


def test_no_secret_shows_in_the_settings(folder: Path) -> None:
    settings = load_text(folder, SAMPLE)
    for shown in (repr(settings), str(settings), settings.model_dump_json(), repr(settings.credentials["rooms"].password)):
        assert PASSWORD not in shown


def test_a_minimal_config_has_the_documented_defaults(tmp_path: Path) -> None:
    settings = load_text(tmp_path, MINIMAL, environ={})
    assert (settings.file, settings.directory) == (tmp_path / "latarnik.yaml", tmp_path)
    assert settings.listen.text == "127.0.0.1:9877"
    assert (settings.polling.interval, settings.polling.timeout, settings.polling.concurrency, settings.polling.stale_after_missed) == (60.0, 10.0, 100, 3)
    assert (settings.evidence.max_age, settings.evidence.max_size) == (90 * 86400.0, 5 * 2**30)
    assert (settings.language, settings.faults_at_first_sight) == ("en", "list")
    assert settings.devices[0].tls.mode == "enrol"
    assert settings.state_dir == Path.home() / ".local/state/latarnik"
    assert [warning.what for warning in settings.warnings] == ["has no credentials: only what it tells everybody can be read"]


def test_the_state_folder_is_systemds_unless_the_file_names_one(tmp_path: Path) -> None:
    assert load_text(tmp_path, MINIMAL, environ={"STATE_DIRECTORY": "/var/lib/latarnik:/x"}).state_dir == Path("/var/lib/latarnik")
    assert load_text(tmp_path, MINIMAL + "state_dir: state\n", environ={"STATE_DIRECTORY": "/x"}).state_dir == tmp_path / "state"


def test_a_text_is_what_is_written(tmp_path: Path) -> None:
    text = "site: {name: 007}\n" + CAMERA.replace("operator", "no") + "contracts: {c: {number: 2026.10}}\n"
    text += "devices:\n  - {id: 0012, vendor: axis, host: 192.0.2.7, credentials: cameras, contract: c,\n"
    text += "     room: 3.10, serial: 00408C123456, model: 1e3, tags: [on, 5, true]}\n"
    text += "routes: [{match: {tag: 5}, to: [d]}]\ndesks: {d: {type: rt, url: x, token_file: t, queue: 12:30}}\n"
    write_secret(tmp_path / "t")
    settings = load_text(tmp_path, text)
    device = settings.devices[0]
    assert (settings.site.name, settings.credentials["cameras"].username, settings.contracts["c"].number) == ("007", "no", "2026.10")
    assert (device.id, device.room, device.serial, device.model, device.tags) == ("0012", "3.10", "00408C123456", "1e3", ("on", "5", "true"))
    assert settings.routes[0].match.tag == ("5",)
    desk = settings.desks["d"].settings
    assert isinstance(desk, Rt)
    assert desk.queue == "12:30"


def test_a_key_without_value_is_not_given(tmp_path: Path) -> None:
    settings = load_text(tmp_path, "site:\n  name: hq\n  timezone:\nlisten:\ndesks:\nroutes: ~\naxis:\npolling: {interval: }\ndevices: []\n")
    assert (settings.site.timezone, settings.listen.port, settings.polling.interval, settings.devices) == ("UTC", 9877, 60.0, ())


def test_a_devices_section_overrides_its_vendors_key_by_key(tmp_path: Path) -> None:
    text = (
        "site: {name: hq}\n" + CAMERA + "axis:\n  pictures: true\n  firmware: {11.11: 11.11.192, '12': 12.1}\npoly: {idle: 5m}\ntoy: {level: high}\ndevices:\n"
    )
    text += "  - {id: a, vendor: axis, host: 192.0.2.1, credentials: cameras}\n  - {id: b, vendor: axis, host: 192.0.2.2, credentials: cameras}\n"
    text += "  - {id: c, vendor: axis, host: 192.0.2.3, credentials: cameras, axis: {pictures: false, firmware: {12: 12.2}}}\n"
    text += (
        "  - {id: d, vendor: poly, host: 192.0.2.4, credentials: cameras}\n  - {id: e, vendor: toy, host: 192.0.2.5, credentials: cameras, toy: {zone: 1}}\n"
    )
    settings = load_text(tmp_path, text)
    shared, second, own, poly, toy = (device.settings for device in settings.devices)
    assert shared == Axis(pictures=True, firmware={"11.11": "11.11.192", "12": "12.1"})
    assert second is shared
    assert own == Axis(pictures=False, firmware={"11.11": "11.11.192", "12": "12.2"})
    assert poly == Poly(idle=300.0)
    assert toy == Strict(zone="1", level="high")
    assert settings.vendors["axis"] == shared


def test_anchors_and_merge_keys_say_something_once(tmp_path: Path) -> None:
    text = "site: {name: hq}\n" + CAMERA + "devices:\n  - &gate\n    id: a\n    vendor: axis\n    host: 192.0.2.1\n    credentials: cameras\n"
    text += "  - {<<: *gate, id: b, host: 192.0.2.2}\n"
    settings = load_text(tmp_path, text)
    assert [(device.id, device.host, device.vendor) for device in settings.devices] == [("a", "192.0.2.1", "axis"), ("b", "192.0.2.2", "axis")]


def test_the_systemd_credential_of_the_same_name_is_the_secret(tmp_path: Path) -> None:
    (tmp_path / "given").mkdir()
    for name in ("cameras", "ro", "v3.auth", "v3.priv"):
        write_secret(tmp_path / "given" / name, f"{name}-{PASSWORD}", 0o440)
    text = "site: {name: hq}\ndevices: []\ncredentials:\n  cameras: {username: operator}\n  ro: {snmp: {version: 2c}}\n"
    text += "  v3: {snmp: {version: 3, user: u, auth: sha1, priv: aes128}}\n"
    credentials = load_text(tmp_path, text, {"CREDENTIALS_DIRECTORY": str(tmp_path / "given")}).credentials
    assert credentials["cameras"].password.reveal() == f"cameras-{PASSWORD}"
    community, third = credentials["ro"].snmp, credentials["v3"].snmp
    assert community is not None
    assert third is not None
    assert community.community.reveal() == f"ro-{PASSWORD}"
    assert (third.auth_key.reveal(), third.priv_key.reveal()) == (f"v3.auth-{PASSWORD}", f"v3.priv-{PASSWORD}")


def test_a_secret_may_be_readable_by_its_group_and_keeps_its_spaces(tmp_path: Path) -> None:
    write_secret(tmp_path / "p", "  two words \r\n", 0o640)
    text = "site: {name: hq}\ndevices: []\ncredentials: {c: {username: u, password_file: p}}\n"
    assert load_text(tmp_path, text).credentials["c"].password.reveal() == "  two words "


def test_a_pipe_for_a_secret_is_refused_and_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p", 0o600)
    with pytest.raises(ConfigError, match="is not a regular file"):
        load_text(tmp_path, "site: {name: hq}\ndevices: []\ncredentials: {c: {username: u, password_file: p}}\n")


def test_a_site_overrides_a_plan_key_by_key_and_adds_its_own(tmp_path: Path) -> None:
    text = "site: {name: hq}\ndevices: []\nplans:\n  hezo-plus: {hours: {opens: 8}, targets: {return: {within: 5}}}\n"
    text += "  ours: {name: {en: Ours, pl: Nasz}, requires: [serial], targets: {reaction: {within: 4, unit: hour, after: sent}}}\n"
    plans = load_text(tmp_path, text).plans
    assert (plans["hezo-plus"].hours.opens, plans["hezo-plus"].hours.closes) == (8, 17)
    assert (plans["hezo-plus"].targets["return"].within, plans["hezo-plus"].targets["reaction"].within) == (5, 1)
    assert plans["hezo-plus"].requires == ("serial", "contract_number", "contract_valid")
    assert plans["ours"].targets["reaction"].unit == "hour"
    assert "axis-warranty" in plans


WARNINGS = read_cases("doubtful.txt")


@pytest.mark.parametrize("name", WARNINGS)
def test_what_is_doubtful_is_a_warning(tmp_path: Path, name: str) -> None:
    text, expected = WARNINGS[name]
    settings = load_text(tmp_path, text)
    assert [str(warning).split(": ", 1)[1] for warning in settings.warnings] == [line.replace("(d)", str(tmp_path)) for line in expected]


def test_the_contract_of_exactly_two_years_is_no_warning(tmp_path: Path) -> None:
    text = "site: {name: hq}\ndevices: []\ncontracts: {c: {plan: hezo-plus, number: N, starts: 2026-01-02, ends: 2028-01-01, purchased: 2026-01-02}}\n"
    assert load_text(tmp_path, text).warnings == ()


def test_the_reference_describes_every_key(tmp_path: Path) -> None:
    page = render(VENDORS, DESKS)
    for name, field in Settings.model_fields.items():
        assert f"| `{name}` |" in page
        assert field.description, name
    for key in ("password_file", "auth_key_file", "proof_of_purchase", "allow_basic_over_http", "stale_after_missed", "token_file", "within", "from"):
        assert f"| `{key}` |" in page, key
    assert "| `interval` | duration | `1m` |" in page
    assert "`hezo-plus` (HEZO +)" in page
