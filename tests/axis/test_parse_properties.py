"""What holds for every answer: dropping one thing costs that thing alone, garbage raises BadPayload alone, a valid sample never raises."""

from __future__ import annotations

import copy
import string
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import BadPayload
from agent.ports import FacetData
from collectors.axis import facets, parse, parse_snmp, parse_storage
from collectors.axis.facets_health import DISCOVERY_FACETS, HEALTH_FACETS
from collectors.axis.firmware import track_of, version_of
from collectors.axis.parse import Timed
from collectors.axis.parse_devices import met
from tests.axis import samples
from tests.axis.doubles import NOW

Parser = Callable[[Any], FacetData]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=12), children, max_size=4),
    max_leaves=12,
)
LINES = st.lists(
    st.sampled_from([*samples.TEMPERATURES.splitlines(), *samples.LIMITS.splitlines(), *samples.STORAGE_CONFIG.splitlines(), *samples.BRAND_5_51.splitlines()])
    | st.text(string.printable, max_size=60),
    max_size=12,
).map("\n".join)
VALUES = st.none() | st.integers() | st.binary(max_size=20) | st.text(max_size=20)


def quiet(parser: Parser, raw: object) -> FacetData | None:
    """The answer, or None for BadPayload; anything else escapes and fails the test."""
    try:
        return parser(raw)
    except BadPayload:
        return None


@given(payload=JSON, told=st.dictionaries(st.sampled_from([*samples.identity()["data"]["propertyList"], *samples.readiness()["data"]]), JSON))
def test_garbage_in_json_raises_bad_payload_alone(payload: object, told: dict[str, Any]) -> None:
    for raw in (payload, {"data": payload}, {"data": told}, {"data": {"propertyList": told}}, {"data": {"propertyList": payload}}):
        quiet(parse.identity, raw)
        quiet(parse.firmware_status, raw)
        quiet(parse.readiness, Timed(payload=raw, at=NOW))


@given(text=st.text(max_size=200) | LINES)
def test_garbage_in_texts_raises_bad_payload_alone(text: str) -> None:
    for parser in (parse.temperatures, parse.temperature_limits, parse.identity_parameters, parse_storage.storage_config):
        quiet(parser, text)


@given(body=st.binary(max_size=200) | st.text(max_size=100).map(lambda text: f"<disks><disk diskid='{text}'/></disks>".encode()))
def test_garbage_in_xml_raises_bad_payload_alone(body: bytes) -> None:
    quiet(parse_storage.disks, body)
    quiet(parse_storage.disk_health, body)


@given(
    told=st.dictionaries(st.sampled_from(parse_snmp.SYSTEM), VALUES),
    rows=st.lists(
        st.tuples(st.sampled_from([oid for oid, _ in samples.WALK]) | st.text("0123456789.", max_size=40).map((parse_snmp.VIDEO_MIB + ".").__add__), VALUES)
    ),
)
def test_garbage_over_snmp_raises_bad_payload_alone(told: dict[str, Any], rows: list[tuple[str, Any]]) -> None:
    quiet(parse_snmp.system, Timed(payload=told, at=NOW))
    quiet(parse_snmp.video_mib, rows)


@given(text=st.text(max_size=40))
def test_any_text_has_a_version_or_none(text: str) -> None:
    assert (track_of(text) == "") == (version_of(text) == ())


@given(
    state=st.sampled_from(["OK", "connected", "disconnected", "failed", "odd"]),
    size=st.integers(min_value=-3, max_value=2**50),
    free=st.integers(min_value=-3, max_value=2**50),
    wear=st.integers(min_value=-3, max_value=150),
)
def test_a_valid_disk_never_raises_and_no_reading_is_a_sentinel(state: str, size: int, free: int, wear: int) -> None:
    data = parse_storage.disks(samples.disks(samples.disk(status=state, totalsize=str(size), freesize=str(free))))
    data_health = parse_storage.disk_health(samples.health(wear=str(wear)))
    assert all(r.value is None or r.value >= 0 for r in (*data.readings, *data_health.readings))


@given(numbers=st.lists(st.floats(min_value=-300, max_value=2000), min_size=1, max_size=5))
def test_valid_temperatures_never_raise_and_stay_in_bounds(numbers: list[float]) -> None:
    text = "".join(f"Sensor.S{i}.Name=n{i}\nSensor.S{i}.Celsius={value:.2f}\n" for i, value in enumerate(numbers))
    data = parse.temperatures(text)
    assert len(data.components) == len(numbers)
    assert all(r.value is not None and -50 < r.value < 200 for r in data.readings)


# --- dropping a key ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dropped", [k for k in samples.identity()["data"]["propertyList"] if k != "SerialNumber"])
def test_a_dropped_property_costs_its_own_field_alone(dropped: str) -> None:
    full, less = parse.identity(samples.identity()).identity, parse.identity(samples.identity(**{dropped: None})).identity
    of = {"Brand": "vendor", "Version": "firmware", "HardwareID": "hardware"}
    for name in ("vendor", "model", "serial", "firmware", "hardware", "mac"):
        assert getattr(less, name) == ("" if of.get(dropped) == name else getattr(full, name))


