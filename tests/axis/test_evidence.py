from __future__ import annotations

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agent.diagnosis.plaintext import scrub
from agent.errors import CollectError, NotSupported
from agent.model import CheckAnswer, Fault, History, Identity, Severity, Snapshot
from agent.ports import EvidenceItem
from collectors.axis import PLUGIN
from collectors.axis import client as axis
from collectors.axis.client import AxisClient
from collectors.axis.evidence import EVIDENCE, checklist
from collectors.axis.metrics import METRICS
from collectors.axis.settings import AxisSettings
from tests.axis import samples
from tests.axis.doubles import ADMIN, NOW, OPERATOR, entry
from tests.axis.test_client import Web, visit

ITEMS = {item.name: item for item in EVIDENCE}
ZIP = b"PK\x03\x04 archive"
PICTURE_ZIP = b"PK\x03\x04 archive with a picture"
BASICS = {axis.BASIC_DEVICE_INFO + " getAllProperties": samples.identity()}
FAULT = Fault(code="axis.storage.failed", component="SD_DISK", severity=Severity.CRITICAL, summary="x")


async def fetched(item: EvidenceItem, client: AxisClient) -> bytes:
    body = b"".join([piece async for piece in item.fetch(client)])
    return item.scrub(body) if item.scrub else body


async def test_the_report_is_fetched_with_the_service_account() -> None:
    device = Web({**BASICS, axis.REPORT_ZIP: ZIP}, guarded=True, allowed={axis.REPORT_ZIP: ("admin",)})
    async with visit(device, credentials={"http": OPERATOR, "service": ADMIN}) as client:
        assert await fetched(ITEMS["serverreport.zip"], client) == ZIP
    async with visit(device, credentials={"http": OPERATOR}) as client:
        with pytest.raises(NotSupported):
            await fetched(ITEMS["serverreport.zip"], client)


@pytest.mark.parametrize(("picture", "expected"), [(PICTURE_ZIP, PICTURE_ZIP), (404, ZIP), (400, ZIP), (501, ZIP), ("no camera here", ZIP)])
async def test_a_picture_comes_only_where_the_site_wants_it_and_the_product_has_one(picture: object, expected: bytes) -> None:
    device = Web({**BASICS, axis.REPORT_ZIP: ZIP, axis.REPORT_PICTURE: picture})
    async with visit(device, credentials={"http": OPERATOR}, settings=AxisSettings(pictures=True)) as client:
        assert await fetched(ITEMS["serverreport.zip"], client) == expected
    device.seen.clear()
    async with visit(device, credentials={"http": OPERATOR}) as client:
        assert await fetched(ITEMS["serverreport.zip"], client) == ZIP
    assert axis.REPORT_PICTURE not in device.seen


def test_an_error_text_is_no_report_and_a_web_page_is_no_text() -> None:
    assert ITEMS["serverreport.zip"].check(b"PK\x03\x04rest") == ""
    assert ITEMS["serverreport.zip"].check(b"<html>") != ""
    assert ITEMS["serverreport.txt"].check(b"----- Server report -----") == ""
    assert ITEMS["serverreport.txt"].check(b"  <!DOCTYPE HTML><html>") != ""
    assert ITEMS["systemlog.txt"].check(b" \n") != ""
    assert ITEMS["serverreport.txt"].fallback_for == "serverreport.zip"


async def test_log_and_parameters_are_fetched_and_scrubbed() -> None:
    log = "----- System log -----\n2026-03-02T08:00:00.000+01:00 axis [ ERR     ] app: login password=hunter2 user=x\n"
    parameters = "root.SNMP.V1ReadCommunity=topsecret\nroot.Network.HostName=gate\nroot.SNMP.InitialUserPasswd=topsecret\n"
    device = Web({**BASICS, axis.SYSTEM_LOG: log, axis.parameters_path(()): parameters})
    async with visit(device, credentials={"http": OPERATOR}) as client:
        assert b"hunter2" not in await fetched(ITEMS["systemlog.txt"], client)
        kept = await fetched(ITEMS["parameters.txt"], client)
    assert b"topsecret" not in kept
    assert b"root.Network.HostName=gate" in kept
    assert b"root.SNMP.V1ReadCommunity=***" in kept


async def test_the_health_texts_hold_what_is_answered_and_why_the_rest_is_not() -> None:
    device = Web({**BASICS, axis.TEMPERATURES: samples.TEMPERATURES, axis.DISKS: samples.disks(samples.disk())})
    async with visit(device, credentials={"http": OPERATOR}) as client:
        text = (await fetched(ITEMS["health.txt"], client)).decode()
    assert "Sensor.S0.Celsius=41.25" in text
    assert 'diskid="SD_DISK"' in text
    assert "not read: " in text.partition(axis.DISK_HEALTH)[2]
    async with visit(Web(dict(BASICS)), credentials={"http": OPERATOR}) as client:
        with pytest.raises(CollectError):
            await fetched(ITEMS["health.txt"], client)


