"""What the parsers beside storage, heat and firmware make of answers, seen ones and odd ones."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from agent.catalogue import READING_METRICS
from agent.errors import BadPayload
from agent.ports import FacetData
from collectors.axis import parse_apps, parse_devices, parse_network, parse_power, parse_signals, parse_snmp
from collectors.axis.facets_health import DISCOVERY_FACETS, HEALTH_FACETS
from collectors.axis.known import Known
from collectors.axis.lenient import moment
from collectors.axis.metrics import METRICS
from tests.axis import health_samples as h
from tests.axis import samples
from tests.axis.doubles import NOW

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20) | st.sampled_from(h.NAMES),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.sampled_from(h.NAMES) | st.text(max_size=12), children, max_size=5),
    max_leaves=16,
)
JSON_PARSERS: tuple[Callable[[Any], FacetData], ...] = (
    parse_devices.apis,
    parse_devices.rest,
    parse_power.power,
    parse_power.clock,
    parse_network.network,
    parse_network.mqtt,
    parse_network.certificates,
    parse_devices.lights,
    parse_devices.ports,
    parse_devices.siren,
    parse_devices.siren_maintenance,
    parse_devices.sip,
    parse_apps.streams,
    parse_apps.image_health,
    lambda payload: parse_devices.call(parse_devices.Calls(payload=payload, only_calls=True)),
    lambda payload: parse_devices.met(parse_devices.Met(payload=payload, calls_told=True)),
)
SPECS = {spec.name: spec for spec in (*METRICS, *READING_METRICS)}


def well_formed(data: FacetData) -> None:
    for reading in data.readings:
        spec = SPECS[reading.metric]
        assert len(reading.labels) == len(spec.labels)
        assert all(reading.labels)
        assert reading.value is not None
    assert len({(r.metric, r.labels) for r in data.readings}) == len(data.readings)
    assert all(isinstance(value, str) for value in data.facts.values())


def values(data: FacetData, metric: str) -> dict[tuple[str, ...], float | None]:
    return {r.labels: r.value for r in data.readings if r.metric == metric}


# --- any answer -------------------------------------------------------------------------------------------------------


@given(payload=JSON, data=st.dictionaries(st.sampled_from(h.NAMES), JSON, max_size=5))
def test_any_json_is_well_formed_data_or_a_bad_payload(payload: object, data: dict[str, Any]) -> None:
    for raw in (payload, {"data": payload}, {"data": data}, {"data": {"items": [data], "client": data, "devices": [data], "streams": [data]}}):
        for parser in JSON_PARSERS:
            try:
                well_formed(parser(raw))
            except BadPayload:
                continue


@pytest.mark.parametrize("sample", h.ALL_JSON, ids=lambda sample: next(iter(sample.get("data", sample) or ["?"]), "?"))
def test_an_answer_of_one_interface_in_place_of_another_is_harmless(sample: dict[str, Any]) -> None:
    for parser in JSON_PARSERS:
        try:
            well_formed(parser(sample))
        except BadPayload:
            continue


ATTRIBUTES = st.dictionaries(
    st.sampled_from(["Name", "NiceName", "Version", "Status", "License", "LicenseExpirationDate"]), st.text("abcRunigStped012-/:TZ é", max_size=20), max_size=6
)


@given(body=st.binary(max_size=200) | ATTRIBUTES.map(lambda told: h.applications(h.application(), _element(told))))
def test_any_xml_is_well_formed_data_or_a_bad_payload(body: bytes) -> None:
    try:
        well_formed(parse_apps.applications(body))
    except BadPayload:
        return


def _element(told: dict[str, str]) -> str:
    return "<application " + " ".join(f'{key}="{value}"' for key, value in told.items()) + "/>"


@given(body=st.binary(max_size=300))
def test_any_bytes_are_a_certificate_or_a_bad_payload(body: bytes) -> None:
    with pytest.raises(BadPayload):
        parse_network.shown_certificate(body)


@given(realms=st.lists(st.text(max_size=30) | st.from_regex(r"AXIS_[0-9A-F]{11,13}", fullmatch=True), max_size=3))
def test_any_realm_names_a_serial_number_or_is_a_bad_payload(realms: list[str]) -> None:
    try:
        data = parse_devices.realm(realms)
    except BadPayload:
        return
    assert len(data.identity.serial) == 12
    assert data.identity.mac.replace(":", "").upper() == data.identity.serial


COLUMNS = ["4.1.2", "5.1.2", "6.1.2", "6.1.3", "8.1.3", "100.3.0"]
VALUES = st.none() | st.integers(-5, 300) | st.binary(max_size=20) | st.text(max_size=20)


@given(rows=st.lists(st.tuples(st.sampled_from(COLUMNS), st.integers(0, 9), VALUES), max_size=20))
def test_any_walk_gives_well_formed_signals(rows: list[tuple[str, int, Any]]) -> None:
    walk = [(f"{parse_snmp.VIDEO_MIB}.{column}" + ("" if column == parse_signals.CPU_UTILIZATION else f".{index}"), value) for column, index, value in rows]
    well_formed(parse_snmp.video_mib(walk))


@given(value=st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30) | st.datetimes().map(str))
def test_any_date_is_a_moment_that_can_be_or_none(value: object) -> None:
    found = moment(value)
    assert found is None or 0 < found < 1e10


def test_every_parser_of_the_table_is_tried_here() -> None:
    tried = {parser for parser in JSON_PARSERS if getattr(parser, "__name__", "") != "<lambda>"}
    tried |= {parse_apps.applications, parse_network.shown_certificate, parse_devices.realm, parse_devices.call}
    assert {facet.parse for facet in (*DISCOVERY_FACETS, *HEALTH_FACETS)} <= tried


# --- power and clock --------------------------------------------------------------------------------------------------


def test_power_that_the_device_does_not_know_is_no_reading() -> None:
    data = parse_power.power(h.POWER_UNKNOWN)
    assert {r.metric for r in data.readings} == {"latarnik_axis_power_watts"}
    assert values(data, "latarnik_axis_power_watts") == {("current",): 4.1, ("average",): 4.0, ("max",): 9.5}
    assert values(parse_power.power(h.power()), "latarnik_axis_poe_class") == {("pse",): 3.0, ("lldp",): 3.0}


def test_a_clock_that_is_not_kept_by_a_server_has_no_readings() -> None:
    assert parse_power.clock(h.ntp(enabled=False, synced=False, timeOffset=900)) == FacetData(facts={"ntp.enabled": "no"})
    data = parse_power.clock(h.ntp())
    assert values(data, "latarnik_axis_ntp_synced") == {(): 1.0}
    assert values(data, "latarnik_device_clock_offset_seconds") == {(): -0.004}
    assert data.facts["ntp.server"] == "time.example.org"


def test_the_clock_is_read_of_the_configuration_interface_too() -> None:
    data = parse_power.clock(h.NTP_REST)
    assert values(data, "latarnik_axis_ntp_synced") == {(): 0.0}
    assert values(data, "latarnik_device_clock_offset_seconds") == {(): 12.0}


# --- network ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "megabits", "full"),
    [
        ("100baseT_full", 100, 1.0),
        ({"current": "10baseT_half", "configured": "auto"}, 10, 0.0),
        ("1000 Mbit/s", 1000, None),
        ("1000BASE-T full duplex", 1000, 1.0),
        ("1 Gbps Full", 1000, 1.0),
        ("2.5G/FD", 2500, 1.0),
        ("10G", 10000, None),
        ("auto", None, None),
        ("auto: 10/100/1000 half/full", None, None),
        (["100", "full"], None, None),
        ({"configured": "10baseT_half"}, None, None),
        (100, 100, None),
        ("802.3", None, None),
        (None, None, None),
    ],
)
def test_the_mode_of_a_link_is_read_where_it_names_one(mode: object, megabits: float | None, full: float | None) -> None:
    data = parse_network.network(h.network(mode=mode))
    assert values(data, "latarnik_device_network_link_up") == {("eth0",): 1.0}
    speeds = values(data, "latarnik_device_network_speed_bytes_per_second")
    assert speeds == ({} if megabits is None else {("eth0",): megabits * 125_000})
    assert values(data, "latarnik_axis_network_full_duplex") == ({} if full is None else {("eth0",): full})


def test_a_link_that_is_down_has_no_speed() -> None:
    for link in (False, "no", "Down", "disconnected"):
        data = parse_network.network(h.network(link=link, mode="10baseT_half"))
        assert [(r.metric, r.value) for r in data.readings] == [("latarnik_device_network_link_up", 0.0)]


@pytest.mark.parametrize(
    ("state", "connection", "expected"),
    [
        ("active", "Connected", {(): 1.0}),
        ("active", "not connected", {(): 0.0}),
        ("Active", "Disconnected", {(): 0.0}),
        ("inactive", "Not connected", {}),
        ("active", "thinking about it", {}),
        ("", "Not connected", {}),
    ],
)
def test_an_mqtt_client_is_down_only_while_it_is_active(state: str, connection: str, expected: object) -> None:
    assert values(parse_network.mqtt(h.mqtt(state, connection)), "latarnik_axis_mqtt_connected") == expected


def made(ends: datetime) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "gate")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(7)
    return builder.not_valid_before(ends - timedelta(days=90)).not_valid_after(ends).sign(key, hashes.SHA256())


def test_the_certificate_shown_says_when_it_ends_and_which_it_is() -> None:
    ends = NOW.replace(microsecond=0) + timedelta(days=10)
    shown = made(ends)
    data = parse_network.shown_certificate(shown.public_bytes(serialization.Encoding.DER))
    assert values(data, "latarnik_axis_certificate_expiry_timestamp_seconds") == {("https",): ends.timestamp()}
    assert data.facts == {"certificate.https": shown.fingerprint(hashes.SHA256()).hex()}


@pytest.mark.parametrize(
    "ends", ["2031-05-06T07:08:09Z", "2031-05-06 07:08:09", "May  6 07:08:09 2031 GMT", 1935817689, "1935817689", "2031-05-06T09:08:09+02:00"]
)
def test_a_certificate_of_the_store_is_read_in_every_form_of_a_date(ends: object) -> None:
    data = parse_network.certificates({"data": [{"id": "own", "not_after": ends}]})
    at = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC).timestamp()
    assert values(data, "latarnik_axis_certificate_expiry_timestamp_seconds") == {("own",): at}


def test_a_certificate_of_the_store_is_read_itself_and_authorities_are_left_out() -> None:
    ends = NOW.replace(microsecond=0) + timedelta(days=10)
    pem = made(ends).public_bytes(serialization.Encoding.PEM).decode()
    trusted = {"alias": "root of 1998", "validTo": "2018-01-01"}
    told = {
        "certificates": [{"alias": "own", "certificate": pem}, {"alias": "odd", "certificate": "-----BEGIN CERTIFICATE-----\nx"}],
        "ca_certificates": [trusted],
    }
    data = parse_network.certificates({"status": "success", "data": told})
    assert values(data, "latarnik_axis_certificate_expiry_timestamp_seconds") == {("own",): ends.timestamp()}


# --- parts ------------------------------------------------------------------------------------------------------------


def test_a_light_says_its_error_in_its_words() -> None:
    assert values(parse_devices.lights(h.lights()), "latarnik_axis_light_ok") == {("led0",): 1.0}
    data = parse_devices.lights(h.lights(error="yes", errorInfo="driver"))
    assert [(r.value, r.raw) for r in data.readings] == [(0.0, "driver")]
    assert data.components[0].state == "failed"
    assert parse_devices.lights(h.lights(error="sometimes")).readings == ()


def test_ports_are_active_out_of_their_normal_state_and_only_supervised_ones_are_tampered_with() -> None:
    assert parse_devices.ports(h.NO_PORTS) == FacetData()
    assert values(parse_devices.ports(h.ports(state="closed")), "latarnik_axis_port_active") == {("0",): 1.0}
    assert parse_devices.ports(h.ports(tampered=True)).facts == {}
    assert parse_devices.ports(h.ports(supervised=True, tampered="true")).facts == {"state.io_tampered.0": "yes"}


@pytest.mark.parametrize(("siren", "light", "value"), [("OK", "OK", 1.0), ("Failed", "OK", 0.0), ("OK", "failed", 0.0), ("odd", "passed", 1.0)])
def test_a_self_test_failed_when_one_part_did(siren: str, light: str, value: float) -> None:
    data = parse_devices.siren({"data": {"siren": {"result": siren}, "light": {"result": light}}})
    assert values(data, "latarnik_axis_self_test_ok") == {("siren and light",): value}


def test_the_maintenance_mode_that_a_siren_does_not_have_is_no_reading() -> None:
    assert parse_devices.siren_maintenance({"data": {"running": False, "supported": False}}) == FacetData()
    assert values(parse_devices.siren_maintenance({"data": {"running": True}}), "latarnik_axis_siren_maintenance") == {(): 1.0}


@pytest.mark.parametrize(
    ("payload", "only_calls", "in_use"),
    [
        (h.CALL, True, True),
        (h.CALL, False, True),
        (h.NO_CALL, True, False),
        (h.NO_CALL, False, None),
        ({"CallStatus": [{"State": "Idle"}, {"State": "Ringing"}]}, True, True),
        ({"CallStatus": [{"State": "Idle"}]}, True, False),
        ({"CallStatus": [{"State": "Idle"}, {"State": "pondering"}]}, True, None),
        ({"CallStatus": [{}]}, True, None),
        ({"CallState": "Idle"}, True, False),
        ({"something": "else"}, True, None),
        ([], True, None),
    ],
)
def test_a_call_in_words_that_are_not_known_is_unknown_and_never_free(payload: object, only_calls: bool, in_use: bool | None) -> None:
    data = parse_devices.call(parse_devices.Calls(payload=payload, only_calls=only_calls))
    assert data.in_use is in_use


@pytest.mark.parametrize(
    ("status", "expected"),
    [({"Status": "Registered"}, 1.0), ({"Status": "NotRegistered"}, 0.0), ({"Status": "hm"}, None), ({"Status": "NotRegistered", "Enabled": "false"}, None)],
)
def test_a_sip_account_is_registered_or_not_or_not_known(status: dict[str, str], expected: float | None) -> None:
    data = parse_devices.sip({"SIPAccountStatus": [{"Id": "a", **status}]})
    assert values(data, "latarnik_axis_sip_registered") == ({} if expected is None else {("a",): expected})


# --- applications, picture, streams -----------------------------------------------------------------------------------


def test_applications_run_or_are_stopped_and_one_that_idles_says_neither() -> None:
    body = h.applications(
        h.application(), h.application("guard", "Stopped"), h.application("wait", "Idle", License="Valid", LicenseExpirationDate="2027-01-31")
    )
    data = parse_apps.applications(body)
    assert values(data, "latarnik_axis_application_running") == {("vmd",): 1.0, ("guard",): 0.0}
    ends = values(data, "latarnik_axis_application_license_expiry_timestamp_seconds")
    assert ends == {("wait",): datetime(2027, 1, 31, tzinfo=UTC).timestamp()}
    assert [part.state for part in data.components] == ["ok", "off", "off"]
    assert parse_apps.applications(h.applications()) == FacetData()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"block": True, "blur": "no"}, {("blocked",): 1.0, ("blurred",): 0.0}),
        ({"checks": [{"underExposed": "detected"}, {"isRedirected": "normal"}]}, {("underexposed",): 1.0, ("redirected",): 0.0}),
        ({"blur": {"enabled": True, "detected": False}}, {("blurred",): 0.0}),
        ({"views": [{"blocked": False}, {"blocked": True}, {"blocked": False}]}, {("blocked",): 1.0}),
    ],
)
def test_the_picture_is_judged_by_what_is_named_like_a_trouble(data: dict[str, Any], expected: dict[tuple[str], float]) -> None:
    assert values(parse_apps.image_health({"data": data}), "latarnik_axis_picture_trouble") == expected


@pytest.mark.parametrize("data", [{"blurEnabled": True}, {"blockSensitivity": 80}, {"blur": 1}, {"blur": "0"}, {"blurDetection": True}, {"status": "ok"}, {}])
def test_settings_and_levels_are_no_trouble_of_a_picture(data: dict[str, Any]) -> None:
    with pytest.raises(BadPayload):
        parse_apps.image_health({"data": data})


def test_a_stopped_analysis_is_an_application_that_does_not_run() -> None:
    assert values(parse_apps.image_health(None), "latarnik_axis_application_running") == {("AXISImageHealthAnalytics",): 0.0}
    assert values(parse_apps.image_health(h.IMAGE), "latarnik_axis_application_running") == {("AXISImageHealthAnalytics",): 1.0}


@pytest.mark.parametrize(
    ("found", "count", "raw"),
    [
        ([], 0.0, ""),
        ([h.stream()], 1.0, "192.0.2.50"),
        ([h.stream("paused")], 0.0, ""),
        ([h.stream(where="192.0.2.50:5004"), h.stream(where="[2001:DB8::1]:554")], 2.0, "192.0.2.50 2001:db8::1"),
        ([h.stream(where="::ffff:192.0.2.50")], 1.0, "192.0.2.50"),
        ([h.stream(where="somewhere")], 1.0, "?"),
        ([h.stream("wondering")], 0.0, "?"),
        (["odd"], 0.0, "?"),
    ],
)
def test_streams_that_play_are_counted_with_where_they_go(found: list[Any], count: float, raw: str) -> None:
    reading = parse_apps.streams({"data": {"streams": found}}).readings[0]
    assert (reading.value, reading.raw) == (count, raw)


# --- what it offers ---------------------------------------------------------------------------------------------------


def test_of_each_interface_for_configuration_the_newest_is_taken_and_of_no_other_path() -> None:
    assert parse_devices.rest_paths(h.DISCOVER) == {"cert": "/config/rest/cert/v1", "siren-and-light": "/config/rest/siren-and-light/v2beta"}


def test_the_kind_of_a_device_is_remembered() -> None:
    known = Known()
    known.meet(samples.identity())
    assert (known.speaks, known.intercom) == (False, False)
    known.meet(samples.identity(ProdType="Network Video Intercom", ProdFullName="AXIS A8207-VE"))
    assert (known.speaks, known.intercom) == (True, True)
    known.meet({"data": "nonsense"})
    assert (known.speaks, known.intercom) == (True, True)
    known.meet(samples.identity(ProdType="Network Speaker", ProdNbr="C1310-E"))
    assert (known.speaks, known.intercom) == (True, False)
    known.meet(samples.BRAND_5_51)
    assert (known.speaks, known.intercom) == (False, False)


def test_an_intercom_is_free_by_its_identity_only_if_its_calls_are_known() -> None:
    intercom = samples.identity(ProdType="Network Video Intercom")
    assert parse_devices.met(parse_devices.Met(payload=intercom)).in_use is None
    assert parse_devices.met(parse_devices.Met(payload=intercom, calls_told=True)).in_use is False
