"""The one small interface for switching faults and reading what devices counted, over HTTP on 127.0.0.1.

    GET  /devices                        [{"name", "address", "faults": {NAME: sentence}, "active": [NAME]}]
    POST /devices/NAME/faults/FAULT      {"on": true}  →  204
    POST /devices/NAME/traps             {"address": "127.0.0.1", "port": 1162, "version": 2}  →  204; from then on its traps go there
    GET  /devices/NAME/counters          what the device counted; at least requests, refused_logins and sessions_open
    GET  /traffic                        what the listener counted

In the same process a device is switched with `await device.switch(fault, on)`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from simulator.device import SimulatedDevice
from simulator.listener import Traffic


@asynccontextmanager
async def control(devices: Iterable[SimulatedDevice], traffic: Traffic, *, port: int = 0) -> AsyncIterator[int]:
    """Serve the interface; the port it listens on."""
    application = web.Application()
    desk = _Desk({device.name: device for device in devices}, traffic)
    application.add_routes(
        [
            web.get("/devices", desk.list_devices),
            web.post("/devices/{name}/faults/{fault}", desk.switch),
            web.post("/devices/{name}/traps", desk.traps),
            web.get("/devices/{name}/counters", desk.counters),
            web.get("/traffic", desk.listener),
        ]
    )
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


class _Desk:
    def __init__(self, devices: Mapping[str, SimulatedDevice], traffic: Traffic) -> None:
        self._devices = devices
        self._traffic = traffic
        self._active: dict[str, set[str]] = {name: set() for name in devices}

    def _device(self, request: web.Request) -> SimulatedDevice:
        name = request.match_info["name"]
        device = self._devices.get(name)
        if device is None:
            raise web.HTTPNotFound(text=f"no device {name!r}; GET /devices lists them")
        return device

    async def list_devices(self, _: web.Request) -> web.Response:
        return web.json_response(
            [
                {"name": device.name, "address": device.address, "faults": device.faults(), "active": sorted(self._active[device.name])}
                for device in self._devices.values()
            ]
        )

    async def switch(self, request: web.Request) -> web.Response:
        device = self._device(request)
        fault = request.match_info["fault"]
        try:
            body = json.loads(await request.text())
        except ValueError:
            body = None
        on = body.get("on") if isinstance(body, dict) else None
        if not isinstance(on, bool):
            raise web.HTTPBadRequest(text='the body must be {"on": true} or {"on": false}')
        if fault not in device.faults():
            raise web.HTTPNotFound(text=f"{device.name} has no fault {fault!r}; known are {', '.join(sorted(device.faults()))}")
        await device.switch(fault, on)
        (self._active[device.name].add if on else self._active[device.name].discard)(fault)
        return web.Response(status=204)

    async def traps(self, request: web.Request) -> web.Response:
        device = self._device(request)
        send = getattr(device, "traps_to", None)
        if send is None:
            raise web.HTTPNotFound(text=f"{device.name} sends no traps")
        try:
            body = json.loads(await request.text())
            send(str(body["address"]), int(body["port"]), version=int(body.get("version", 2)))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise web.HTTPBadRequest(text=f'the body must be {{"address": "127.0.0.1", "port": 1162, "version": 2}}: {error}') from error
        return web.Response(status=204)

    async def counters(self, request: web.Request) -> web.Response:
        return web.json_response(counters_of(self._device(request)))

    async def listener(self, _: web.Request) -> web.Response:
        return web.json_response(dataclasses.asdict(self._traffic))


def counters_of(device: SimulatedDevice) -> dict[str, Any]:
    """What a device counted, as JSON. Each vendor counts in its own terms; three names are the same for all:
    `requests` by path, `refused_logins`, `sessions_open`. `snmp`, where it is on: what its agent was asked and refused.
    """
    counted = _plain(getattr(device, "counters", {}))
    found: dict[str, Any] = counted if isinstance(counted, dict) else {}
    refused = found.get("logins_refused")
    if isinstance(refused, dict):
        found.setdefault("refused_logins", sum(refused.values()))
    asked = getattr(device.snmp(), "counted", None)
    if asked is not None:
        found["snmp"] = _plain(asked)
    sessions = getattr(device, "sessions", None)
    found.setdefault("sessions_open", len(sessions) if sessions is not None else 0)
    return found


def _plain(value: Any) -> Any:
    """Dataclasses, mappings and sequences as JSON knows them; a key of several words is written with spaces."""
    if dataclasses.is_dataclass(value):
        return {item.name: _plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {" ".join(map(str, key)) if isinstance(key, tuple) else str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
