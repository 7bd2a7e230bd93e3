from __future__ import annotations

from typing import Any

import pytest

from simulator.axis import json_api
from simulator.axis.product import BODY_8, BOX_9, DOME_10, DOME_11, IO_MODULE, LEGACY_CAMERA, PRODUCTS, PTZ_12, SPEAKER, Product
from simulator.axis.state import Tuning
from tests.simulator.axis_http import StillClock, visiting

INFO = "/axis-cgi/basicdeviceinfo.cgi"


async def test_identity_is_told_to_anybody_and_more_of_it_to_a_viewer() -> None:
    async with visiting(DOME_11, serial="B8A44F00BEEF") as visitor:
        open_answer = await visitor.call("basicdeviceinfo", "getAllUnrestrictedProperties", user="")
        known = open_answer["data"]["propertyList"]
        assert known["SerialNumber"] == "B8A44F00BEEF"
        assert known["Version"] == "11.11.181"
        assert "Soc" not in known
        all_of_it = (await visitor.call("basicdeviceinfo", "getAllProperties", user="viewer"))["data"]["propertyList"]
        assert all_of_it.keys() - known.keys() == {"Architecture", "Soc", "SocSerialNumber"}
        assert all(isinstance(value, str) for value in all_of_it.values())
        assert (await visitor.ask(INFO, body={"apiVersion": "1.0", "method": "getAllProperties"})).status == 401


async def test_the_8_45_generation_does_not_know_the_unrestricted_method() -> None:
    async with visiting(BODY_8) as visitor:
        answer = await visitor.ask(INFO, secure=False, user="viewer", scheme="digest", body={"apiVersion": "1.0", "method": "getAllUnrestrictedProperties"})
        assert answer.json == {
            "apiVersion": "1.0",
            "error": {"code": 2004, "message": "JSON semantic error: Unknown method 'getAllUnrestrictedProperties'"},
        }
        assert (await visitor.ask("/axis-cgi/apidiscovery.cgi", secure=False, user="viewer", scheme="digest", body={})).status == 404


async def test_the_5_51_generation_has_no_json_interface_at_all() -> None:
    async with visiting(LEGACY_CAMERA) as visitor:
        for path in json_api.APIS:
            answer = await visitor.ask(path, user="root", body={"apiVersion": "1.0", "method": "getSupportedVersions"})
            assert (answer.status, answer.header("Content-Type")) == (404, "text/html; charset=iso-8859-1")


ERRORS: list[tuple[bytes, int]] = [
    (b"", 4000),
    (b"{", 4000),
    (b"[]", 4000),
    (b'"text"', 4000),
    (b"\xff\xfe", 4000),
    (b'{"apiVersion":"1.0"}', 4002),
    (b'{"method":"getApiList"}', 4002),
    (b'{"apiVersion":"1.0","method":"nonsense"}', 2004),
    (b'{"apiVersion":"1.0","method":["getApiList"]}', 2004),
    (b'{"apiVersion":"2.0","method":"getApiList"}', 2003),
    (b'{"apiVersion":1,"method":"getApiList"}', 2003),
    (b'{"apiVersion":"1.0","method":"getApiList","params":[]}', 1000),
]


@pytest.mark.parametrize(("raw", "code"), ERRORS)
async def test_errors_come_with_status_200_and_a_code(raw: bytes, code: int) -> None:
    async with visiting() as visitor:
        answer = await visitor.ask("/axis-cgi/apidiscovery.cgi", user="viewer", raw=raw)
        assert (answer.status, answer.header("Content-Type")) == (200, "application/json")
        assert answer.json["error"]["code"] == code
        assert "data" not in answer.json


async def test_a_get_is_not_supported_and_any_minor_version_is() -> None:
    async with visiting() as visitor:
        assert (await visitor.ask("/axis-cgi/apidiscovery.cgi", user="viewer")).json["error"]["code"] == 2002
        for version in ("1", "1.0", "1.9"):
            assert "data" in await visitor.call("apidiscovery", "getApiList", version=version)


