from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agent.errors import BadPayload
from agent.ports import FacetData
from collectors.axis import parse, parse_snmp, parse_storage
from collectors.axis.firmware import track_of, version_of
from collectors.axis.parse import Timed
from tests.axis import samples
from tests.axis.doubles import NOW


def values(data: FacetData, metric: str) -> dict[tuple[str, ...], float | str | None]:
    return {r.labels: r.value if r.value is not None else r.state for r in data.readings if r.metric == metric}


def states(data: FacetData) -> dict[str, str]:
    return {c.key: c.state for c in data.components}


@pytest.mark.parametrize("case", samples.IDENTITIES)
def test_identity_and_use_of_each_generation_and_product(case: str) -> None:
    payload, (model, firmware, serial), in_use = samples.IDENTITIES[case]
    data = parse.identity(payload)
    assert (data.identity.model, data.identity.firmware, data.identity.serial) == (model, firmware, serial)
    assert data.identity.mac.replace(":", "").upper() == serial
    assert data.identity.vendor == "AXIS"
    assert data.in_use is in_use


def test_a_serial_number_of_another_form_is_kept_and_gives_no_mac() -> None:
    data = parse.identity(samples.identity(SerialNumber="DEMO-4711"))
    assert data.identity.serial == "DEMO-4711"
    assert data.identity.mac == ""


def test_the_identity_of_an_old_device_comes_from_its_parameters() -> None:
    data = parse.identity_account(samples.BRAND_5_51)
    assert (data.identity.model, data.identity.firmware, data.identity.serial, data.identity.hardware) == ("P5599", "5.51.3", "00408C0A0B04", "1A9")
    assert data.in_use is False


def test_parameters_are_read_with_and_without_root_and_between_errors() -> None:
    text = "# Error: Error -1 getting param in group 'X'\r\nBrand.ProdNbr=P1\r\nroot.Brand.Brand=AX=IS\r\n<html>"
    assert parse.parameters(text) == {"Brand.ProdNbr": "P1", "Brand.Brand": "AX=IS"}
    assert not parse.parameter_errors(text)
    assert parse.parameter_errors("# Error: Error -1 getting param in group 'X'\n\n")


def test_readiness_of_11_11_has_boot_time_and_boot_id() -> None:
    data = parse.readiness(Timed(payload=samples.readiness(), at=NOW))
    assert values(data, "latarnik_device_ready") == {(): 1.0}
    assert values(data, "latarnik_axis_needs_setup") == {(): 0.0}
    assert values(data, "latarnik_device_boot_timestamp_seconds") == {(): NOW.timestamp() - 86400}
    assert data.facts == {"ready": "yes", "needs_setup": "no", "boot_id": "5d0d9f3e-1111-4c1b-9d55-0123456789aa"}


def test_readiness_of_10_12_has_neither() -> None:
    data = parse.readiness(Timed(payload=samples.readiness(uptime=None, bootid=None), at=NOW))
    assert data.facts == {"ready": "yes", "needs_setup": "no"}
    assert not values(data, "latarnik_device_boot_timestamp_seconds")


@pytest.mark.parametrize(("said", "meant"), [("yes", "yes"), ("True", "yes"), (1, "yes"), (True, "yes"), ("no", "no"), ("0", "no"), (False, "no")])
def test_yes_and_no_are_understood_in_every_spelling(said: object, meant: str) -> None:
    assert parse.readiness(Timed(payload=samples.readiness(systemready=said), at=NOW)).facts["ready"] == meant


@pytest.mark.parametrize("uptime", ["-5", "nan", "inf", "soon", 1e300, True, None])
def test_an_impossible_uptime_gives_no_boot_time(uptime: object) -> None:
    data = parse.readiness(Timed(payload=samples.readiness(uptime=uptime), at=NOW))
    assert not values(data, "latarnik_device_boot_timestamp_seconds")
    assert data.facts["ready"] == "yes"


