"""Hand-written answers of Poly codecs: the shapes are the documented and recorded ones, every value is ours."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

AT = datetime(2026, 3, 4, 9, 0, tzinfo=UTC)

SYSTEM: dict[str, Any] = {
    "build": "440117",
    "buildType": "Release",
    "hardwareVersion": "2",
    "lanStatus": {"duplex": "FULL", "speedMbps": 1000, "state": "LAN_UP"},
    "model": "StudioX50",
    "rebootNeeded": False,
    "serialNumber": "8L2231A1B2C3FB",
    "softwareVersion": "4.4.0",
    "state": "READY",
    "systemName": "Sala 3.14",
    "systemTime": 1772614805000,
    "timeOffset": 3600000,
    "timeServerState": "TIMESERVER_UP",
    "uptime": 86400.25,
}

STATUS: list[dict[str, Any]] = [
    {"langtag": "LAN_NETWORK_HEADING", "name": "system.status.ipnetwork", "stateList": ["up"]},
    {"langtag": "CAMERAS_HEADING", "name": "system.status.mr.camera", "stateList": ["some_up"]},
    {"languageTag": "MICROPHONES_HEADING", "name": "system.status.mr.audio", "state": "all_down"},
    {"langtag": "SIP_SERVER_HEADING", "name": "system.status.sipserver", "stateList": ["off"]},
    {"langtag": "GATEKEEPER_HEADING", "name": "system.status.gatekeeper", "stateList": ["unknown"]},
    {"langtag": "LOG_THRESHOLD_HEADING", "name": "system.status.logthreshold", "stateList": ["full"]},
    {"langtag": "CALENDAR_SERVICE_HEADING", "name": "system.status.calendar", "stateList": ["resting"]},
]


def device_row(**values: Any) -> dict[str, Any]:
    empty = dict.fromkeys(("ip", "macAddress", "networkInterface", "productName", "serialNumber", "softwareVersion", "systemName", "uid"), "")
    return {"connectionType": "Unknown", "deviceCategory": "MODULE", "deviceState": "CONNECTED", "deviceType": "UNKNOWN", **empty, **values}


CODEC_ROW = device_row(deviceCategory="SYSTEM", deviceType="CODEC", macAddress="00:e0:db:a1:b2:c3", productName="StudioX50", uid="local-system")
PANEL_ROW = device_row(
    deviceType="TOUCHCONTROL", macAddress="00E0DB0A0B0C", productName="Poly TC8", serialNumber="8L22310A0B0CFD", softwareVersion="4.4.0-210117", uid="1234567"
)
E70_ROW = device_row(
    connectionType="USB",
    deviceCategory="CAMERA",
    deviceType="CAMERA",
    deviceState="PAIRED",
    productName="Poly Studio E70",
    serialNumber="8L2305D0E0F0GK",
    softwareVersion="1.9.0",
    uid="usb-1",
)
BUILT_IN_ROW = device_row(deviceCategory="CAMERA", deviceType="CAMERA", deviceState="PAIRED", uid="local-camera")
REMOTES = [device_row(deviceCategory="REMOTE", deviceState="PAIRED", macAddress=m, uid="local-remote") for m in ("02:00:00:00:00:01", "02:00:00:00:00:00:02")]
DEVICES = [CODEC_ROW, PANEL_ROW, E70_ROW, BUILT_IN_ROW, *REMOTES]

AUDIO = {"muteLocked": False, "muted": True, "numOfMicsConnected": 2, "volume": 50}
MICROPHONES = [
    {"hwVersion": "NA", "mute": 1, "number": n, "parentID": 0, "state": s, "swVersion": "NA", "type": 91, "typeInString": "Poly IP Table Mic"}
    for n, s in enumerate(("MIC_STATE_GREEN", "MIC_STATE_MAUVE"))
]
CAMERAS = [
    {"cameraIndex": 1, "connected": True, "model": "BUILT_IN_1.0", "name": "Main", "sourceType": "SRC_PEOPLE"},
    {"cameraIndex": 2, "connected": False, "model": "", "name": "USB 1", "sourceType": "SRC_PEOPLE"},
    {"cameraIndex": 3, "connected": True, "model": "", "name": "HDMI Input", "sourceType": "SRC_CONTENT"},
]
APPS = [
    {"appName": "Poly", "packageName": "com.poly.polylauncher", "personaName": "Poly", "versionInfo": "1.0"},
    {"appName": "Microsoft Teams", "packageName": "com.microsoft.skype.teams.ipphone", "personaName": "Teams", "versionInfo": "2025.1"},
]
SESSIONS = {
    "sessionList": [
        {"clientType": c, "creationTime": 5, "location": "192.0.2.7", "sessionId": f"PSsecret{c}", "userId": "admin"} for c in ("WEB", "WEB", "SSH")
    ]
}
PENDING = {"id": "PENDING", "isActive": False, "isPendingConference": True, "connections": []}

WHOAMI = """Hi, my name is : Sala 3.14
Model: StudioX50
Serial Number: 8L2231A1B2C3FB
Software Version: 4.4.0-440117
Build Information: Release
SNTP Time Service: auto ntp.example.org
Local Time is: Wed Mar  4 10:00:00 2026
SNMP Enabled: False
"""


def text(value: Any) -> str:
    """JSON with the tail that VideoOS 3.x leaves."""
    return json.dumps(value) + "\r\n"
