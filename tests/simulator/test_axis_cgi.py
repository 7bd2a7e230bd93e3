from __future__ import annotations

import io
import zipfile
from xml.etree import ElementTree as ET

import pytest

from simulator.axis import cgi, params
from simulator.axis.auth import Role
from simulator.axis.product import BODY_8, DOME_10, DOME_11, INTERCOM, IO_MODULE, LEGACY_CAMERA, PTZ_12, SPEAKER
from simulator.axis.report import jpeg
from simulator.axis.state import Tuning
from tests.simulator.axis_http import StillClock, visiting

PARAM = "/axis-cgi/param.cgi?action=list"


async def test_good_lines_and_error_lines_are_mixed_with_status_200() -> None:
    async with visiting(DOME_11) as visitor:
        answer = await visitor.ask(f"{PARAM}&group=Brand.ProdNbr,Nonsense.Group,root.Properties.Firmware.Version", user="viewer")
        assert answer.status == 200
        assert answer.text.splitlines() == [
            "Brand.ProdNbr=P3265-LVE",
            "# Error: Error -1 getting param in group 'Nonsense.Group'",
            "root.Properties.Firmware.Version=11.11.181",
        ]


async def test_old_firmware_always_writes_the_root_prefix_and_latin_1() -> None:
    async with visiting(LEGACY_CAMERA) as visitor:
        answer = await visitor.ask(f"{PARAM}&group=Brand", user="viewer")
        assert answer.header("Content-Type") == "text/plain; charset=iso-8859-1"
        assert all(line.startswith("root.Brand.") for line in answer.text.splitlines())
        assert "ProdVariant" not in answer.text
        assert (await visitor.ask("/axis-cgi/admin/param.cgi?action=list&group=Brand", user="root")).text == answer.text


async def test_the_whole_tree_comes_with_the_prefix_and_without_a_password() -> None:
    async with visiting(PTZ_12) as visitor:
        lines = (await visitor.ask(PARAM, user="root")).text.splitlines()
        assert all(line.startswith("root.") for line in lines)
        assert {line.split(".")[1] for line in lines} >= {
            "Brand",
            "Properties",
            "TemperatureControl",
            "Storage",
            "Network",
            "SNMP",
            "System",
            "HTTPS",
            "Time",
        }
        assert "root.Network.Interface.I0.dot1x.EAPTLS.PrivateKeyPassword=******" in lines


async def test_a_viewer_reads_brand_and_properties_only() -> None:
    async with visiting(DOME_11) as visitor:
        groups = {line.split(".")[1] for line in (await visitor.ask(PARAM, user="viewer")).text.splitlines()}
        assert groups == {"Brand", "Properties"}
        assert (await visitor.ask(f"{PARAM}&group=Storage", user="viewer")).text.startswith("# Error: ")
        assert "Storage.S0.DiskID=SD_DISK" in (await visitor.ask(f"{PARAM}&group=Storage", user="operator")).text
        assert (await visitor.ask(f"{PARAM}&group=Time", user="operator")).text.startswith("# Error: ")


def test_a_pattern_chooses_segments() -> None:
    tree = {"A.S0.Name": "x", "A.S1.Name": "y", "A.S1.Other": "z=1", "AB.S0.Name": "n"}
    assert params.listing(tree, ["A.S*.Name"], Role.VIEWER, as_asked=True) == "A.S0.Name=x\nA.S1.Name=y\n"
    assert params.listing(tree, ["A.S1"], Role.VIEWER, as_asked=False) == "root.A.S1.Name=y\nroot.A.S1.Other=z=1\n"


async def test_temperature_limits_are_parameters_and_values_are_text_lines() -> None:
    async with visiting(DOME_11) as visitor:
        limits = (await visitor.ask(f"{PARAM}&group=TemperatureControl", user="operator")).text
        assert "TemperatureControl.Sensor.S0.Name=Main\nTemperatureControl.Sensor.S0.TriggerHigh=80\n" in limits
        answer = await visitor.ask("/axis-cgi/temperaturecontrol.cgi?action=statusall", user="operator")
        lines = dict(line.split("=", 1) for line in answer.text.splitlines())
        assert lines["Sensor.S0.Name"] == "Main"
        assert 40 < float(lines["Sensor.S0.Celsius"]) < 43
        assert float(lines["Sensor.S0.Fahrenheit"]) == pytest.approx(float(lines["Sensor.S0.Celsius"]) * 1.8 + 32, abs=0.02)
        assert lines["Heater.H0.Status"] == "Stopped"
        assert (await visitor.ask("/axis-cgi/temperaturecontrol.cgi?action=statusall", user="viewer")).status == 401