def test_temperatures_fans_and_heaters() -> None:
    data = parse.temperatures(samples.TEMPERATURES)
    assert values(data, "latarnik_device_temperature_celsius") == {("Main",): 41.25, ("CPU",): 55.0}
    assert values(data, "latarnik_device_heater_ok") == {("H0",): 1.0, ("H1",): 1.0}
    assert values(data, "latarnik_device_fan_ok") == {("F0",): 1.0, ("F1",): 0.0}
    assert states(data) == {"Main": "ok", "CPU": "ok", "H0": "ok", "H1": "ok", "F0": "ok", "F1": "failed"}


@pytest.mark.parametrize("nonsense", ["999.00", "200", "-50", "-273.15", "", "n/a", "inf"])
def test_a_temperature_no_device_can_have_is_left_out(nonsense: str) -> None:
    data = parse.temperatures(f"Sensor.S0.Name=Main\nSensor.S0.Celsius={nonsense}\nSensor.S1.Name=CPU\nSensor.S1.Celsius=30\n")
    assert values(data, "latarnik_device_temperature_celsius") == {("CPU",): 30.0}
    assert states(data) == {"Main": "unknown", "CPU": "ok"}


def test_fahrenheit_helps_out_where_celsius_is_missing() -> None:
    assert values(parse.temperatures("Sensor.S0.Fahrenheit=212\n"), "latarnik_device_temperature_celsius") == {("S0",): 100.0}


def test_sensors_of_one_name_are_told_apart_by_their_ids_in_both_answers() -> None:
    text = "".join(f"Sensor.S{n}.Name=Main\nSensor.S{n}.Celsius=30\nSensor.S{n}.TriggerHigh=80\n" for n in (0, 1))
    assert set(values(parse.temperatures(text), "latarnik_device_temperature_celsius")) == {("Main (S0)",), ("Main (S1)",)}
    assert set(values(parse.temperature_limits(text), "latarnik_device_temperature_limit_celsius")) == {("Main (S0)", "high"), ("Main (S1)", "high")}


def test_an_unknown_fan_word_is_neither_good_nor_bad() -> None:
    data = parse.temperatures("Fan.F0.Status=Meditating\n")
    assert not data.readings
    assert states(data) == {"F0": "unknown"}
    assert data.components[0].raw == "Meditating"


def test_limits_are_the_devices_own() -> None:
    limits = values(parse.temperature_limits(samples.LIMITS), "latarnik_device_temperature_limit_celsius")
    assert limits == {("Main", "high"): 80, ("Main", "low"): -40, ("CPU", "high"): 105, ("CPU", "low"): -40}


def test_limits_that_contradict_themselves_are_left_out() -> None:
    assert not parse.temperature_limits(
        "TemperatureControl.Sensor.S0.Name=A\nTemperatureControl.Sensor.S0.TriggerHigh=0\nTemperatureControl.Sensor.S0.TriggerLow=0"
    ).readings


def test_disks_that_work() -> None:
    data = parse_storage.disks(samples.disks(samples.disk(), samples.EMPTY_SHARE))
    assert values(data, "latarnik_axis_storage_status") == {("SD_DISK",): "ok", ("NetworkShare",): "disconnected"}
    assert values(data, "latarnik_device_storage_ok") == {("SD_DISK",): 1.0}
    assert values(data, "latarnik_device_storage_size_bytes") == {("SD_DISK",): 62_000_000 * 1024}
    assert values(data, "latarnik_device_storage_free_bytes") == {("SD_DISK",): 6_200_000 * 1024}
    assert states(data) == {"SD_DISK": "ok", "NetworkShare": "off"}


@pytest.mark.parametrize(
    ("status", "state", "part"),
    [
        ("OK", "ok", "ok"),
        ("ok", "ok", "ok"),
        ("connected", "connected", "off"),
        ("disconnected", "disconnected", "off"),
        ("failed", "failed", "failed"),
        ("wrong passphrase", "locked_out", "unknown"),
        ("sulking", "unknown", "unknown"),
        (None, "unknown", "unknown"),
    ],
)
def test_every_status_of_a_disk(status: str | None, state: str, part: str) -> None:
    data = parse_storage.disks(samples.disks(samples.disk(status=status)))
    assert values(data, "latarnik_axis_storage_status") == {("SD_DISK",): state}
    assert states(data) == {"SD_DISK": part}


