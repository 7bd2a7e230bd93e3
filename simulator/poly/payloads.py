"""JSON answers about the system itself: pure functions of the box."""

from __future__ import annotations

from typing import Any

from simulator.poly.profiles import Provider
from simulator.poly.state import Box

_APPS_INSTALLED = 1_735_725_600_000  # epoch ms: apps came with the last update
_POLY_APP = ("Poly", "com.poly.polylauncher", "Poly")
_DEVICE_MODE_APP = ("Device Mode", "com.polycom.camuvc", "camuvc")
_TEAMS_APP = ("Microsoft Teams", "com.microsoft.skype.teams.ipphone", "Teams")
_ZOOM_APP = ("Zoom Rooms", "us.zoom.zoompresence", "Zoom")
_APPS = {Provider.POLY: _POLY_APP, Provider.TEAMS: _TEAMS_APP, Provider.ZOOM: _ZOOM_APP}


def system(box: Box) -> dict[str, Any]:
    """GET /system, keys as seen in recordings of an X30."""
    return {
        "build": box.firmware.build,
        "buildType": "Release",
        "hardwareVersion": "1",
        "lanStatus": {"duplex": "HALF" if box.has("lan_half") else "FULL", "speedMbps": 100 if box.has("lan_100") else 1000, "state": "LAN_UP"},
        "model": box.profile.model,
        "rebootNeeded": box.has("reboot_needed"),
        "serialNumber": box.serial,
        "softwareVersion": box.firmware.version,
        "state": box.state_word,
        "systemName": box.room_name,
        "systemTime": int(box.system_time.timestamp()) * 1000,
        "timeOffset": 3_600_000,
        "timeServerState": "TIMESERVER_DOWN" if box.has("time_server_down") else "TIMESERVER_UP",
        "uptime": round(box.uptime, 2),
    }


def sip_in_use(box: Box) -> bool:
    """Whether the system registers itself: not under a provider's application, not as a USB camera."""
    return box.profile.provider is Provider.POLY and not box.device_mode


def status_rows(box: Box) -> list[tuple[str, str, str]]:
    """(name without `system.status.`, langtag, state word) of each subsystem."""
    profile = box.profile
    sip = "down" if box.has("sip_down") else "up" if sip_in_use(box) else "off"
    cameras = "all_up" if box.camera_works else "some_up" if profile.camera and profile.e70 else "all_down"
    microphones = "all_up" if box.microphones == profile.microphones else "some_up" if box.microphones else "none_up"
    rows = [("ipnetwork", "LAN_NETWORK_HEADING", "up")]
    if profile.camera:
        rows.append(("trackablecamera", f"CAMERA_MODEL_{profile.camera}", "down" if box.has("camera_down") else "up"))
    return [
        *rows,
        ("autoanswerp2p", "AUTO_ANSWER_P2P_HEADING", "up" if profile.provider is Provider.POLY else "off"),
        ("sipserver", "SIP_SERVER_HEADING", sip),
        ("gatekeeper", "GATEKEEPER_HEADING", "up" if sip_in_use(box) else "unknown"),
        ("mr.camera", "CAMERAS_HEADING", cameras if profile.has_camera else "off"),
        ("provisioning", "PROVISIONING_SERVICE_HEADING", "down" if box.has("provisioning_down") else "off"),
        ("mr.audio", "MICROPHONES_HEADING", microphones),
        ("remotecontrol", "REMOTE_CONTROL_HEADING", "off"),
        ("logthreshold", "LOG_THRESHOLD_HEADING", "full" if box.has("log_full") else "off"),
        ("globaldirectory", "SYSTEM_STATUS_GLOBALDIRECTORY_SERVER", "off"),
        ("calendar", "CALENDAR_SERVICE_HEADING", "off"),
    ]


def status(box: Box) -> list[dict[str, Any]]:
    """GET /system/status."""
    return [{"langtag": tag, "name": f"system.status.{name}", "stateList": [word]} for name, tag, word in status_rows(box)]


