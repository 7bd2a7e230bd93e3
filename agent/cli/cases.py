"""adopt, and `case list|show|approve|retry`."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Annotated

import typer
from pydantic import TypeAdapter
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
from agent.model import Case
from agent.store import queries
from config.settings import Settings

app = typer.Typer(help="Service cases: list, show, approve, retry.", no_args_is_help=True, rich_markup_mode=None)


def _settings(config: ConfigFile, command: str) -> Settings:
    settings, _ = configured(config)
    if not store_exists(settings):
        fail(f"latarnik {command}: nothing was polled yet (no database in {settings.state_dir}); start it with: latarnik run --config {settings.file}", 1)
    return settings


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