def test_a_list_without_disks_is_an_answer_and_another_document_is_not() -> None:
    assert parse_storage.disks(samples.disks()) == FacetData()
    with pytest.raises(BadPayload):
        parse_storage.disks(b"<html><body>Login</body></html>")


def test_entities_in_xml_are_refused() -> None:
    bomb = b'<!DOCTYPE r [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;">]><root><disks><disk diskid="&b;"/></disks></root>'
    with pytest.raises(BadPayload, match="not XML"):
        parse_storage.disks(bomb)


def test_wear_self_check_and_temperature_of_a_card() -> None:
    data = parse_storage.disk_health(samples.health(wear="104"))
    assert values(data, "latarnik_axis_storage_wear_ratio") == {("SD_DISK",): 1.04}
    assert values(data, "latarnik_axis_storage_self_check_ok") == {("SD_DISK",): 1.0}
    assert values(data, "latarnik_device_temperature_celsius") == {("SD_DISK",): 36.85}


@pytest.mark.parametrize("sentinel", ["-1", "-2", "-3", "", None])
def test_numbers_that_mean_not_known_are_no_readings(sentinel: str | None) -> None:
    assert not parse_storage.disk_health(samples.health(wear=sentinel, temperature=sentinel, overallhealth=sentinel)).readings


def test_an_error_document_is_recognised() -> None:
    assert parse_storage.xml_error(parse_storage.xml(samples.HEALTH_ERROR)) == "error 10: Not supported"
    assert parse_storage.xml_error(parse_storage.xml(samples.DISKS_ERROR)) == "busy"
    assert parse_storage.xml_error(parse_storage.xml(samples.disks(samples.disk()))) == ""


def test_the_factory_storage_parameters_are_no_sign_of_a_person() -> None:
    facts = parse_storage.storage_config(samples.STORAGE_CONFIG).facts
    assert facts == {
        "storage.SD_DISK.set_up": "no",
        "storage.SD_DISK.enabled": "yes",
        "storage.NetworkShare.set_up": "no",
        "storage.NetworkShare.enabled": "yes",
    }


@pytest.mark.parametrize(
    ("before", "after", "fact", "value"),
    [
        ("DeviceNode=NetworkShare:", "DeviceNode=NetworkShare:N0", "storage.NetworkShare.set_up", "yes"),
        ("S0.FriendlyName=", "S0.FriendlyName=evidence", "storage.SD_DISK.set_up", "yes"),
        ("S0.RequiredFileSystem=none", "S0.RequiredFileSystem=ext4", "storage.SD_DISK.set_up", "yes"),
        ("S0.Enabled=yes", "S0.Enabled=no", "storage.SD_DISK.enabled", "no"),
    ],
)
def test_signs_of_a_person_in_the_storage_parameters(before: str, after: str, fact: str, value: str) -> None:
    assert parse_storage.storage_config(samples.STORAGE_CONFIG.replace(before, after)).facts[fact] == value


@pytest.mark.parametrize(
    ("changes", "pending"),
    [
        ({"isCommited": True}, 0.0),
        ({"isCommited": False}, 1.0),
        ({"isCommited": None, "isCommitted": "no"}, 1.0),
        ({"isCommited": None, "pendingCommit": True}, 1.0),
        ({"isCommited": None, "pendingCommit": 0}, 0.0),
        ({"isCommited": None}, None),
    ],
)
def test_whether_an_upgrade_is_committed(changes: dict[str, Any], pending: float | None) -> None:
    data = parse.firmware_status(samples.firmware(**changes))
    assert list(values(data, "latarnik_axis_firmware_commit_pending").values()) == ([] if pending is None else [pending])
    assert data.facts == {"reset_source": "power-on"}
    assert data.identity.firmware == "12.9.50"


