"""list, trust, unblock."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.text import Text as Line
from sqlalchemy import Connection

from agent.app import accept_offered
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
from agent.polling.status import child_part
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
    return f"{fault['code']}{component}" + (f" (latarnik adopt {fault['incident']})" if fault["first_sight"] else "")


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
        blocked = {login.device for login in queries.blocked_logins(c)}
        cases = {case.id: case.device for case in queries.load_cases(c)}
        tickets = [t for t in queries.tickets(c, state="open") if t.case in cases]
        return [
            _row(
                device,
                histories.get(device.id, History()),
                _known(device, histories),
                faults=[i for i in incidents if i.device == device.id],
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
    device: Device, history: History, identity: Identity, *, faults: Iterable[Incident] = (), tickets: Iterable[dict[str, str]] = (), blocked: bool = False
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
            }
            for i in faults
        ],
        "tickets": list(tickets),
    }


def trust(
    device: Annotated[str, typer.Argument(metavar="DEVICE", help="Accept what this device shows.")] = "",
    config: ConfigFile = DEFAULT_CONFIG,
    site: Annotated[str, typer.Option(metavar="SITE", help="Accept for all devices of a site.")] = "",
    all_devices: Annotated[bool, typer.Option("--all", help="Accept for all devices.")] = False,
    show: Annotated[bool, typer.Option("--show", help="Only show fingerprints, accept nothing.")] = False,
) -> None:
    """Accept the certificates and host keys that devices show. Without a choice of devices: show them all, accept nothing."""
    if sum((bool(device), bool(site), all_devices)) > 1:
        fail("latarnik trust: give one of DEVICE, --site SITE and --all", 2)
    settings, _ = configured(config)
    devices = [d for d in build(settings).devices if d.host]
    chosen = [d.id for d in devices if all_devices or d.id == device or (site and d.site == site)]
    if device and not chosen:
        fail(f"latarnik trust: {settings.file} has no device {device!r} with a host", 2)
    if site and not chosen:
        fail(f"latarnik trust: {settings.file} has no device at a site {site!r}; there are {', '.join(sorted({d.site for d in devices}))}", 2)
    if not store_exists(settings):
        fail("latarnik trust: no device was asked yet; start the daemon, it collects the fingerprints without sending anything secret", 1)
    if show or not chosen:
        _show_fingerprints(settings, chosen)
        return
    runs = daemon_runs(settings)
    count = 0
    for name in chosen:
        accepted = _accept(settings, name, runs=runs)
        for entry in accepted:
            count += 1
            print(f"{name} {entry['endpoint']}: accepted {_pretty(entry['sha256'])}" + (f" (before: {_pretty(entry['before'])})" if entry["before"] else ""))
    if count:
        print(f"{count} {'fingerprint' if count == 1 else 'fingerprints'} accepted.")
    else:
        print(f"Nothing new to accept: {device or 'no device'} shows {'no' if device else 'a'} certificate that is not accepted yet.")


def _accept(settings: Settings, device: str, *, runs: bool) -> list[dict[str, str]]:
    if not runs:
        return in_store(settings, lambda c: accept_offered(c, device, datetime.now(UTC)))
    accepted: list[dict[str, str]] = through_daemon(settings, "trust", device)["accepted"]
    return accepted


def _show_fingerprints(settings: Settings, chosen: list[str]) -> None:
    rows = [f for f in in_store(settings, queries.load_fingerprints) if not chosen or f.device in chosen]
    for f in rows:
        state = "accepted" if f.offered == f.accepted else "NOT ACCEPTED" if not f.accepted else f"CHANGED (accepted is {_pretty(f.accepted)})"
        print(f"{f.device} {f.endpoint}: {_pretty(f.offered)} {state}")
    if not rows:
        print("No fingerprint was seen yet.")


def _pretty(sha256: str) -> str:
    return ":".join(sha256[i : i + 2] for i in range(0, len(sha256), 2)).upper()


def unblock(device: Annotated[str, typer.Argument(metavar="DEVICE", help="Id of the device.")], config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Let the agent log in to a device again, after its password was mended on the device."""
    settings, _ = configured(config)
    if device not in {d.id for d in settings.devices if d.host}:
        fail(f"latarnik unblock: {settings.file} has no device {device!r} with a host", 2)
    if not store_exists(settings):
        fail("latarnik unblock: no device was asked yet, so none is blocked", 1)
    count = (
        through_daemon(settings, "unblock", device)["forgotten"] if daemon_runs(settings) else in_store(settings, lambda c: queries.forget_logins(c, device))
    )
    if count:
        print(f"{device}: {count} {'refusal' if count == 1 else 'refusals'} forgotten; it is tried again at the next poll.")
    else:
        print(f"{device}: was not blocked.")