def devices(box: Box, wanted: Any) -> list[dict[str, Any]]:
    """POST /devicemanagement/devices with `null` or `{"deviceState": "PAIRED"}`; what the filter leaves out is inferred: rows that are gone.

    The codec's own serial is empty, and each kind of row writes its MAC in its own way, as in recordings of an X30. The E70's row was never
    seen: camera, USB, with a serial and a firmware line of its own.
    """
    rows = [
        _row("Unknown", "SYSTEM", "CONNECTED", "CODEC", "local-system", ip=box.address, mac=box.mac, product=box.profile.model, name=box.room_name)
        | {"softwareVersion": box.firmware.version}
    ]
    if box.profile.panel:
        there = box.panel_there
        rows.append(
            _row(
                "Corp",
                "MODULE",
                "CONNECTED" if there else "DISCONNECTED",
                "TOUCHCONTROL",
                str(int(box.panel_mac[4:], 16)),
                ip=box.panel_address,
                mac=box.panel_mac,
                product=box.profile.panel,
                name=box.profile.panel,
            )
            | {"networkInterface": "eth0", "serialNumber": box.panel_serial, "softwareVersion": f"{box.firmware.version}-210{box.firmware.build[-3:]}"}
        )
    if box.profile.camera:
        rows.append(_row("HDCI", "CAMERA", "PAIRED", "CAMERA", "local-camera"))
    if box.e70_there:
        rows.append(
            _row("USB", "CAMERA", "PAIRED", "CAMERA", "usb-camera-1", product="Poly Studio E70", name="Poly Studio E70")
            | {"serialNumber": box.e70_serial, "softwareVersion": "1.9.0"}
        )
    rows += [_row("Unknown", "REMOTE", "PAIRED", "UNKNOWN", "local-remote", mac=mac) for mac in ("02:00:5E:00:53:01", "02:00:5E:00:53:02:03")]
    if isinstance(wanted, dict) and wanted.get("deviceState") == "PAIRED":
        rows = [r for r in rows if r["deviceState"] != "DISCONNECTED"]
    return rows


def _row(connection: str, category: str, state: str, kind: str, uid: str, *, ip: str = "", mac: str = "", product: str = "", name: str = "") -> dict[str, Any]:
    return {
        "connectionType": connection,
        "deviceCategory": category,
        "deviceState": state,
        "deviceType": kind,
        "ip": ip,
        "macAddress": mac,
        "networkInterface": "",
        "productName": product,
        "serialNumber": "",
        "softwareVersion": "",
        "systemName": name,
        "uid": uid,
    }


def mode(box: Box) -> dict[str, Any]:
    """GET /system/mode: field names from a client of G7500 and X50, never recorded; the types are guesses."""
    app = _APPS[box.profile.provider]
    shown = _DEVICE_MODE_APP if box.device_mode else app
    return {
        "activePersona": shown[2],
        "app": shown[1],
        "appLocked": False,
        "appPersona": app[2],
        "ecoMode": box.has("asleep"),
        "mode": "DEVICE" if box.device_mode else "APP",
        "polyCallControl": box.profile.provider is Provider.POLY,
    }


def apps(box: Box) -> list[dict[str, Any]]:
    """GET /system/apps: what is installed."""
    installed = {_POLY_APP, _DEVICE_MODE_APP, _APPS[box.profile.provider]}
    return [
        {
            "appName": name,
            "appSize": 1_500_000 + 1000 * len(package),
            "ecoMode": True,
            "lastUpdatedOn": _APPS_INSTALLED,
            "packageName": package,
            "personaName": persona,
            "polyCallFeaturesEnabled": name == "Poly",
            "versionInfo": "1.0",
        }
        for name, package, persona in sorted(installed, key=lambda app: app[0] != "Poly")
    ]


def apps_all(_box: Box) -> list[dict[str, Any]]:
    """GET /system/apps/all: what could be selected (shape inferred)."""
    return [{"appName": name, "packageName": package, "personaName": persona} for name, package, persona in (*_APPS.values(), _DEVICE_MODE_APP)]


def apps_state(box: Box) -> list[dict[str, Any]]:
    """GET /system/apps/state, shape from a vendor-written client of 2026."""
    active = _APPS[box.profile.provider][1]
    return [{"appPackageName": app[1], "inMeeting": box.has("in_meeting") and app[1] == active} for app in (_TEAMS_APP, _ZOOM_APP)]


def sip_servers(box: Box) -> list[dict[str, Any]]:
    return [{"address": "192.0.2.64", "model": "Unknown", "state": "DOWN" if box.has("sip_down") else "UP", "version": ""}]


def gatekeepers(_box: Box) -> list[dict[str, Any]]:
    return [{"address": "192.0.2.64", "model": "", "state": "UP", "version": ""}]


def time(box: Box) -> dict[str, Any]:
    return {"time": int(box.system_time.timestamp() * 1000), "tzOffset": 3_600_000}


def ping(box: Box, destination: str) -> dict[str, Any]:
    """POST /system/network/ping (fields documented)."""
    reachable = destination not in box.unreachable
    return {
        "icmpReachable": reachable,
        "responseTime": 2 if reachable else 0,
        "h323Reachable": False,
        "sipReachable": reachable and destination == "192.0.2.64",
    }


def traceroute(box: Box, destination: str) -> dict[str, Any]:
    """POST /system/network/traceroute (fields documented, the hops' shape is a guess)."""
    hops = ["192.0.2.1", destination] if destination not in box.unreachable else ["192.0.2.1"]
    return {"success": destination not in box.unreachable, "totalHops": len(hops), "hops": [{"hop": n, "address": a} for n, a in enumerate(hops, 1)]}