async def test_the_same_moment_shows_the_same_temperature_and_a_later_one_another() -> None:
    clock = StillClock()
    async with visiting(clock=clock) as visitor:
        path = "/axis-cgi/temperaturecontrol.cgi?action=statusall"
        first, again = [(await visitor.ask(path, user="operator")).text for _ in range(2)]
        clock.passed += 400
        assert first == again
        assert first != (await visitor.ask(path, user="operator")).text


async def disks(text: str) -> dict[str, dict[str, str]]:
    return {disk.attrib["diskid"]: disk.attrib for disk in ET.fromstring(text).iter("disk")}


async def test_a_card_and_an_unused_share_are_listed() -> None:
    async with visiting(DOME_11) as visitor:
        found = await disks((await visitor.ask("/axis-cgi/disks/list.cgi?diskid=all", user="operator")).text)
        assert (found["SD_DISK"]["status"], found["SD_DISK"]["totalsize"]) == ("OK", "62333952")
        assert 0 < int(found["SD_DISK"]["freesize"]) < 62333952
        assert (found["NetworkShare"]["status"], found["NetworkShare"]["totalsize"]) == ("disconnected", "0")
        assert list(await disks((await visitor.ask("/axis-cgi/disks/list.cgi?diskid=SD_DISK", user="operator")).text)) == ["SD_DISK"]
        for wrong in ("", "?diskid=HARD_DISK"):
            assert "<ErrorCode>" in (await visitor.ask(f"/axis-cgi/disks/list.cgi{wrong}", user="operator")).text
        health = ET.fromstring((await visitor.ask("/axis-cgi/disks/gethealth.cgi?diskid=SD_DISK", user="operator")).text)
        (status,) = health.iter("HealthStatus")
        assert status.attrib == {"diskid": "SD_DISK", "wear": "11", "temperature": "311", "overallhealth": "1"}


async def test_an_old_camera_lists_disks_and_has_no_health_check() -> None:
    async with visiting(LEGACY_CAMERA) as visitor:
        found = await disks((await visitor.ask("/axis-cgi/disks/list.cgi?diskid=all", user="operator")).text)
        assert "encryptionenabled" not in found["SD_DISK"]
        assert (await visitor.ask("/axis-cgi/disks/gethealth.cgi", user="operator")).status == 404


async def test_the_group_answer_names_the_account_and_what_it_may() -> None:
    async with visiting() as visitor:
        assert (await visitor.ask("/axis-cgi/usergroup.cgi", user="viewer")).text == "viewer\nviewer\n"
        assert (await visitor.ask("/axis-cgi/usergroup.cgi", user="root")).text.split("\n")[1].split()[1] == "admin"


async def test_logs_have_the_form_of_their_generation() -> None:
    async with visiting(DOME_11) as visitor:
        lines = (await visitor.ask("/axis-cgi/systemlog.cgi", user="root")).text.splitlines()
        assert lines[0] == "----- System log -----"
        assert lines[1].startswith("2026-11-18T10:36:19.000+00:00 axis-b8a44f")
        assert " [ INFO    ] kernel: " in lines[1]
        only = (await visitor.ask("/axis-cgi/systemlog.cgi?text=httpd", user="root")).text.splitlines()
        assert all("httpd" in line for line in only[1:])
        assert 1 < len(only) < len(lines)
    async with visiting(LEGACY_CAMERA) as visitor:
        lines = (await visitor.ask("/axis-cgi/admin/systemlog.cgi", user="root")).text.splitlines()
        assert lines[0] == "----- /var/log/messages -----"
        assert lines[1].startswith("<INFO    > Nov 18 10:36:19 axis-")