async def test_method_and_context_come_back() -> None:
    async with visiting(PTZ_12) as visitor:
        answer = await visitor.call("ntp", "getNTPInfo", user="operator", context="a b c")
        assert (answer["method"], answer["context"], answer["apiVersion"]) == ("getNTPInfo", "a b c", "1.5")
        assert answer["data"]["client"]["synced"] is True
        assert "context" not in await visitor.call("ntp", "getNTPInfo")
        assert "method" not in await visitor.call("basicdeviceinfo", "getAllProperties")
    async with visiting(IO_MODULE) as visitor:
        assert (await visitor.call("basicdeviceinfo", "getAllProperties"))["method"] == "getAllProperties"


@pytest.mark.parametrize("product", [product for product in PRODUCTS.values() if product.has("api-discovery")], ids=lambda product: product.number)
async def test_every_listed_api_answers_and_every_unlisted_one_is_missing(product: Product) -> None:
    async with visiting(product, policy="basic") as visitor:
        listed = {row["id"]: row for row in (await visitor.call("apidiscovery", "getApiList"))["data"]["apiList"]}
        for path, api in json_api.APIS.items():
            answer = await visitor.ask(path, user="root", body={"method": "getSupportedVersions"})
            assert answer.status == (200 if api.id in listed else product.generation.gone.get(path, 404)), path
            if api.id in listed:
                assert answer.json["data"]["apiVersions"] == [product.generation.version(api.id)]
        assert all(row["docLink"] for name, row in listed.items() if name != "packagemanager")
        has_status = {"status" in row for name, row in listed.items() if name != "packagemanager"}
        assert has_status == {product.generation.api_status}


@pytest.mark.parametrize(
    ("product", "version", "fields"),
    [
        (DOME_10, "1.2", {"systemready", "needsetup"}),
        (DOME_11, "1.4", {"systemready", "needsetup", "uptime", "bootid"}),
        (PTZ_12, "1.5", {"systemready", "needsetup", "uptime", "bootid", "passphrasepolicy"}),
    ],
)
async def test_readiness_grows_with_the_generations(product: Product, version: str, fields: set[str]) -> None:
    async with visiting(product) as visitor:
        answer = await visitor.call("systemready", "systemready", version="1", user="")
        assert (answer["apiVersion"], answer["data"].keys()) == (version, fields)


async def test_uptime_is_text_and_grows_with_the_clock_and_the_boot_id_stays_until_a_restart() -> None:
    clock = StillClock()
    async with visiting(clock=clock, uptime=100.0) as visitor:
        first = (await visitor.call("systemready", "systemready"))["data"]
        clock.passed += 50
        second = (await visitor.call("systemready", "systemready"))["data"]
        assert (first["uptime"], second["uptime"]) == ("100", "150")
        assert first["bootid"] == second["bootid"]
        await visitor.device.switch("reboot", True)
        third = (await visitor.call("systemready", "systemready"))["data"]
        assert (third["uptime"], third["bootid"] == first["bootid"]) == ("0", False)


async def test_a_timeout_waits_for_readiness_and_no_longer() -> None:
    clock = StillClock()
    async with visiting(clock=clock, tuning=Tuning(settle=30)) as visitor:
        await visitor.device.switch("reboot", True)
        body: dict[str, Any] = {"apiVersion": "1", "method": "systemready", "params": {"timeout": 10}}
        assert (await visitor.ask("/axis-cgi/systemready.cgi", body=body)).json["data"]["systemready"] == "no"
        assert clock.passed == 10
        body["params"]["timeout"] = 60
        assert (await visitor.ask("/axis-cgi/systemready.cgi", body=body)).json["data"]["systemready"] == "yes"
        assert clock.passed == 30
        body["params"]["timeout"] = "soon"
        assert (await visitor.ask("/axis-cgi/systemready.cgi", body=body)).json["error"]["code"] == 1000


