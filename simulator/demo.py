"""The main job as a story: a fleet is healthy, two things break, two tickets are written, the things are mended, the tickets are resolved.

The simulator and the daemon are processes of their own, as on a site; this one only switches faults and looks, as a person would:
at the daemon's `/api/v1/devices`, and into the folder of tickets.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

HEALTHY_FOR = 8.0
"""Seconds the healthy fleet is shown before something breaks."""
TICKETS_WITHIN = 60.0
START_WITHIN = 60.0
RESOLVED_WITHIN = 90.0
PICTURE_WIDTH = 150
"""Columns of the picture: no cell of the demo's table is wrapped, and it can still be read on a page."""
BREAKS = (("boardroom", "e70_unplugged"), ("gate-2", "sd_failed"))
TICKETS_OF = ("boardroom-e70", "gate-2")


T = TypeVar("T")


class StoryError(Exception):
    """Some part of the story did not happen."""


@dataclass(slots=True)
class Stage:
    """The running demo: where things are, and what was said so far."""

    folder: Path
    control: int
    listen: int
    devices: list[dict[str, Any]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    say: Callable[[str], None] = print
    picture: Path | None = None

    @property
    def tickets(self) -> Path:
        return self.folder / "tickets"

    def look(self) -> list[dict[str, Any]]:
        """What the daemon shows of every device; [] while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.listen}/api/v1/devices", timeout=5) as answer:
                self.devices = json.load(answer)["devices"]
        except OSError:
            self.devices = []
        return self.devices

    def switch(self, device: str, fault: str, *, on: bool) -> None:
        url = f"http://127.0.0.1:{self.control}/devices/{device}/faults/{fault}"
        request = urllib.request.Request(url, json.dumps({"on": on}).encode(), {"Content-Type": "application/json"}, method="POST")
        with urllib.request.urlopen(request, timeout=10):
            pass


def main(*, once: bool, folder: Path, port: int, picture: Path | None = None) -> int:
    """Exit code: 0 when all of the story happened. `picture`: where the table is drawn when both tickets are in it."""
    console = Console(width=None if sys.stdout.isatty() else 150)
    once = once or not sys.stdout.isatty()
    folder = folder.resolve()
    if folder.exists() and any(folder.iterdir()) and not (folder / "latarnik.yaml").exists():
        console.print(f"{folder} is not empty and was not made by this demo; give another one with --folder")
        return 2
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        with ExitStack() as stack:
            stage = stack.enter_context(_running(folder, port))
            stage.picture = picture
            if once:
                stage.say = lambda line: console.print(f"{time.strftime('%H:%M:%S')} {line}", highlight=False)
                for _ in _story(stage):
                    time.sleep(0.25)
                _print_table(console, stage)
            else:
                _live(console, stage)
    except StoryError as error:
        console.print(f"\nThe demo failed: {error}\nLogs: {folder}/daemon.log and {folder}/simulator.log", style="bold red", highlight=False)
        return 1
    except KeyboardInterrupt:
        console.print(f"\nStopped. Tickets and logs stay in {folder}", highlight=False)
    return 0


# --- the two processes


@contextmanager
def _running(folder: Path, port: int) -> Iterator[Stage]:
    with _child(
        [sys.executable, "-m", "simulator", "--https-port", "0", "--http-port", "0", "--snmp-port", "0", "--ssh-port", "0", "--write-config", str(folder)],
        folder / "simulator.log",
    ) as simulator:
        ready = json.loads(_first_line(simulator, folder / "simulator.log"))
        config = folder / "latarnik.yaml"
        document = yaml.safe_load(config.read_text())
        document["listen"] = f"127.0.0.1:{port}"
        document["desks"] = {"helpdesk": {"type": "folder", "path": "tickets", "language": "en"}}
        # A real site polls once a minute and lets a fault last some minutes before it counts; nobody watches a demo for so long.
        document["polling"] = {"interval": "2s"}
        document["faults"] = {"*": {"hold": "4s", "hits": 2, "clear": "4s", "misses": 2}}
        config.write_text(yaml.safe_dump(document, allow_unicode=True, sort_keys=False, width=200))
        with _child([sys.executable, "-P", "-m", "agent.cli", "run", "--config", str(config), "--log-format", "json"], folder / "daemon.log") as daemon:
            yield Stage(folder=folder, control=ready["ports"]["control"], listen=_listening(daemon, folder / "daemon.log"))


@contextmanager
def _child(arguments: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out:
        child = subprocess.Popen(arguments, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(30)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait(10)


def _first_line(child: subprocess.Popen[bytes], log: Path) -> str:
    def line() -> str | None:
        text = log.read_text()
        return text.splitlines()[0] if "\n" in text and text.startswith("{") else None

    return _until(line, child, log, "the simulator is ready")


def _listening(child: subprocess.Popen[bytes], log: Path) -> int:
    """The port the daemon really has (0 in the configuration takes a free one)."""

    def port() -> int | None:
        for text in log.read_text().splitlines():
            if '"event": "listening"' in text:
                return int(json.loads(text)["port"])
        return None

    return _until(port, child, log, "the daemon listens")


def _until(look: Callable[[], T | None], child: subprocess.Popen[bytes], log: Path, what: str) -> T:
    deadline = time.monotonic() + START_WITHIN
    while time.monotonic() < deadline:
        found = look()
        if found is not None:
            return found
        if child.poll() is not None:
            raise StoryError(f"not reached: {what}. The process ended with {child.returncode}:\n{log.read_text()[-2000:]}")
        time.sleep(0.1)
    raise StoryError(f"not within {START_WITHIN:.0f} s: {what}")


# --- the story: a generator, so that the table can be drawn between its looks


def _story(stage: Stage) -> Iterator[None]:
    stage.say(f"Metrics for Prometheus: http://127.0.0.1:{stage.listen}/metrics")
    stage.say(f"Tickets will be written to {stage.tickets}")
    yield from _wait(
        stage, "every device is up, without a fault", START_WITHIN, lambda: bool(stage.devices) and all(d["up"] and not d["faults"] for d in stage.devices)
    )
    stage.say(f"{len(stage.devices)} devices are up and healthy.")
    calm = time.monotonic() + HEALTHY_FOR
    while time.monotonic() < calm:
        stage.look()
        yield
    for device, fault in BREAKS:
        stage.switch(device, fault, on=True)
    broke = time.monotonic()
    stage.say("The Studio E70 of the boardroom is unplugged, and the SD card of the camera gate-2 fails.")
    yield from _wait(stage, "two tickets with their evidence", TICKETS_WITHIN, lambda: _complete(stage) == list(TICKETS_OF))
    took = time.monotonic() - broke
    for ticket in _tickets(stage):
        _check_ticket(stage, ticket)
        identity = ticket["fields"]["identity"]
        stage.say(
            f"Ticket {ticket['fields']['case']}: {identity['model']}, serial number {identity['serial']}: {stage.tickets / ticket['fields']['case']}/ticket.txt"
        )
    stage.say(f"Two tickets with evidence after {took:.0f} s.")
    _check_metrics(stage)
    if stage.picture is not None:
        yield from _wait(stage, "both tickets in the table", TICKETS_WITHIN, lambda: _ticketed(stage) == set(TICKETS_OF))
        stage.picture.write_text(_svg(stage), encoding="utf-8")
        stage.say(f"The table is drawn in {stage.picture}.")
    for device, fault in BREAKS:
        stage.switch(device, fault, on=False)
    stage.say("Both are mended.")
    yield from _wait(stage, "both tickets resolved, no fault left", RESOLVED_WITHIN, lambda: _resolved(stage))
    if len(list(stage.tickets.iterdir())) != len(TICKETS_OF):
        raise StoryError(f"there are {len(list(stage.tickets.iterdir()))} tickets in {stage.tickets}, not {len(TICKETS_OF)}")
    stage.say("Both tickets were updated and resolved.")


def _wait(stage: Stage, what: str, within: float, reached: Callable[[], bool]) -> Iterator[None]:
    deadline = time.monotonic() + within
    while True:
        stage.look()
        if reached():
            return
        if time.monotonic() > deadline:
            raise StoryError(f"not within {within:.0f} s: {what}")
        yield


def _tickets(stage: Stage) -> list[dict[str, Any]]:
    found = [json.loads(path.read_text()) for path in sorted(stage.tickets.glob("*/ticket.json"))]
    return sorted(found, key=lambda t: str(t["fields"]["device"]))


def _complete(stage: Stage) -> list[str]:
    """Devices whose ticket has a file that the device gave."""
    return [t["fields"]["device"] for t in _tickets(stage) if any(_from_device(p) for p in _files(stage, t))]


def _files(stage: Stage, ticket: dict[str, Any]) -> list[Path]:
    """The files that the ticket says it has: what is being written beside them does not count."""
    folder = stage.tickets / ticket["fields"]["case"]
    return [folder / file["file"] for step in ticket["steps"] for file in step.get("attachments", ())]


def _from_device(path: Path) -> bool:
    """Whether this is a device's own report: an archive that opens and holds something."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None and bool(archive.namelist())
    if ".tar" in path.name or path.suffix == ".tgz":
        with tarfile.open(path) as bundle:
            return bool(bundle.getnames())
    return False


def _check_ticket(stage: Stage, ticket: dict[str, Any]) -> None:
    fields = ticket["fields"]
    shown = next((d for d in stage.devices if d["id"] == fields["device"]), None)
    text = (stage.tickets / fields["case"] / "ticket.txt").read_text()
    lacks = [
        what
        for what, there in (
            ("the device's serial number", shown is not None and fields["identity"]["serial"] == shown["serial"] and shown["serial"] in text),
            ("a service contract", bool(fields["contract"]) and fields["contract"]["id"] in ("rooms-plus", "cameras")),
            ("the contract's number", fields["contract"]["number"] in text),
            ("answers to the checklist", bool(fields["checklist"])),
        )
        if not there
    ]
    if lacks:
        raise StoryError(f"ticket {fields['case']} lacks {', '.join(lacks)}")


def _check_metrics(stage: Stage) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{stage.listen}/metrics", timeout=10) as answer:
        page = answer.read().decode()
    for wanted in ('latarnik_device_up{device="gate-2"} 1', 'latarnik_device_fault_active{device="gate-2",code="axis.storage.failed"'):
        if wanted not in page:
            raise StoryError(f"/metrics lacks {wanted}")


def _ticketed(stage: Stage) -> set[str]:
    return {d["id"] for d in stage.devices if d["tickets"]}


def _resolved(stage: Stage) -> bool:
    tickets = _tickets(stage)
    return len(tickets) == len(TICKETS_OF) and all(t["state"] == "resolved" for t in tickets) and all(not d["faults"] for d in stage.devices)


# --- what is shown


def _table(stage: Stage) -> Table:
    table = Table("device", "room", "model", "serial", "firmware", "state", "faults", "tickets", header_style="bold", box=SIMPLE_HEAD, expand=True)
    for d in stage.devices:
        faults = ", ".join(f["code"] + (f" {f['component']}" if f["component"] else "") for f in d["faults"])
        word, style = {True: ("up", "green"), False: ("DOWN", "bold red"), None: ("unknown", "yellow")}[d["up"]]
        tickets = ", ".join(t["ref"] for t in d["tickets"])
        table.add_row(d["id"], d["room"], d["model"], d["serial"], d["firmware"], Text(word, style), Text(faults, "bold red"), Text(tickets, "bold"))
    return table


def _print_table(console: Console, stage: Stage) -> None:
    console.print(_table(stage))


def _svg(stage: Stage) -> str:
    console = Console(record=True, width=PICTURE_WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(_table(stage))
    # rich's stylesheet fetches a font from a public server; a reader's own monospaced one does as well.
    return re.sub(r"@font-face \{.*?\}\s*", "", console.export_svg(title="latarnik demo", unique_id="latarnik"), flags=re.DOTALL)


def _live(console: Console, stage: Stage) -> None:
    stage.say = stage.lines.append
    story = _story(stage)
    told = False
    with Live(console=console, auto_refresh=False, screen=False) as live:
        while True:
            if not told:
                told = next(story, "end") == "end"
                if told:
                    stage.lines.append(
                        f"That is the story. Break more: curl -d '{{\"on\": true}}' 127.0.0.1:{stage.control}/devices/NAME/faults/FAULT "
                        f"(names: 127.0.0.1:{stage.control}/devices). Ctrl-C ends."
                    )
            else:
                stage.look()
            where = Text(f"Metrics: http://127.0.0.1:{stage.listen}/metrics   Tickets: {stage.tickets}", style="dim")
            live.update(Group(where, _table(stage), *(Text(line) for line in stage.lines[-8:])), refresh=True)
            time.sleep(0.5)
