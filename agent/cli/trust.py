"""trust: what devices show, and a person's yes to it."""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

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
from agent.model import Device, TlsMode
from agent.store import queries
from config.settings import Settings


class State(StrEnum):
    ACCEPTED = "accepted"
    NEW = "new"
    CHANGED = "changed"
    CONFIG = "config"
    """The configuration decides (mode pin), and it names another one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One endpoint of one device. `until`: the last day of the certificate it shows, '' where it is not known."""

    device: str
    endpoint: str
    offered: str
    accepted: str
    until: str
    state: State


def trust(
    device: Annotated[str, typer.Argument(metavar="DEVICE", help="Accept what this device shows.")] = "",
    config: ConfigFile = DEFAULT_CONFIG,
    site: Annotated[str, typer.Option(metavar="SITE", help="Accept for all devices of a site.")] = "",
    all_devices: Annotated[bool, typer.Option("--all", help="Accept for all devices.")] = False,
    changed: Annotated[bool, typer.Option("--changed", help="With --site and --all: also what changed since it was accepted.")] = False,
    sha256: Annotated[str, typer.Option(metavar="HEX", help="Accept for DEVICE this fingerprint and no other.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Accept without a question.")] = False,
    show: Annotated[bool, typer.Option("--show", help="Only show fingerprints, accept nothing.")] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show the certificates and host keys that devices present, and accept them. Without a choice of devices: show them all, accept nothing."""
    if sum((bool(device), bool(site), all_devices)) > 1:
        fail("latarnik trust: give one of DEVICE, --site SITE and --all", 2)
    if sha256 and not device:
        fail("latarnik trust: --sha256 belongs to one DEVICE", 2)
    wanted = _fingerprint(sha256) if sha256 else ""
    settings, _ = configured(config)
    devices = [d for d in build(settings).devices if d.host]
    chosen = _chosen(settings, devices, device, site, all_devices=all_devices)
    if not store_exists(settings):
        fail("latarnik trust: no device was asked yet; start the daemon, it collects the fingerprints without sending anything secret", 1)
    runs = daemon_runs(settings)
    rows = in_store(settings, lambda c: _rows(c, chosen or devices))
    asked = bool(chosen) and not show
    pending = _pending(rows, wanted, changed=changed or bool(device)) if asked else []
    if output is Output.TEXT:
        _print(rows)
    agreed = bool(pending) and (yes or bool(wanted) or (output is Output.TEXT and _asked(pending)))
    done = [row for row in pending if _accept(settings, row, runs=runs)] if agreed else []
    if output is Output.JSON:
        print(json.dumps({"schema": 1, "daemon": runs, "fingerprints": [_object(row, done) for row in rows]}, indent=2))
    elif asked:
        _conclude(rows, pending, done)
    if wanted and asked and not any(row.offered == wanted and row.state is not State.CONFIG for row in rows):
        fail(f"latarnik trust: {device} does not show this fingerprint: nothing was accepted", 1)
    if len(done) < len(pending):
        why = "it shows another one by now: look again" if agreed else "nobody said yes: compare the fingerprints, then repeat with --yes"
        fail(f"latarnik trust: {_count(len(pending) - len(done))} not accepted: {why}", 1)


def _chosen(settings: Settings, devices: Sequence[Device], device: str, site: str, *, all_devices: bool) -> list[Device]:
    """The devices that are meant; none where none were named."""
    chosen = [d for d in devices if all_devices or d.id == device or (site and d.site == site)]
    if device and not chosen:
        fail(f"latarnik trust: {settings.file} has no device {device!r} with a host", 2)
    if site and not chosen:
        fail(f"latarnik trust: {settings.file} has no device at a site {site!r}; there are {', '.join(sorted({d.site for d in devices}))}", 2)
    return chosen


def _rows(c: Connection, devices: Sequence[Device]) -> list[Row]:
    found = []
    for device in devices:
        notes = queries.load_memory(c, device.id)
        for f in queries.load_fingerprints(c, device.id):
            sha256, _, until = notes.get(f"certificate.{f.endpoint}", "").partition(" ")
            pinned = device.tls.mode is TlsMode.PIN and f.endpoint.startswith("https:")
            if pinned and f.offered == device.tls.sha256:
                continue
            state = State.CONFIG if pinned else State.ACCEPTED if f.offered == f.accepted else State.CHANGED if f.accepted else State.NEW
            before = device.tls.sha256 if pinned else f.accepted
            found.append(
                Row(device=device.id, endpoint=f.endpoint, offered=f.offered, accepted=before, until=until if sha256 == f.offered else "", state=state)
            )
    return found


def _pending(rows: Sequence[Row], wanted: str, *, changed: bool) -> list[Row]:
    """What would be accepted."""
    states = (State.NEW, State.CHANGED) if changed else (State.NEW,)
    return [row for row in rows if row.state in states and (not wanted or row.offered == wanted)]


def _asked(pending: Sequence[Row]) -> bool:
    """A person's answer; no where nobody can be asked."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    count = sum(row.state is State.CHANGED for row in pending)
    warning = f", {count} of them CHANGED since it was accepted," if count else ""
    return typer.confirm(f"Accept {_count(len(pending))}{warning} as shown above?", default=False)


def _accept(settings: Settings, row: Row, *, runs: bool) -> bool:
    if not runs:
        return in_store(settings, lambda c: accept_offered(c, row.device, row.endpoint, row.offered, datetime.now(UTC)))
    return bool(through_daemon(settings, "trust", f"{row.device} {row.endpoint} {row.offered}")["accepted"])


def _print(rows: Sequence[Row]) -> None:
    if not rows:
        print("No fingerprint was seen yet.")
        return
    shown = table("device", "endpoint", "offered sha256", "accepted before", "valid until", "state")
    words = {State.ACCEPTED: "accepted", State.NEW: "new", State.CHANGED: "CHANGED", State.CONFIG: "NOT THE PIN: correct the config"}
    for row in rows:
        before = "" if row.state is State.ACCEPTED else _pretty(row.endpoint, row.accepted)
        shown.add_row(*(Line(text) for text in (row.device, row.endpoint, _pretty(row.endpoint, row.offered), before, row.until, words[row.state])))
    console().print(shown)


def _conclude(rows: Sequence[Row], pending: Sequence[Row], done: Sequence[Row]) -> None:
    if done:
        print(f"{_count(len(done))} accepted.")
    elif not pending:
        print("Nothing to accept.")
    left = sum(row.state is State.CHANGED and row not in pending for row in rows)
    if left:
        print(f"{_count(left)} CHANGED since it was accepted: left alone. Ask why it changed, then name the device, or add --changed.")


def _object(row: Row, done: Sequence[Row]) -> dict[str, str | bool | None]:
    return {
        "device": row.device,
        "endpoint": row.endpoint,
        "offered": row.offered,
        "accepted_before": row.accepted or None,
        "valid_until": row.until or None,
        "state": row.state.value,
        "accepted_now": row in done,
    }


def _count(number: int) -> str:
    return f"{number} {'fingerprint' if number == 1 else 'fingerprints'}"


def _fingerprint(text: str) -> str:
    """Hex as it is kept, from hex (colons allowed) or from OpenSSH's own writing."""
    plain = text.strip().removeprefix("SHA256:")
    if re.fullmatch(r"[A-Za-z0-9+/]{43}=?", plain):
        return base64.b64decode(plain.removesuffix("=") + "=").hex()
    plain = plain.replace(":", "").lower()
    if not re.fullmatch(r"[0-9a-f]{64}", plain):
        fail("latarnik trust: --sha256 must be 64 hex digits (colons allowed), or an SSH fingerprint as ssh-keygen writes it", 2)
    return plain


def _pretty(endpoint: str, sha256: str) -> str:
    """As the device's own page writes it: a certificate in hex with colons, a host key as ssh-keygen does."""
    if endpoint.startswith("ssh:") and sha256:
        return "SHA256:" + base64.b64encode(bytes.fromhex(sha256)).decode().rstrip("=")
    return ":".join(sha256[i : i + 2] for i in range(0, len(sha256), 2)).upper()