async def test_the_health_texts_end_with_what_the_service_account_is_told_of_the_firmware() -> None:
    device = Web(
        {**BASICS, axis.TEMPERATURES: samples.TEMPERATURES, f"{axis.FIRMWARE} status": samples.firmware()},
        guarded=True,
        allowed={f"{axis.FIRMWARE} status": ("admin",)},
    )
    async with visit(device, credentials={"http": OPERATOR, "service": ADMIN}) as client:
        text = (await fetched(ITEMS["health.txt"], client)).decode()
    assert '"activeFirmwareVersion"' in text.partition("firmwaremanagement.cgi")[2]
    async with visit(device, credentials={"http": OPERATOR}) as client:
        text = (await fetched(ITEMS["health.txt"], client)).decode()
    assert "not read: " in text.partition("firmwaremanagement.cgi")[2]
    assert "Sensor.S0.Celsius=41.25" in text


async def test_the_audit_log_is_its_tail_with_the_service_account() -> None:
    device = Web({**BASICS, axis.AUDIT_LOG: "2026-03-02 login of root, token=abc\n"}, guarded=True, allowed={axis.AUDIT_LOG: ("admin",)})
    async with visit(device, credentials={"http": OPERATOR, "service": ADMIN}) as client:
        assert await fetched(ITEMS["auditlog.txt"], client) == b"2026-03-02 login of root, token=***\n"
    async with visit(device, credentials={"http": OPERATOR}) as client:
        with pytest.raises(NotSupported):
            await fetched(ITEMS["auditlog.txt"], client)


LLDP = "/config/rest/lldp/v1"
DISCOVERED = {"apis": {"lldp": {"v1": {"state": "released", "rest_api": LLDP}}, "cert": {"v1": {"rest_api": "/config/rest/cert/v1"}}}}
HEARD = {"status": "success", "data": [{"systemName": "switch-1", "portId": "Gi1/0/7"}]}


@pytest.mark.parametrize("answers", [{f"{LLDP}/neighbors": HEARD}, {LLDP: {"data": {"neighbors": HEARD["data"]}}}, {f"{LLDP}/neighbors": HEARD, LLDP: HEARD}])
async def test_the_switch_port_is_read_from_the_path_that_the_device_names(answers: dict[str, object]) -> None:
    device = Web({**BASICS, axis.DISCOVER: DISCOVERED, **answers})
    async with visit(device, credentials={"http": OPERATOR, "service": ADMIN}) as client:
        body = await fetched(ITEMS["lldp.json"], client)
    assert set(json.loads(body)) == set(answers)
    said = ITEMS["lldp.json"].says(body)
    assert said is not None
    assert "switch switch-1, port Gi1/0/7" in said.en


@pytest.mark.parametrize("discovered", [404, {"apis": {}}, {"apis": {"lldp": {"v1": {"rest_api": "/axis-cgi/restart.cgi"}}}}])
async def test_without_lldp_nothing_more_is_asked(discovered: object) -> None:
    device = Web({**BASICS, axis.DISCOVER: discovered})
    async with visit(device, credentials={"http": OPERATOR, "service": ADMIN}) as client:
        with pytest.raises(NotSupported):
            await fetched(ITEMS["lldp.json"], client)
    assert not [path for path in device.seen if "lldp" in path or "restart" in path]


def test_what_is_heavy_waits_while_the_device_is_in_use() -> None:
    assert {item.name for item in EVIDENCE if not item.light} == {"serverreport.zip", "serverreport.txt"}
    assert all(item.sensitive for item in EVIDENCE)


@pytest.mark.parametrize(
    "line",
    [
        "root.Network.Wireless.WPA.PSK={}",
        "root.RemoteService.ProxyPassword={}",
        "  Passphrase : {}",
        '<user name="a" password="{}"/>',
        '{{"clientSecret": "{}", "x": 1}}',
        "url=rtsp://user:{}@192.0.2.7/axis",
        "Authorization: Basic {}",
        "sshd: password={} ok",
        "-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\n{}\ncut off",
    ],
)
@pytest.mark.parametrize("secret", ["Zx9-only-for-tests", "with'quote", "a=b"])
def test_secrets_are_taken_out_of_texts(line: str, secret: str) -> None:
    cleaned = scrub(f"first line\n{line.format(secret)}\nroot.Brand.ProdNbr=P3299\n".encode())
    assert secret.encode() not in cleaned
    assert cleaned.startswith(b"first line\n")