@pytest.mark.parametrize("dropped", list(samples.readiness()["data"]))
def test_a_dropped_key_of_readiness_costs_its_own_reading_alone(dropped: str) -> None:
    full = parse.readiness(Timed(payload=samples.readiness(), at=NOW))
    less = parse.readiness(Timed(payload=samples.readiness(**{dropped: None}), at=NOW))
    of = {"systemready": "latarnik_device_ready", "needsetup": "latarnik_axis_needs_setup", "uptime": "latarnik_device_boot_timestamp_seconds"}
    assert less.readings == tuple(r for r in full.readings if r.metric != of.get(dropped))


@pytest.mark.parametrize("line", range(len(samples.TEMPERATURES.splitlines())))
def test_a_dropped_line_of_the_temperatures_costs_its_own_part_alone(line: int) -> None:
    lines = samples.TEMPERATURES.splitlines()
    part = lines[line].split(".")[1]
    names = {"S0": {"S0", "Main"}, "S1": {"S1", "CPU"}}.get(part, {part})
    full = parse.temperatures(samples.TEMPERATURES)
    less = parse.temperatures("\n".join(lines[:line] + lines[line + 1 :]))
    assert [r for r in less.readings if r.component not in names] == [r for r in full.readings if r.component not in names]
    assert [c for c in less.components if c.key not in names] == [c for c in full.components if c.key not in names]


@pytest.mark.parametrize("line", range(len(samples.LIMITS.splitlines())))
def test_a_dropped_line_of_the_limits_costs_its_own_sensor_alone(line: int) -> None:
    lines = samples.LIMITS.splitlines()
    part = lines[line].split(".")[3]
    names = {"S0": {"S0", "Main"}, "S1": {"S1", "CPU"}}.get(part, set())
    full = parse.temperature_limits(samples.LIMITS)
    less = parse.temperature_limits("\n".join(lines[:line] + lines[line + 1 :]))
    assert [r for r in less.readings if r.component not in names] == [r for r in full.readings if r.component not in names]


@pytest.mark.parametrize("attribute", ["name", "totalsize", "freesize", "locked", "full", "readonly", "status", "filesystem", "encryptionenabled"])
def test_a_dropped_attribute_of_a_disk_costs_its_own_reading_alone(attribute: str) -> None:
    of = {
        "totalsize": {"latarnik_device_storage_size_bytes", "latarnik_device_storage_free_bytes"},  # free space of an unknown size is no health
        "freesize": {"latarnik_device_storage_free_bytes"},
        "status": {"latarnik_axis_storage_status", "latarnik_device_storage_ok"},
    }.get(attribute, set())
    full = parse_storage.disks(samples.disks(samples.disk(), samples.disk("NetworkShare")))
    less = parse_storage.disks(samples.disks(samples.disk("SD_DISK", **{attribute: None}), samples.disk("NetworkShare")))
    kept = [r for r in full.readings if r.component == "NetworkShare" or r.metric not in of]
    assert [r for r in less.readings if r.component == "NetworkShare" or r.metric not in of] == kept


@pytest.mark.parametrize("attribute", ["wear", "temperature", "overallhealth"])
def test_a_dropped_attribute_of_disk_health_costs_its_own_reading_alone(attribute: str) -> None:
    assert len(parse_storage.disk_health(samples.health(**{attribute: None})).readings) == 2


@pytest.mark.parametrize("row", range(len(samples.WALK)))
def test_a_dropped_row_of_the_walk_costs_its_own_part_alone(row: int) -> None:
    full, less = parse_snmp.video_mib(samples.WALK), parse_snmp.video_mib(samples.WALK[:row] + samples.WALK[row + 1 :])
    assert len(less.readings) >= len(full.readings) - 1
    assert set(less.readings) <= set(full.readings)


@pytest.mark.parametrize("oid", parse_snmp.SYSTEM)
def test_a_dropped_variable_of_the_system_group_costs_its_own_fields_alone(oid: str) -> None:
    less = {key: value for key, value in samples.SYSTEM.items() if key != oid}
    full_told, less_told = (parse_snmp.system(Timed(payload=copy.copy(told), at=NOW)) for told in (samples.SYSTEM, less))
    of = {parse_snmp.SYS_DESCR: {"vendor", "model", "firmware", "hardware"}, parse_snmp.SYS_NAME: {"name"}, parse_snmp.IF_PHYS_ADDRESS: {"serial", "mac"}}
    for name in ("vendor", "model", "serial", "firmware", "hardware", "mac", "name"):
        assert getattr(less_told.identity, name) == ("" if name in of.get(oid, set()) else getattr(full_told.identity, name))


def test_every_parser_of_the_table_has_its_properties_here() -> None:
    tested = {
        parse.readiness,
        parse.temperatures,
        parse.temperature_limits,
        parse.firmware_status,
        parse_storage.disks,
        parse_storage.disk_health,
        parse_storage.storage_config,
        parse_snmp.system,
        parse_snmp.video_mib,
    }
    others = {facet.parse for facet in (*DISCOVERY_FACETS, *HEALTH_FACETS)}  # in test_health_parsers
    assert {facet.parse for facet in facets.FACETS} == tested | others | {met}
