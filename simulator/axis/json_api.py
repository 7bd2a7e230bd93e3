"""The JSON interfaces: POST only, one CGI each, errors with status 200 and a code."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from simulator.axis import measured
from simulator.axis.auth import Role
from simulator.axis.call import Call, as_json

Method = Callable[[Call, Mapping[str, Any]], Awaitable[dict[str, Any]]]


class Problem(Exception):
    """An error a JSON interface answers, by its name in `_CODES`."""

    def __init__(self, name: str, message: str, *, method: str = "") -> None:
        super().__init__(message)
        self.name = name
        self.message = message
        self.method = method


# Working clients know 2003, 2004, 4000 and 4002 of most interfaces, 400 to 500 of firmware management, 4000/4001 of time and network.
_CODES = {"invalid": 1000, "post_only": 2002, "version": 2003, "method": 2004, "json": 4000, "missing": 4002}
_FIRMWARE_CODES = {"invalid": 422, "post_only": 405, "version": 417, "method": 405, "json": 400, "missing": 412, "mismatch": 421}


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """One interface. `levels`: the least account level of each method; unlisted methods need `level`."""

    id: str
    methods: Mapping[str, Method]
    level: Role
    levels: Mapping[str, Role]
    codes: Mapping[str, int]


async def answer(api: Api, call: Call) -> web.StreamResponse:
    """Answer one request for this interface. Raises Insufficient for an account that may not."""
    version = call.state.product.generation.version(api.id)
    reply: dict[str, Any] = {"apiVersion": version}
    try:
        request = await _request(api, call)
        if "context" in request:
            reply["context"] = request["context"]
        name = request.get("method")
        method = api.methods.get(name) if isinstance(name, str) else None
        call.require(api.levels.get(str(name), api.level) if method else api.level)
        if name is None:
            raise Problem("missing", "JSON semantic error: Missing 'method'")
        if method is None or not _knows(api, call, str(name)):
            raise Problem("method", f"JSON semantic error: Unknown method '{name}'")
        if name == "getSupportedVersions":
            if not call.state.product.generation.info_echoes_method:
                del reply["apiVersion"]
        else:
            _check_version(request, version)
        if api.id != "basic-device-info" or call.state.product.generation.info_echoes_method:
            reply["method"] = name
        parameters = request.get("params", {})
        if not isinstance(parameters, dict):
            raise Problem("invalid", "JSON semantic error: 'params' is not an object")
        reply["data"] = await method(call, parameters)
    except Problem as problem:
        if problem.method:
            reply["method"] = problem.method
        reply["error"] = {"code": api.codes[problem.name], "message": problem.message}
    return as_json(reply)


def _knows(api: Api, call: Call, name: str) -> bool:
    return name != "getAllUnrestrictedProperties" or api.id != "basic-device-info" or call.state.product.generation.anonymous_identity


async def _request(api: Api, call: Call) -> dict[str, Any]:
    if call.request.method != "POST":
        raise Problem("post_only", "The HTTP request type is not supported. Only POST is supported")
    if api.id == "fwmgr" and call.request.content_type == "multipart/form-data":
        call.require(api.level)
        call.state.counters.changes["firmwaremanagement upgrade"] += 1
        raise Problem("mismatch", "Firmware image does not match this device.", method="upgrade")
    try:
        request = json.loads(call.body)
    except (ValueError, RecursionError) as error:
        call.require(min([api.level, *api.levels.values()]))
        raise Problem("json", "JSON input error") from error
    if not isinstance(request, dict):
        call.require(min([api.level, *api.levels.values()]))
        raise Problem("json", "JSON input error")
    return request


def _check_version(request: Mapping[str, Any], version: str) -> None:
    """Any minor version of the same major one is accepted."""
    asked = request.get("apiVersion")
    if asked is None:
        raise Problem("missing", "JSON semantic error: Missing 'apiVersion'")
    if not isinstance(asked, str) or asked.partition(".")[0] != version.partition(".")[0]:
        raise Problem("version", f"The requested API version is not supported: {asked}")


# --- methods ----------------------------------------------------------------------------------------------------------


def _supported(api: str) -> Method:
    async def get_supported_versions(call: Call, _: Mapping[str, Any]) -> dict[str, Any]:
        return {"apiVersions": [call.state.product.generation.version(api)]}

    return get_supported_versions


def _identity(call: Call) -> dict[str, str]:
    product = call.state.product
    return {
        "ProdNbr": product.number,
        "HardwareID": product.hardware,
        "ProdFullName": product.full_name,
        "Version": product.firmware,
        "ProdType": product.type,
        "Brand": "AXIS",
        "WebURL": "https://www.axis.com",
        "ProdVariant": product.variant,
        "SerialNumber": call.state.serial,
        "ProdShortName": product.short_name,
        "BuildDate": product.build_date,
    }


async def _all_unrestricted(call: Call, _: Mapping[str, Any]) -> dict[str, Any]:
    return {"propertyList": _identity(call)}


async def _all_properties(call: Call, _: Mapping[str, Any]) -> dict[str, Any]:
    product = call.state.product
    chip = f"00000000-00000000-{call.state.serial[:8]}-{call.state.serial[4:]}"
    return {"propertyList": {"Architecture": product.architecture, "Soc": product.soc, "SocSerialNumber": chip, **_identity(call)}}


async def _some_properties(call: Call, parameters: Mapping[str, Any]) -> dict[str, Any]:
    names = parameters.get("propertyList")
    if not isinstance(names, list):
        raise Problem("missing", "JSON semantic error: Missing 'propertyList'")
    known = (await _all_properties(call, {}))["propertyList"]
    if unknown := [name for name in names if name not in known]:
        raise Problem("invalid", f"Invalid parameter: {unknown[0]}")
    return {"propertyList": {name: known[name] for name in names}}


_NAMES = {
    "api-discovery": "API Discovery Service",
    "basic-device-info": "Basic Device Information",
    "device-config": "Device Configuration API",
    "audit-log": "Audit Log",
    "disk-management": "Edge storage Disk management",
    "event-streaming-over-websocket": "Event Streaming over WebSocket",
    "fwmgr": "Firmware Management",
    "io-port-management": "IO Port Management",
    "light-control": "Light Control",
    "mqtt-client": "MQTT Client API",
    "network-settings": "Network Settings",
    "ntp": "NTP",
    "packagemanager": "Package Manager",
    "param-cgi": "Legacy Parameter Handling",
    "power-settings": "Power Settings",
    "sip": "SIP API",
    "siren-and-light": "Siren and Light",
    "speakertest": "Speaker Test",
    "streamstatus": "Stream Status",
    "supervised-io": "Supervised I/O",
    "systemready": "Systemready",
    "temperaturecontrol": "Temperature Control",
    "time-service": "Time API",
}


async def _api_list(call: Call, _: Mapping[str, Any]) -> dict[str, Any]:
    product = call.state.product
    rows = []
    for api, version in product.generation.apis.items():
        if not product.has(api):
            continue
        row = {"id": api, "version": version, "name": _NAMES[api], "docLink": ""}
        if api != "packagemanager":  # the one that was recorded without these
            row["docLink"] = "https://www.axis.com/partner_pages/vapix_library/#/"
            if product.generation.api_status:
                row["status"] = "official"
        rows.append(row)
    return {"apiList": rows}


async def _system_ready(call: Call, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """With a timeout the answer waits until the device is ready, or for that long."""
    state = call.state
    timeout = parameters.get("timeout", 0)
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or timeout < 0:
        raise Problem("invalid", "Invalid parameter: timeout")
    if not state.ready and timeout > 0:
        await state.clock.sleep(timeout if "not_ready" in state.faults else min(timeout, state.settling))
    setup = "needs_setup" in state.faults
    data = {"systemready": "yes" if state.ready else "no", "needsetup": "yes" if setup else "no"}
    minor = int(state.product.generation.version("systemready").partition(".")[2])
    if minor >= 4:
        data |= {"uptime": str(int(state.uptime)), "bootid": state.boot_id}
        if setup:
            data["previewmode"] = "7200"
    if minor >= 5:
        data["passphrasepolicy"] = "none"
    return data


async def _firmware_status(call: Call, _: Mapping[str, Any]) -> dict[str, Any]:
    """Only the fields that apply are sent. Of `resetSource` one value was ever recorded: crash."""
    state = call.state
    data: dict[str, Any] = {"activeFirmwareVersion": state.product.firmware, "activeFirmwarePart": "1", "isCommited": True}
    if "pending_commit" in state.faults:
        data |= {"isCommited": False, "pendingCommit": True, "inactiveFirmwareVersion": _older(state.product.firmware), "timeToRollback": 3600}
    if state.crash:
        data["resetSource"] = "crash"
    return data


def _older(version: str) -> str:
    *head, last = version.split(".")
    return ".".join([*head, str(max(int(last) - 13, 0))])


async def _firmware_reboot(call: Call, _: Mapping[str, Any]) -> dict[str, Any]:
    call.state.counters.changes["firmwaremanagement reboot"] += 1
    call.restart()
    return {}


async def _firmware_default(call: Call, parameters: Mapping[str, Any]) -> dict[str, Any]:
    if parameters.get("factoryDefaultMode") not in {"soft", "hard"}:
        raise Problem("invalid", "Invalid parameter: factoryDefaultMode")
    call.state.counters.changes["firmwaremanagement factoryDefault"] += 1
    call.reset()
    return {}


async def _firmware_change(call: Call, _: Mapping[str, Any]) -> dict[str, Any]:
    call.state.counters.changes["firmwaremanagement commit"] += 1
    call.state.faults.discard("pending_commit")
    return {}


def _api(id: str, level: Role, methods: Mapping[str, Method], *, levels: Mapping[str, Role] | None = None, codes: Mapping[str, int] = _CODES) -> Api:
    return Api(id=id, level=level, methods={"getSupportedVersions": _supported(id), **methods}, levels=levels or {}, codes=codes)


_OPEN = {"getSupportedVersions": Role.ANONYMOUS}

# Levels: documented for fwmgr and basicdeviceinfo; systemready needs none in working clients; streamstatus is
# documented; the others are what their users report, or our guess (mqtt, siren).
APIS: Mapping[str, Api] = {
    "/axis-cgi/basicdeviceinfo.cgi": _api(
        "basic-device-info",
        Role.VIEWER,
        {"getAllProperties": _all_properties, "getProperties": _some_properties, "getAllUnrestrictedProperties": _all_unrestricted},
        levels={**_OPEN, "getAllUnrestrictedProperties": Role.ANONYMOUS},
    ),
    "/axis-cgi/apidiscovery.cgi": _api("api-discovery", Role.VIEWER, {"getApiList": _api_list}, levels=_OPEN),
    "/axis-cgi/systemready.cgi": _api("systemready", Role.ANONYMOUS, {"systemready": _system_ready}),
    "/axis-cgi/firmwaremanagement.cgi": _api(
        "fwmgr",
        Role.ADMINISTRATOR,
        {"status": _firmware_status, "reboot": _firmware_reboot, "factoryDefault": _firmware_default, "commit": _firmware_change},
        codes=_FIRMWARE_CODES,
    ),
    "/axis-cgi/network_settings.cgi": _api("network-settings", Role.OPERATOR, {"getNetworkInfo": measured.network_info}),
    "/axis-cgi/ntp.cgi": _api("ntp", Role.OPERATOR, {"getNTPInfo": measured.ntp_info}),
    "/axis-cgi/time.cgi": _api("time-service", Role.OPERATOR, {"getDateTimeInfo": measured.date_time}),
    "/axis-cgi/lightcontrol.cgi": _api("light-control", Role.OPERATOR, {"getLightInformation": measured.lights}),
    "/axis-cgi/io/portmanagement.cgi": _api("io-port-management", Role.OPERATOR, {"getPorts": measured.ports}),
    "/axis-cgi/power-settings.cgi": _api("power-settings", Role.OPERATOR, {"getPowerStatus": measured.power}),
    "/axis-cgi/mqtt/client.cgi": _api("mqtt-client", Role.OPERATOR, {"getClientStatus": measured.mqtt_client}),
    "/axis-cgi/streamstatus.cgi": _api("streamstatus", Role.ADMINISTRATOR, {"getAllStreams": measured.streams}),
    "/axis-cgi/siren_and_light.cgi": _api(
        "siren-and-light", Role.OPERATOR, {"getStatus": measured.siren_status, "getHealthCheckStatus": measured.siren_health}
    ),
}
