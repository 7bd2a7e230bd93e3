"""The device's settings: read by name, written by name, exported as XML."""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import quoteattr

from simulator.poly import media
from simulator.poly.state import Box

_SECURE = frozenset({"sec.auth.admin.password", "snmp.auth.key", "comm.nics.sipnic.sippassword"})


def settings(box: Box) -> dict[str, str]:
    """Every setting with its value now, secrets included."""
    tuning = box.tuning
    own = {
        "comm.nics.h323nic.h323extension": "5550100",
        "comm.nics.h323nic.h323name": box.room_name,
        "comm.nics.sipnic.sipusername": f"{box.name}@sip.example.org",
        "comm.nics.sipnic.sippassword": box.password + "-sip",
        "system.network.wired.ipv4nic.address": box.address,
        "system.network.hostname": box.room_name,
        "system.network.wired.ethernet.macaddress": "",
        "management.provider.select": box.profile.provider.value,
        "sec.web.enable": str(not box.has("web_off")).lower(),
        "sec.web.httpsOnly": str(tuning.https_only).lower(),
        "sec.web.idleSessionTimeout": f"{tuning.idle_timeout / 60:.0f}",
        "sec.access.maxSessions": str(tuning.max_sessions),
        "sec.ssh.enable": "true",
        "sec.telnet.enable": "false",
        "sec.auth.admin.password": box.password,
        "sec.auth.portLockout.lockoutAttempts": str(tuning.web_lockout.attempts or "Off"),
        "sec.auth.portLockout.lockoutTime": f"{tuning.web_lockout.lock_time / 60:.0f}",
        "snmp.enable": "false",
        "snmp.auth.key": box.password + "-snmp",
        "snmp.systemDesc": "Videoconferencing Device",
        "device.syslog.enable": "false",
        "device.syslog.level": "Debug",
        "upgrade.auto.enable": "true",
        "upgrade.auto.server.type": "polycom_support_server",
        "upgrade.auto.timeFrame.enable": "true",
        "upgrade.auto.timeFrame.startTime": "01:00",
        "upgrade.auto.timeFrame.stopTime": "05:00",
    }
    for slot in media.cameras(box):
        prefix = f"sourceman.camera{slot['cameraIndex']}"
        own |= {
            f"{prefix}.role": "people" if slot["sourceType"] == "SRC_PEOPLE" else "content",
            f"{prefix}.signaltype": "",
            f"{prefix}.name": slot["name"],
            f"{prefix}.model": slot["model"],
        }
    return own | box.settings


def read(box: Box, names: list[Any]) -> dict[str, Any]:
    """POST /config with names; a secret's value is never given. The word for an unknown name was not recorded: anything but NOERROR."""
    known = settings(box)
    return {"vars": [_variable(str(name), known) for name in names]}


def _variable(name: str, known: dict[str, str]) -> dict[str, Any]:
    if name not in known:
        return {"name": name, "result": "ERROR_NAME_NOT_FOUND", "value": "", "isEditable": False, "isHidden": False, "isSecure": False}
    secure = name in _SECURE
    return {"name": name, "result": "NOERROR", "value": "" if secure else known[name], "isEditable": True, "isHidden": False, "isSecure": secure}


def write(box: Box, variables: list[Any]) -> dict[str, Any]:
    """POST /config with name and value pairs: changes the box."""
    for variable in variables:
        box.settings[str(variable["name"])] = str(variable["value"])
    return read(box, [v["name"] for v in variables])


def export(box: Box) -> str:
    """GET /provisioning/config: all settings, secrets replaced (element names are unverified)."""
    attributes = "\n    ".join(f"{name}={quoteattr('REMOVED_SECURE_CONTENT' if name in _SECURE else value)}" for name, value in sorted(settings(box).items()))
    return f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n<PHONE_CONFIG>\n  <ALL\n    {attributes}\n  />\n</PHONE_CONFIG>\n'