async def test_the_firmware_status_carries_what_applies() -> None:
    async with visiting(PTZ_12) as visitor:
        quiet = (await visitor.call("firmwaremanagement", "status"))["data"]
        assert "resetSource" not in quiet
        assert "pendingCommit" not in quiet
        await visitor.device.switch("pending_commit", True)
        await visitor.device.switch("crashed", True)
        loud = (await visitor.call("firmwaremanagement", "status"))["data"]
        assert (loud["resetSource"], loud["pendingCommit"], loud["isCommited"]) == ("crash", True, False)
        assert loud["inactiveFirmwareVersion"] != loud["activeFirmwareVersion"]
        assert not visitor.device.counters.changes


async def test_everything_that_changes_the_device_is_counted_and_done() -> None:
    async with visiting(DOME_11) as visitor:
        boot = visitor.device.state.boot_id
        await visitor.call("firmwaremanagement", "reboot")
        assert visitor.device.state.boot_id != boot
        await visitor.ask("/axis-cgi/restart.cgi", user="root")
        assert (await visitor.ask("/axis-cgi/param.cgi?action=update&root.Time.POSIXTimeZone=CET", user="root")).text == "OK\n"
        assert "Time.POSIXTimeZone=CET" in (await visitor.ask("/axis-cgi/param.cgi?action=list&group=Time", user="root")).text
        error = await visitor.call("firmwaremanagement", "factoryDefault", params={"factoryDefaultMode": "loud"})
        assert error["error"]["code"] == 422
        await visitor.call("firmwaremanagement", "factoryDefault", params={"factoryDefaultMode": "soft"})
        assert visitor.device.counters.changes == {
            "firmwaremanagement reboot": 1,
            "restart.cgi": 1,
            "param.cgi update": 1,
            "firmwaremanagement factoryDefault": 1,
        }
        assert (await visitor.call("systemready", "systemready", user=""))["data"]["needsetup"] == "yes"
        assert (await visitor.ask("/axis-cgi/usergroup.cgi", user="root")).status == 401


async def test_an_operator_can_change_nothing_that_restarts() -> None:
    async with visiting(DOME_11) as visitor:
        for path in ("/axis-cgi/restart.cgi", "/axis-cgi/factorydefault.cgi", "/axis-cgi/hardfactorydefault.cgi"):
            assert (await visitor.ask(path, user="operator")).status == 401
        body = {"apiVersion": "1.0", "method": "reboot"}
        assert (await visitor.ask("/axis-cgi/firmwaremanagement.cgi", user="operator", body=body)).status == 401
        assert not visitor.device.counters.changes


async def test_firmware_management_has_codes_of_its_own() -> None:
    async with visiting(PTZ_12) as visitor:
        assert (await visitor.call("firmwaremanagement", "status", version="2.0"))["error"]["code"] == 417
        assert (await visitor.call("firmwaremanagement", "nonsense"))["error"]["code"] == 405
        assert (await visitor.ask("/axis-cgi/firmwaremanagement.cgi", user="root", raw=b"{")).json["error"]["code"] == 400


async def test_network_ports_light_and_power_are_told_where_the_product_has_them() -> None:
    async with visiting(PTZ_12, serial="B8A44F0000AB") as visitor:
        network = (await visitor.call("network_settings", "getNetworkInfo"))["data"]
        assert network["devices"][0]["macAddress"] == "B8:A4:4F:00:00:AB"
        assert network["devices"][0]["link"] is True
        assert network["system"]["hostname"]["hostname"] == "axis-b8a44f0000ab"
        assert (await visitor.call("lightcontrol", "getLightInformation"))["data"]["items"][0]["error"] is False
        assert (await visitor.call("io/portmanagement", "getPorts"))["data"]["numberOfPorts"] == 1
        assert (await visitor.call("power-settings", "getPowerStatus"))["data"]["psePoeClass"] == -1
        assert (await visitor.call("time", "getDateTimeInfo"))["data"]["dateTime"] == "2026-11-21T12:00:00Z"
    async with visiting(SPEAKER) as visitor:
        assert (await visitor.ask("/axis-cgi/lightcontrol.cgi", user="root", body={})).status == 404


async def test_9_80_lists_no_temperature_control() -> None:
    async with visiting(BOX_9) as visitor:
        assert (await visitor.ask("/axis-cgi/temperaturecontrol.cgi?action=statusall", user="root", scheme="digest")).status == 404