@pytest.mark.parametrize(
    ("described", "model", "firmware", "hardware"),
    [
        (b" ; AXIS P3299-LVE; Dome Camera; 10.12.300; Feb 02 2026 08:00; 9F1.2; 1;", "P3299-LVE", "10.12.300", "9F1.2"),
        (b"; AXIS P8299; Network IO Audio Module; 5.10.3; Jan 01 2015; 130; 1", "P8299", "5.10.3", "130"),
        (b"AXIS C3099-E; Network Speaker; 1.65.032", "C3099-E", "1.65.032", ""),
        (b"Linux axis 4.9", "", "", ""),
    ],
)
def test_the_system_description(described: bytes, model: str, firmware: str, hardware: str) -> None:
    told = parse_snmp.system(Timed(payload={**samples.SYSTEM, parse_snmp.SYS_DESCR: described}, at=NOW)).identity
    assert (told.model, told.firmware, told.hardware) == (model, firmware, hardware)
    assert (told.serial, told.mac, told.name) == ("B8A44F0A0B01", "b8:a4:4f:0a:0b:01", "axis-b8a44f0a0b01")


@pytest.mark.parametrize("address", [bytes(6), b"", bytes.fromhex("0050560A0B01"), b"\x00" * 8, "not an address"])
def test_an_address_that_is_not_axis_own_is_no_serial_number(address: object) -> None:
    assert parse_snmp.system(Timed(payload={**samples.SYSTEM, parse_snmp.IF_PHYS_ADDRESS: address}, at=NOW)).identity.serial == ""


def test_the_walk_of_the_video_mib() -> None:
    data = parse_snmp.video_mib(samples.WALK)
    assert states(data) == {"supply internal.1": "ok", "fan housing.1": "ok", "sensor common.3": "ok", "sensor common.4": "ok"}
    assert values(data, "latarnik_device_temperature_celsius") == {("sensor common.3",): 41.0, ("sensor common.4",): 52.0}
    assert data.facts == {"snmp.storage.SD_DISK": "2", "snmp.storage.NetworkShare": "2"}


def test_the_walk_of_a_device_that_names_no_storage_and_reports_failures() -> None:
    mib = samples.MIB
    rows = [(f"{mib}.8.1.3.1", 1), (f"{mib}.3.1.3.1.3", 3), (f"{mib}.3.1.3.1.4", 2), (f"{mib}.2.1.3.9.7", 3), ("1.3.6.1.4.1.368.4.10.1", 1)]
    data = parse_snmp.video_mib(rows)
    assert data.facts == {"snmp.storage.storage 1": "1"}
    assert states(data) == {"sensor common.3": "ok", "sensor common.4": "failed", "fan 9.7": "unknown"}
    assert next(c for c in data.components if c.key == "sensor common.3").raw == "outOfBoundary"


def test_an_empty_walk_is_an_answer() -> None:
    assert parse_snmp.video_mib([]) == FacetData()


PARSERS: tuple[Callable[[Any], FacetData], ...] = (
    parse.identity,
    parse.identity_account,
    parse.identity_parameters,
    parse.temperatures,
    parse.temperature_limits,
    parse.firmware_status,
    parse_storage.storage_config,
)


@pytest.mark.parametrize("page", ["<!DOCTYPE html><html><body>404</body></html>", "# Error: no\n", "Brand"])
@pytest.mark.parametrize("parser", PARSERS[2:5], ids=lambda p: p.__name__)
def test_a_web_page_in_place_of_a_text_is_no_answer(parser: Callable[[Any], FacetData], page: str) -> None:
    with pytest.raises(BadPayload):
        parser(page)


@pytest.mark.parametrize(
    ("text", "numbers", "track"),
    [
        ("11.11.192", (11, 11, 192), "11.11"),
        ("9.80.2.2", (9, 80, 2, 2), "9.80"),
        ("12.6+snapshot-20250722", (12, 6), "12.6"),
        ("12_11_77", (12, 11, 77), "12.11"),
        ("1.65.032", (1, 65, 32), "1.65"),
        ("13", (13,), "13.0"),
        ("beta", (), ""),
        ("", (), ""),
    ],
)
def test_firmware_versions(text: str, numbers: tuple[int, ...], track: str) -> None:
    assert version_of(text) == numbers
    assert track_of(text) == track


def test_firmware_versions_compare_as_numbers_padded_with_zeros() -> None:
    assert version_of("9.80.69") > version_of("9.80.3.9")
    assert version_of("11.11") == version_of("11.11.0")
