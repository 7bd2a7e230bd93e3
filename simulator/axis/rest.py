"""The Device Configuration interface, /config, and the image health application, /local: JSON by GET, with real status codes.

Recorded are the list of the interfaces, the frame of an answer, an error, and the SNMP answer. The data of lldp, cert, time, network-time-sync
and of the image health application were never seen: their shapes are ours, and so are the account levels.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from aiohttp import web

from simulator.axis.auth import Role
from simulator.axis.call import Call, Cgi, as_json, page
from simulator.axis.generation import GENERATIONS
from simulator.axis.measured import clock_client
from simulator.axis.product import Product

DISCOVER = "/config/discover"
IMAGE_HEALTH = "/local/AXISImageHealthAnalytics/v1/status"


async def _discover(call: Call) -> web.StreamResponse:
    """The list of the interfaces; a product without a siren does not have that of the siren."""

    def row(name: str, version: str) -> dict[str, str]:
        number, _, stage = version.partition("-")
        major = f"v{number.partition('.')[0]}"
        root = f"/config/discover/apis/{name}/{major}"
        return {
            "doc": f"{root}/doc.md",
            "doc_html": f"/config/web-ui/cu-doc.html?md-doc-loc={root}/doc.md",
            "model": f"{root}/model.json",
            "rest_api": call.state.product.rest(name),
            "rest_openapi": f"{root}/openapi.json",
            "rest_ui": f"/config/web-ui/swagger-ui/?url={root}/openapi.json",
            "state": stage.partition(".")[0] or "released",
            "version": version,
        }

    product = call.state.product
    device = {"rest_openapi": "/config/discover/openapi.json", "rest_ui": "/config/web-ui/swagger-ui/?url=/config/discover/openapi.json"}
    apis = {name: {f"v{version.partition('.')[0]}": row(name, version)} for name, version in product.generation.rest.items() if product.rest(name)}
    return as_json({"apis": apis, "device": device, "framework_version": "1.0.0"}, indent=2)


def _neighbours(call: Call) -> list[dict[str, Any]]:
    """The switch port the device hangs on: one of 48, by its serial number."""
    port = int(call.state.serial[-2:], 16) % 48 + 1
    return [
        {
            "interface": "eth0",
            "chassisIdType": "mac",
            "chassisId": "02:00:5E:10:00:01",
            "portIdType": "ifname",
            "portId": f"Gi1/0/{port}",
            "portDescription": f"GigabitEthernet1/0/{port}",
            "systemName": "switch-1.example.org",
            "systemDescription": "48 port PoE switch",
            "managementAddresses": ["192.0.2.2"],
            "ttl": 120,
        }
    ]


async def _lldp(call: Call) -> Any:
    return {"activated": True, "neighbors": _neighbours(call)}


async def _lldp_neighbours(call: Call) -> Any:
    return _neighbours(call)


def _certificate(call: Call) -> dict[str, Any]:
    pem, ends = call.certificate()
    return {"alias": "default", "keystore": "SE0", "certificate": pem, "validTo": ends.strftime("%Y-%m-%dT%H:%M:%SZ")}


async def _cert(call: Call) -> Any:
    return {"certificates": [_certificate(call)], "ca_certificates": []}


async def _certificates(call: Call) -> Any:
    return [_certificate(call)]


async def _snmp(call: Call) -> Any:
    access = call.snmp
    return {
        "enabled": access.enabled,
        "snmpV1": access.v1,
        "snmpV1V2Common": {"readCommunity": access.community, "trap": {"enabled": False, "address": "", "community": "public"}},
        "snmpV2": access.v2c,
        "snmpV3": {"enabled": bool(access.users), "supportedEncryption": ["DES", "AES-128", "AES-256"]},
        "transportProtocol": "udp",
    }


async def _time(call: Call) -> Any:
    now = call.state.now().replace(microsecond=0, tzinfo=None).isoformat()
    return {"dateTime": f"{now}Z", "localDateTime": now, "timeZone": {"activeTimeZone": "UTC", "posix": "UTC0"}}


async def _time_sync(call: Call) -> Any:
    return {"ntp": {"client": clock_client(call.state)}}


async def _siren(_: Call) -> Any:
    return {"maintenanceMode": {"running": False, "supported": False}}


async def _maintenance(_: Call) -> Any:
    return {"running": False, "supported": False}


async def _virtual_host(_: Call) -> Any:
    return {"virtualhosts": []}


Resource = Callable[[Call], Awaitable[Any]]

# By interface and what follows its path: the least account level, and the data.
_RESOURCES: dict[tuple[str, str], tuple[Role, Resource]] = {
    ("cert", ""): (Role.ADMINISTRATOR, _cert),
    ("cert", "/certificates"): (Role.ADMINISTRATOR, _certificates),
    ("lldp", ""): (Role.ADMINISTRATOR, _lldp),
    ("lldp", "/neighbors"): (Role.ADMINISTRATOR, _lldp_neighbours),
    ("network-time-sync", ""): (Role.OPERATOR, _time_sync),
    ("siren-and-light", ""): (Role.OPERATOR, _siren),
    ("siren-and-light", "/maintenanceMode"): (Role.OPERATOR, _maintenance),
    ("snmp", ""): (Role.ADMINISTRATOR, _snmp),
    ("time", ""): (Role.OPERATOR, _time),
    ("virtualhost", ""): (Role.ADMINISTRATOR, _virtual_host),
}


async def _answer(call: Call, *, resource: Resource) -> web.StreamResponse:
    if call.request.method != "GET":
        call.state.counters.changes[f"{call.request.method} {call.request.path}"] += 1
        return as_json({"status": "error", "error": {"code": 3, "message": "Operation is not supported"}}, status=405, indent=2)
    return as_json({"status": "success", "data": await resource(call)}, indent=2)


async def _image_health(call: Call) -> web.StreamResponse:
    """503 while the application is stopped, 404 where it is not installed."""
    state = call.state
    match state.application("AXISImageHealthAnalytics"):
        case "":
            return page("Not Found", "The requested URL was not found on this server.", state=state, status=404)
        case "Running":
            seen = {name: f"image_{fault}" in state.faults for name, fault in _VIEWS.items()}
            return as_json({"status": "success", "data": seen})
        case _:
            return page("Service Unavailable", "The application does not answer.", state=state, status=503)


_VIEWS = {"block": "blocked", "blur": "blurred", "redirect": "redirected", "underexposure": "underexposed"}


def _has(product: Product, *, name: str, root: str) -> bool:
    return product.rest(name) == root


def _paths() -> dict[str, Cgi]:
    roots = {(name, generation.rest_path(name)) for generation in GENERATIONS.values() for name in generation.rest}
    found = {
        root + below: Cgi(answer=partial(_answer, resource=resource), level=level, offered=partial(_has, name=name, root=root))
        for (of, below), (level, resource) in _RESOURCES.items()
        for name, root in roots
        if name == of
    }
    found[DISCOVER] = Cgi(answer=_discover, level=Role.VIEWER, offered=lambda product: product.has("device-config"))
    found[IMAGE_HEALTH] = Cgi(answer=_image_health, level=Role.VIEWER, offered=lambda product: "AXISImageHealthAnalytics" in product.apps)
    return found


PATHS = _paths()
