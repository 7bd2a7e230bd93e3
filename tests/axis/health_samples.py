"""Answers of the interfaces beside storage, heat and firmware, written by hand in the shapes that devices send. Names and numbers are made up."""

from __future__ import annotations

import json
from typing import Any

APIS = {"apiVersion": "1.1", "method": "getApiList", "data": {"apiList": [{"id": "api-discovery", "version": "1.1"}, {"id": "ntp", "version": "1.5"}]}}

_DISCOVER: dict[str, Any] = {
    "cert": {"v1": {"rest_api": "/config/rest/cert/v1", "state": "released"}},
    "siren-and-light": {
        "v1": {"rest_api": "/config/rest/siren-and-light/v1", "state": "released"},
        "v2": {"rest_api": "/config/rest/siren-and-light/v2beta", "state": "beta"},
    },
    "odd": {"v1": {"rest_api": "/axis-cgi/restart.cgi"}},
}
DISCOVER = {"framework_version": "1.0.0", "device": {}, "apis": _DISCOVER}


def power(**changes: Any) -> dict[str, Any]:
    told: dict[str, Any] = {"usage": {"currentPower": 4.1, "averagePower": 4, "maxPower": "9.5"}, "psePoeClass": 3, "lldpPoeClass": 3}
    return {"apiVersion": "1.8", "method": "getPowerStatus", "data": {**told, "powerRequested": 12.9, "powerState": 1, **changes}}


POWER_UNKNOWN = power(psePoeClass=-1, lldpPoeClass=-1, powerRequested=-1, powerState=-1)


def ntp(**changes: Any) -> dict[str, Any]:
    told: dict[str, Any] = {"enabled": True, "staticServers": ["time.example.org"], "synced": True, "timeOffset": -0.004}
    return {"apiVersion": "1.5", "data": {"client": {**told, **changes}}}


NTP_REST = {"status": "success", "data": {"ntp": {"client": {"enabled": True, "synced": "no", "timeOffset": "12"}}}}


def network(link: object = True, mode: object = "100baseT_full") -> dict[str, Any]:
    devices = [{"name": "eth0", "macAddress": "b8:a4:4f:0a:0b:01", "link": link, "wired": {"linkMode": mode, "8021X": {"status": "Stopped"}}, "IPv4": {}}]
    return {"apiVersion": "1.33", "data": {"system": {}, "devices": devices}}


def mqtt(state: str = "active", connection: str = "Connected") -> dict[str, Any]:
    return {"data": {"status": {"state": state, "connectionStatus": connection}, "config": {"server": {"host": "broker.example.org", "port": 1883}}}}


def lights(**changes: Any) -> dict[str, Any]:
    led = {"lightID": "led0", "lightType": "IR", "enabled": True, "lightState": False, "nrOfLEDs": 2, "error": False, "errorInfo": "", **changes}
    return {"data": {"items": [led]}}


def ports(**changes: Any) -> dict[str, Any]:
    port = {"port": "0", "configurable": True, "usage": "", "name": "door", "direction": "input", "state": "open", "normalState": "open", **changes}
    return {"data": {"numberOfPorts": 1, "items": [port]}}


NO_PORTS = {"data": {"numberOfPorts": 0}}


def application(name: str = "vmd", status: str = "Running", **more: str) -> str:
    told = {"Name": name, "NiceName": f"AXIS {name}", "Vendor": "Axis Communications", "Version": "4.5-2", "License": "None", "Status": status, **more}
    return "<application " + " ".join(f'{key}="{value}"' for key, value in told.items()) + " />"


def applications(*found: str) -> bytes:
    return f'<reply result="ok">\n{"".join(found)}\n</reply>'.encode()


def streams(*found: dict[str, Any]) -> dict[str, Any]:
    return {"data": {"streams": list(found)}}


def stream(state: str = "playing", where: str = "192.0.2.50") -> dict[str, Any]:
    return {"id": 1, "type": "RTSP", "state": state, "destinationAddress": where, "userAgent": "recorder"}


IMAGE = {"status": "success", "data": {"block": False, "blur": False, "redirect": False, "underexposure": False}}
SIREN = {"data": {"running": False, "siren": {"result": "OK"}, "light": {"result": "OK"}}}
MAINTENANCE = {"status": "success", "data": {"running": False, "supported": True}}
CERTIFICATES = {"status": "success", "data": {"certificates": [{"alias": "own", "validTo": "2031-05-06T07:08:09Z"}], "ca_certificates": []}}
SIP = {"SIPAccountStatus": [{"Id": "sip_account_0", "Status": "Registered"}]}
CALL = {"CallStatus": [{"CallId": "call_1", "State": "Connected"}]}
NO_CALL: dict[str, Any] = {"CallStatus": []}

ALL_JSON = [
    APIS,
    DISCOVER,
    power(),
    ntp(),
    NTP_REST,
    network(),
    mqtt(),
    lights(),
    ports(),
    streams(stream()),
    IMAGE,
    SIREN,
    MAINTENANCE,
    CERTIFICATES,
    SIP,
    CALL,
]
NAMES = sorted({name for name in json.dumps(ALL_JSON).replace('"', " ").split() if name.isidentifier()})
