"""adopt, and `case list|show|approve|attach|retry`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from pydantic import TypeAdapter
from rich.text import Text as Line
from sqlalchemy import Connection

from agent.app import attach_configured
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
    run_async,
    store_exists,
    table,
    through_daemon,
)
from agent.control import PIECE, ControlError, send_file
from agent.diagnosis.handed import LIMIT, RefusedFileError
from agent.model import Case
from agent.store import queries
from config.settings import Settings

app = typer.Typer(help="Service cases: list, show, approve, attach, retry.", no_args_is_help=True, rich_markup_mode=None)


def _settings(config: ConfigFile, command: str) -> Settings:
    settings, _ = configured(config)
    if not store_exists(settings):
        fail(_nothing(settings, command), 1)
    return settings


def _nothing(settings: Settings, command: str) -> str:
    return f"latarnik {command}: nothing was polled yet (no database in {settings.state_dir}); start it with: latarnik run --config {settings.file}"


def adopt(
    incident: Annotated[str, typer.Argument(metavar="INCIDENT", help="Id of the incident, as `latarnik list` shows it.")],
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Make a case of a fault that was there before Latarnik came, or of one that makes no ticket by itself."""
    settings = _settings(config, "adopt")
    found = in_store(settings, lambda c: queries.find_incident(c, incident))
    if found is None or found.state == "closed":
        fail(f"latarnik adopt: no open incident {incident!r}; `latarnik list` shows them", 1)
    parent = found.parent
    root = in_store(settings, lambda c: queries.find_incident(c, parent)) if parent else None
    if root is not None and root.state != "closed":
        print(f"{found.id} is part of {root.id}, which stands for all devices with this cause.")
        found = root
    if found.case:
        print(f"{found.id}: {found.fault.code} of {found.device} is already case {found.case}.")
        return
    if daemon_runs(settings):
        done = through_daemon(settings, "adopt", found.id)
        print(f"{done['incident']}: {done['fault']} of {done['device']} becomes a case at its next poll.")
        return

    def write(c: Connection) -> None:
        queries.save_incident(c, replace(found, adopted=True))

    in_store(settings, write)
    print(f"{found.id}: {found.fault.code} of {found.device} becomes a case when the daemon runs again.")


@app.command("list")
def list_cases(config: ConfigFile = DEFAULT_CONFIG, output: OutputOption = Output.TEXT) -> None:
    """All cases, oldest first."""
    settings = _settings(config, "case list")
    cases = in_store(settings, queries.load_cases)
    if output is Output.JSON:
        keys = ("id", "device", "state", "plan")
        rows = [
            {**{k: getattr(c, k) for k in keys}, "fault": c.fault.code, "opened_at": c.opened_at.isoformat(timespec="seconds"), "missing": list(c.missing)}
            for c in cases
        ]
        print(json.dumps({"schema": 1, "cases": rows}, indent=2, ensure_ascii=False))
        return
    if not cases:
        print("There are no cases.")
        return
    shown = table("case", "device", "fault", "opened", "state", "missing for the vendor")
    for c in cases:
        shown.add_row(*(Line(v) for v in (c.id, c.device, c.fault.code, f"{c.opened_at:%Y-%m-%d %H:%M} UTC", c.state, ", ".join(c.missing))))
    console().print(shown)


@app.command("show")
def show_case(case: Annotated[str, typer.Argument(metavar="CASE", help="Id of the case.")], config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Everything of one case, as JSON."""
    print(TypeAdapter(Case).dump_json(_case(_settings(config, "case show"), "case show", case), indent=2).decode())


@app.command("approve")
def approve(case: Annotated[str, typer.Argument(metavar="CASE", help="Id of the case.")], config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Let the report of a case go to the vendor's desk, as soon as nothing is missing."""
    settings = _settings(config, "case approve")
    _case(settings, "case approve", case)
    if not daemon_runs(settings):
        fail("latarnik case approve: the daemon does not run, and it is the one that sends; start it first", 1)
    done = through_daemon(settings, "approve", case)
    missing = ", ".join(done["missing"])
    print(f"{done['case']}: approved." + (f" It waits for: {missing}." if missing else ""))


@app.command("attach")
def attach(
    case: Annotated[str, typer.Argument(metavar="CASE", help="Id of the case.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file, as it was fetched from the device.")],
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="What the desks are told with it.")] = "",
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Add a file that a person fetched from the device by hand to a case, for all its desks."""
    settings, house = configured(config)
    if not store_exists(settings):
        fail(_nothing(settings, "case attach"), 1)
    _case(settings, "case attach", case)
    try:
        size = file.stat().st_size if file.is_file() else None
        opened = file.open("rb") if size is not None else None
    except OSError as error:
        fail(f"latarnik case attach: {file} cannot be read ({error.strerror}); let this user read it, or copy it to a folder of this user", 1)
    if size is None or opened is None:
        fail(f"latarnik case attach: {file} is no file; give the path of the report that was downloaded", 1)
    with opened:
        if size > LIMIT:
            fail(f"latarnik case attach: {file} has {size >> 20} MiB, the limit is {LIMIT >> 20} MiB; attach the part that matters", 1)
        body = _pieces(opened)
        try:
            if daemon_runs(settings):
                done = run_async(send_file(settings.state_dir, "attach", {"target": case, "name": file.name, "note": note}, body))
            else:
                done = run_async(attach_configured(settings, house, case, file.name, note, body))
        except (ControlError, RefusedFileError) as error:
            fail(f"latarnik case attach: {error}", 1)
    stored = f"{case}: {done['name']}, {done['size']} B, SHA-256 {done['sha256']}"
    if done["told"] is None:
        print(f"{stored}: the case has this file already; nothing was sent anew.")
        return
    given = ", ".join(desk for desk, whole in done["told"].items() if whole)
    named = ", ".join(desk for desk, whole in done["told"].items() if not whole)
    print(f"{stored}: {f'goes to {given}' if given else 'goes to no desk'}." + (f" Only told of it (`sensitive: keep`): {named}." if named else ""))


async def _pieces(file: BinaryIO) -> AsyncGenerator[bytes, None]:
    while piece := await asyncio.to_thread(file.read, PIECE):
        yield piece


@app.command("retry")
def retry(case: Annotated[str, typer.Argument(metavar="CASE", help="Id of the case.")], config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Try again what a ticket desk refused for good, after the reason was mended."""
    settings = _settings(config, "case retry")
    _case(settings, "case retry", case)
    if not daemon_runs(settings):
        fail("latarnik case retry: the daemon does not run, and it is the one that sends; start it first", 1)
    steps = through_daemon(settings, "retry", case)["steps"]
    for step in steps:
        print(f"{case}: {step['kind']} is sent to {step['desk']} again.")
    if not steps:
        print(f"{case}: nothing was given up.")


def _case(settings: Settings, command: str, case: str) -> Case:
    found = in_store(settings, lambda c: queries.load_case(c, case))
    if found is None:
        fail(f"latarnik {command}: no case {case!r}; `latarnik case list` shows them", 1)
    return found