async def test_a_report_takes_its_time_and_comes_as_a_zip() -> None:
    clock = StillClock()
    async with visiting(DOME_11, clock=clock, tuning=Tuning(report=31)) as visitor:
        answer = await visitor.ask("/axis-cgi/serverreport.cgi?mode=zip", user="root")
        assert clock.passed == pytest.approx(31)
        assert (answer.header("Content-Type"), answer.header("Transfer-Encoding")) == ("application/zip", "chunked")
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            assert archive.testzip() is None
            text = archive.read("serverreport_cgi.txt").decode()
        assert visitor.device.state.serial in text
        assert "root.Network.Interface.I0.dot1x.EAPTLS.PrivateKeyPassword=******" in text
        assert visitor.device.accounts["root"].password not in text
        with_picture = await visitor.ask("/axis-cgi/serverreport.cgi?mode=zip_with_image", user="root")
        with zipfile.ZipFile(io.BytesIO(with_picture.content)) as archive:
            assert archive.read("serverreport_image.jpg")[:3] == b"\xff\xd8\xff"
        assert len(with_picture.content) > 90_000
        assert (visitor.device.counters.reports, visitor.device.counters.reports_at_once) == (2, 1)


async def test_a_product_without_a_camera_answers_the_picture_mode_with_a_sentence() -> None:
    async with visiting(SPEAKER) as visitor:
        answer = await visitor.ask("/axis-cgi/serverreport.cgi?mode=zip_with_image", user="root")
        assert (answer.status, answer.content[:2] == b"PK") == (200, False)
        assert (await visitor.ask("/axis-cgi/serverreport.cgi?mode=zip", user="root")).content[:4] == b"PK\x03\x04"
        assert (await visitor.ask("/axis-cgi/jpg/image.cgi", user="root")).status == 404


async def test_reports_are_for_administrators() -> None:
    async with visiting(DOME_11) as visitor:
        for path in ("serverreport.cgi", "systemlog.cgi", "applications/list.cgi"):
            assert (await visitor.ask(f"/axis-cgi/{path}", user="operator")).status == 401
        assert visitor.device.counters.reports == 0


async def test_applications_are_listed_where_there_are_any() -> None:
    async with visiting(INTERCOM) as visitor:
        reply = ET.fromstring((await visitor.ask("/axis-cgi/applications/list.cgi", user="root", scheme="digest")).text)
        assert [row.attrib["Status"] for row in reply.iter("application")] == ["Running"]
        assert reply.attrib == {"result": "ok"}
    async with visiting(IO_MODULE) as visitor:
        reply = ET.fromstring((await visitor.ask("/axis-cgi/applications/list.cgi", user="root")).text)
        assert list(reply.iter("application")) == []


async def test_the_configuration_interface_begins_with_11_11() -> None:
    async with visiting(DOME_11) as visitor:
        apis = (await visitor.ask("/config/discover", user="viewer")).json["apis"]
        assert apis["cert"]["v1"]["rest_api"] == "/config/rest/cert/v1"
        assert (apis["lldp"]["v1"]["rest_api"], apis["lldp"]["v1"]["state"]) == ("/config/rest/lldp/v1beta", "beta")
        missing = await visitor.ask("/config/rest/nonsense/v1", user="viewer")
        assert (missing.status, missing.json["error"]["code"]) == (404, 2)
    async with visiting(DOME_10) as visitor:
        answer = await visitor.ask("/config/discover", user="viewer", scheme="digest")
        assert (answer.status, answer.header("Content-Type")) == (404, "text/html; charset=utf-8")


async def test_what_is_missing_is_an_html_page_after_the_login() -> None:
    async with visiting(BODY_8) as visitor:
        assert (await visitor.ask("/axis-cgi/nonsense.cgi")).status == 401
        answer = await visitor.ask("/axis-cgi/nonsense.cgi", user="viewer", scheme="digest")
        assert (answer.status, answer.header("Server")) == (404, "Apache")
        assert answer.text.startswith("<!DOCTYPE html>")
        assert (await visitor.ask("/nonsense")).status == 404


def test_every_path_is_served_by_one_table_only() -> None:
    from simulator.axis.json_api import APIS

    assert not APIS.keys() & cgi.CGIS.keys()


def test_the_picture_is_a_whole_jpeg() -> None:
    picture = jpeg(seed="x", padding=70_000)
    assert picture[:2] == b"\xff\xd8"
    assert picture[-2:] == b"\xff\xd9"
    at = 2
    markers = []
    while picture[at + 1] != 0xDA:
        assert picture[at] == 0xFF
        markers.append(picture[at + 1])
        at += 2 + int.from_bytes(picture[at + 2 : at + 4], "big")
    assert markers == [0xFE, 0xFE, 0xDB, 0xC0, 0xC4, 0xC4]
