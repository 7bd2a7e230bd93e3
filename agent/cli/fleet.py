"""list, unblock."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Annotated, Any

import typer
from rich.text import Text as Line
from sqlalchemy import Connection

from agent.cli.common import (
    DEFAULT_CONFIG,
    ConfigFile,
    Output,
    OutputOption,
    configured,
    console,
    daemon_runs,
    fail,
    in_store,
    store_exists,
    table,
    through_daemon,
)
from agent.inventory import build
from agent.model import Component, Device, History, Identity, Incident
from agent.polling.status import child_part, with_others
from agent.store import queries
from config.settings import Settings


def list_devices(config: ConfigFile = DEFAULT_CONFIG, output: OutputOption = Output.TEXT) -> None:
    """List the devices with what the running daemon knows of them. Without a daemon: what it last wrote down, states unknown."""
    settings, _ = configured(config)
    runs = daemon_runs(settings)
    devices = _from_daemon(settings) if runs else _from_store(settings)
    if output is Output.JSON:
        print(json.dumps({"schema": 1, "daemon": runs, "devices": devices}, indent=2, ensure_ascii=False))
        return
    if not runs:
        print("The daemon does not run: states are not known; model, serial and firmware are as last read.")
    rows = table("device", "room", "model", "serial", "firmware", "state", "faults", "tickets")
    for d in devices:
        faults = "\n".join(_fault(f) for f in d["faults"])
        tickets = "\n".join(f"{t['desk']} {t['ref']}" for t in d["tickets"])
        state = {True: "up", False: "DOWN", None: "unknown"}[d["up"]]
        rows.add_row(*(Line(str(v)) for v in (d["id"], d["room"], d["model"], d["serial"], d["firmware"], state, faults, tickets)))
    console().print(rows)


def _fault(fault: dict[str, Any]) -> str:
    component = f" {fault['component']}" if fault["component"] else ""
    if fault["part_of"]:
        return f"{fault['code']}{component} (part of {fault['part_of']})"
    shared = f", {fault['devices']} devices as {fault['incident']}" if fault["devices"] > 1 else ""
    return f"{fault['code']}{component}{shared}" + (f" (latarnik adopt {fault['incident']})" if fault["first_sight"] else "")


def _from_daemon(settings: Settings) -> list[dict[str, Any]]:
    host = settings.listen.host
    where = "127.0.0.1" if host in ("0.0.0.0", "") else "::1" if host == "::" else host  # noqa: S104 - what to ask when it listens everywhere
    where = f"[{where}]" if ":" in where else where
    url = f"http://{where}:{settings.listen.port}/api/v1/devices"
    # The daemon is on this machine: a proxy named in the environment has no part in it.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=10) as answer:
            body = json.load(answer)
    except (OSError, ValueError) as error:
        fail(f"latarnik list: the daemon runs, but {url} does not answer ({error}); if `listen` was changed, restart the daemon", 1)
    found: list[dict[str, Any]] = body["devices"]
    return found


def _from_store(settings: Settings) -> list[dict[str, Any]]:
    """The same keys as the daemon shows. What only a poll can tell is null."""
    devices = build(settings).devices
    if not store_exists(settings):
        return [_row(device, History(), Identity()) for device in devices]

    def read(c: Connection) -> list[dict[str, Any]]:
        histories = {device.id: queries.load_history(c, device.id) or History() for device in devices if device.host}
        incidents = [i for i in queries.open_incidents(c) if i.active]
        members: dict[str, dict[str, str]] = {}
        for part in incidents:
            if part.parent:
                members.setdefault(part.parent, {})[part.id] = part.device
        used = {(device.id, credential.version) for device in devices for credential in device.credentials.values()}
        blocked = {login.device for login in queries.blocked_logins(c) if (login.device, login.version) in used}
        cases = {case.id: case.device for case in queries.load_cases(c)}
        tickets = [t for t in queries.tickets(c, state="open") if t.case in cases]
        return [
            _row(
                device,
                histories.get(device.id, History()),
                _known(device, histories),
                faults=[with_others(i, members.get(i.id, {}).values()) for i in incidents if i.device == device.id],
                sharing={root: 1 + len(parts) for root, parts in members.items()},
                tickets=[{"case": t.case, "desk": t.desk, "ref": t.ref.ref, "url": t.ref.url} for t in tickets if cases[t.case] == device.id],
                blocked=device.id in blocked,
            )
            for device in devices
        ]

    return in_store(settings, read)


def _known(device: Device, histories: dict[str, History]) -> Identity:
    """Who the device was when it was last read: of a part that hangs on another device, from that one's list."""
    if device.host:
        return histories[device.id].identity
    part: Component | None = child_part(histories.get(device.parent, History()).components.values(), device)
    return Identity() if part is None else Identity(serial=part.serial, model=part.model or part.name, firmware=part.firmware, name=part.name)


def _row(
    device: Device,
    history: History,
    identity: Identity,
    *,
    faults: Iterable[Incident] = (),
    sharing: Mapping[str, int] = MappingProxyType({}),
    tickets: Iterable[dict[str, str]] = (),
    blocked: bool = False,
) -> dict[str, Any]:
    return {
        "id": device.id,
        "vendor": device.vendor,
        "site": device.site,
        "room": device.room,
        "parent": device.parent,
        "name": identity.name,
        "model": identity.model or device.model,
        "serial": identity.serial or device.serial,
        "firmware": identity.firmware,
        "up": None,
        "last_poll": None,
        "last_success": history.last_success.astimezone(UTC).isoformat(timespec="seconds") if history.last_success else None,
        "health": "unknown",
        "login_blocked": blocked,
        "in_use": None,
        "facets": {},
        "faults": [
            {
                "code": i.fault.code,
                "severity": i.fault.severity.value,
                "component": i.fault.component,
                "summary": i.fault.summary,
                "since": i.first_seen.astimezone(UTC).isoformat(timespec="seconds"),
                "state": i.state.value,
                "first_sight": i.first_sight and not i.adopted,
                "incident": i.id,
                "cause": i.fault.shared if i.parent or i.id in sharing else "",
                "part_of": i.parent,
                "devices": sharing.get(i.id, 1),
            }
            for i in faults
        ],
        "tickets": list(tickets),
    }


def unblock(device: Annotated[str, typer.Argument(metavar="DEVICE", help="Id of the device.")], config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Let the agent log in to a device again, after its password was mended on the device."""
    settings, _ = configured(config)
    found = next((d for d in build(settings).devices if d.id == device and d.host), None)
    if found is None:
        fail(f"latarnik unblock: {settings.file} has no device {device!r} with a host", 2)
    if not store_exists(settings):
        fail("latarnik unblock: no device was asked yet, so none is blocked", 1)
    count, chosen = _unblock(settings, found)
    if count:
        print(f"{device}: {count} {'refusal' if count == 1 else 'refusals'} forgotten; it is tried again at the next poll.")
    for name in chosen:
        print(f"{device}: credential {name} is tried here before any other device.")
    if not count and not chosen:
        print(f"{device}: was not blocked.")


def _unblock(settings: Settings, device: Device) -> tuple[int, list[str]]:
    if daemon_runs(settings):
        told = through_daemon(settings, "unblock", device.id)
        return told["forgotten"], told["chosen"]
    credentials = {credential.version: credential.name for credential in device.credentials.values()}
    done = in_store(settings, lambda c: queries.unblock_logins(c, device.id, credentials, datetime.now(UTC)))
    return done.forgotten, list(done.chosen)
