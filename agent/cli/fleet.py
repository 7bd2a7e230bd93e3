"""list, trust, unblock."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text as Line
from sqlalchemy import Connection

from agent.app import accept_offered
from agent.cli.common import DEFAULT_CONFIG, ConfigFile, Output, OutputOption, configured, daemon_runs, fail, in_store, store_exists, through_daemon
from agent.inventory import build
from agent.store import queries
from config.settings import Settings


def list_devices(config: ConfigFile = DEFAULT_CONFIG, output: OutputOption = Output.TEXT) -> None:
    """List the devices with what the running daemon knows of them; without a daemon, what it last wrote down, states unknown."""
    settings, _ = configured(config)
    runs = daemon_runs(settings)
    devices = _from_daemon(settings) if runs else _from_store(settings)
    if output is Output.JSON:
        print(json.dumps({"schema": 1, "daemon": runs, "devices": devices}, indent=2, ensure_ascii=False))
        return
    if not runs:
        print("The daemon does not run: states are not known; model, serial and firmware are as last read.")
    table = Table("device", "room", "model", "serial", "firmware", "state", "faults", "tickets", box=None, padding=(0, 2))
    for d in devices:
        faults = ", ".join(
            f["code"] + (f" {f['component']}" if f["component"] else "") + (f" (adopt {f['incident']})" if f["first_sight"] else "") for f in d["faults"]
        )
        tickets = ", ".join(f"{t['desk']} {t['ref']}" for t in d["tickets"])
        state = {True: "up", False: "DOWN", None: "unknown"}[d["up"]]
        table.add_row(*(Line(str(v)) for v in (d["id"], d["room"], d["model"], d["serial"], d["firmware"], state, faults, tickets)))
    Console().print(table)


def _from_daemon(settings: Settings) -> list[dict[str, Any]]:
    host = settings.listen.host
    where = "127.0.0.1" if host in ("0.0.0.0", "") else "::1" if host == "::" else host  # noqa: S104 - what to ask when it listens everywhere
    where = f"[{where}]" if ":" in where else where
    url = f"http://{where}:{settings.listen.port}/api/v1/devices"
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            body = json.load(answer)
    except (OSError, urllib.error.URLError, ValueError) as error:
        fail(f"latarnik list: the daemon runs but {url} does not answer ({error})", 1)
    found: list[dict[str, Any]] = body["devices"]
    return found


def _from_store(settings: Settings) -> list[dict[str, Any]]:
    inventory = build(settings)

    def read(c: Connection) -> list[dict[str, Any]]:
        incidents = queries.open_incidents(c)
        tickets = queries.all_tickets(c, state="open")
        cases = {case.id: case for case in queries.load_cases(c)}
        rows = []
        for device in inventory.devices:
            history = queries.load_history(c, device.id)
            identity = history.identity if history is not None else None
            rows.append(
                {
                    "id": device.id,
                    "vendor": device.vendor,
                    "room": device.room,
                    "site": device.site,
                    "parent": device.parent,
                    "model": identity.model if identity else device.model,
                    "serial": identity.serial if identity else device.serial,
                    "firmware": identity.firmware if identity else "",
                    "up": None,
                    "last_success": history.last_success.isoformat() if history and history.last_success else None,
                    "faults": [
                        {
                            "code": i.fault.code,
                            "severity": i.fault.severity.value,
                            "component": i.fault.component,
                            "summary": i.fault.summary,
                            "since": i.first_seen.isoformat(),
                            "state": i.state.value,
                            "first_sight": i.first_sight and not i.adopted,
                            "incident": i.id,
                        }
                        for i in incidents
                        if i.device == device.id and i.active
                    ],
                    "tickets": [
                        {"case": t.case, "desk": t.desk, "ref": t.ref.ref, "url": t.ref.url}
                        for t in tickets
                        if t.case in cases and cases[t.case].device == device.id
                    ],
                }
            )
        return rows

    if not store_exists(settings):
        fail(f"latarnik list: nothing was polled yet (no database in {settings.state_dir}); start it with: latarnik run --config {settings.file}", 1)
    return in_store(settings, read)


def trust(
    device: Annotated[str, typer.Argument(metavar="[DEVICE]", help="Accept what this device shows.")] = "",
    config: ConfigFile = DEFAULT_CONFIG,
    site: Annotated[str, typer.Option(help="Accept for all devices of a site.")] = "",
    all_devices: Annotated[bool, typer.Option("--all", help="Accept for all devices.")] = False,
    show: Annotated[bool, typer.Option("--show", help="Only show fingerprints, accept nothing.")] = False,
) -> None:
    """Accept the certificates and host keys that devices show. Without a choice: show them."""
    settings, _ = configured(config)
    inventory = build(settings)
    chosen = [d.id for d in inventory.devices if d.host and (all_devices or d.id == device or (site and d.site == site))]
    if (device or site) and not chosen:
        fail(f"latarnik trust: {settings.file} has no such device or site", 2)
    if not store_exists(settings):
        fail("latarnik trust: no device was asked yet; start the daemon, it collects the fingerprints without sending anything secret", 1)
    if show or not chosen:
        _show_fingerprints(settings, chosen)
        return
    runs = daemon_runs(settings)
    count = 0
    for name in chosen:
        accepted = (
            through_daemon(settings, "trust", name)["accepted"] if runs else in_store(settings, lambda c, n=name: accept_offered(c, n, datetime.now(UTC)))  # type: ignore[misc]
        )
        for entry in accepted:
            count += 1
            print(f"{name} {entry['endpoint']}: accepted {_pretty(entry['sha256'])}" + (f" (before: {_pretty(entry['before'])})" if entry["before"] else ""))
    print(f"{count} fingerprints accepted." if count else "Nothing new to accept: no device shows a certificate that is not accepted yet.")


def _show_fingerprints(settings: Settings, chosen: list[str]) -> None:
    rows = [f for f in in_store(settings, queries.load_fingerprints) if not chosen or f.device in chosen]
    for f in rows:
        state = "accepted" if f.offered == f.accepted else "NOT ACCEPTED" if not f.accepted else f"CHANGED (accepted is {_pretty(f.accepted)})"
        print(f"{f.device} {f.endpoint}: {_pretty(f.offered)} {state}")
    if not rows:
        print("No fingerprint was seen yet.")


def _pretty(sha256: str) -> str:
    return ":".join(sha256[i : i + 2] for i in range(0, len(sha256), 2)).upper()


def unblock(device: Annotated[str, typer.Argument(help="Id of the device.")], config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Let the agent log in to a device again, after its password was mended on the device."""
    settings, _ = configured(config)
    if device not in {d.id for d in settings.devices}:
        fail(f"latarnik unblock: {settings.file} has no device {device!r}", 2)
    if not store_exists(settings):
        fail("latarnik unblock: no device was asked yet, so none is blocked", 1)
    count = (
        through_daemon(settings, "unblock", device)["forgotten"] if daemon_runs(settings) else in_store(settings, lambda c: queries.forget_logins(c, device))
    )
    print(f"{device}: {count} refusals forgotten; it is tried again at the next poll." if count else f"{device}: was not blocked.")