def test_plain_texts_stay_as_they_are() -> None:
    text = (samples.TEMPERATURES + samples.STORAGE_CONFIG + samples.BRAND_5_51 + "root.SNMP.InitialUserPasswd=\nroot.Network.Bonjour.Enabled=yes\n").encode()
    assert scrub(text) == text


@given(body=st.binary(max_size=300))
def test_scrubbing_takes_any_bytes_and_is_stable(body: bytes) -> None:
    once = scrub(body)
    assert scrub(once) == once


# --- checklist --------------------------------------------------------------------------------------------------------


def seen(*, reachable: bool = True, firmware: str = "11.11.160") -> Snapshot:
    return Snapshot(device="gate-2", at=NOW, duration=0.1, reachable=reachable, identity=Identity(firmware=firmware))


def answers(snapshot: Snapshot | None, history: History | None = None, settings: AxisSettings | None = None) -> dict[str, CheckAnswer]:
    return {c.id: c.answer for c in checklist(snapshot, history or History(), FAULT, entry(settings=settings))}


def test_what_needs_eyes_or_hands_is_never_answered_for_people() -> None:
    for snapshot in (None, seen(), seen(reachable=False)):
        found = answers(snapshot)
        assert list(found) == ["power", "network", "firmware", "factory-reset"]
        assert found["power"] is found["factory-reset"] is CheckAnswer.NOT_CHECKED


def test_the_network_is_answered_from_the_last_poll() -> None:
    assert answers(seen())["network"] is CheckAnswer.YES
    assert answers(seen(reachable=False))["network"] is CheckAnswer.NO
    assert answers(None)["network"] is CheckAnswer.NOT_CHECKED


@pytest.mark.parametrize(
    ("running", "answer"),
    [
        ("11.11.160", CheckAnswer.NO),
        ("11.11.192", CheckAnswer.YES),
        ("11.11.200", CheckAnswer.YES),
        ("10.12.300", CheckAnswer.NOT_CHECKED),
        ("", CheckAnswer.NOT_CHECKED),
    ],
)
def test_firmware_is_compared_within_its_own_track(running: str, answer: CheckAnswer) -> None:
    settings = AxisSettings(firmware={"11.11": "11.11.192"})
    assert answers(seen(firmware=running), settings=settings)["firmware"] is answer
    silent = History(identity=Identity(firmware=running), identity_at=NOW - timedelta(days=1))
    assert answers(None, silent, settings)["firmware"] is answer


def test_without_a_target_the_firmware_is_not_judged() -> None:
    assert answers(seen())["firmware"] is CheckAnswer.NOT_CHECKED


def test_every_answer_stands_in_both_languages() -> None:
    for snapshot in (None, seen(), seen(reachable=False)):
        for check in checklist(snapshot, History(), FAULT, entry()):
            for text in (check.question, check.detail):
                assert text.en
                assert text.pl
                assert text.en != text.pl


# --- settings and the plugin ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_", "named"),
    [
        ({"firmwares": {}}, "firmwares"),
        ({"firmware": {"11.11": "newest"}}, "is no AXIS OS version"),
        ({"firmware": {"11.11": "12.9.57"}}, "is not on track"),
        ({"expect_storage": [" "]}, "a disk id is empty"),
    ],
)
def test_settings_that_make_no_sense_are_refused_with_the_reason(given_: dict[str, object], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        AxisSettings.model_validate(given_)


def test_the_plugin_declares_every_metric_its_parsers_use() -> None:
    from agent.catalogue import READING_METRICS
    from collectors.axis import parse, parse_snmp, parse_storage

    known = {spec.name: spec for spec in (*READING_METRICS, *METRICS)}
    used = [
        *parse.readiness(parse.Timed(payload=samples.readiness(), at=NOW)).readings,
        *parse.temperatures(samples.TEMPERATURES).readings,
        *parse.temperature_limits(samples.LIMITS).readings,
        *parse.firmware_status(samples.firmware()).readings,
        *parse_storage.disks(samples.disks(samples.disk(), samples.EMPTY_SHARE)).readings,
        *parse_storage.disk_health(samples.health()).readings,
        *parse_snmp.video_mib(samples.WALK).readings,
    ]
    for reading in used:
        assert len(reading.labels) == len(known[reading.metric].labels), reading
        assert (reading.state in known[reading.metric].states) is bool(reading.state), reading
    # The others are those of test_health_parsers.
    assert {spec.name for spec in METRICS if "axis_storage" in spec.name} <= {reading.metric for reading in used}
    assert PLUGIN.name == "axis"
