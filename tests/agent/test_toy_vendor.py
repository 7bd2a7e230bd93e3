"""A third vendor is one folder: it is polled, exported and ticketed with no edit elsewhere."""

from __future__ import annotations

import json
import os
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support.processes import command, daemon, free_port, get, wait_for

ROOT = Path(__file__).parents[2]

TOY = '''
"""A vendor made up for a test."""

from contextlib import asynccontextmanager

from pydantic import BaseModel, ConfigDict

from agent.errors import BadPayload
from agent.model import Fault, FaultSpec, Healthy, Identity, MetricSpec, Reading, Severity, Text
from agent.ports import CollectorPlugin, Facet, FacetData
from collectors.transport import open_transports, raise_for_status


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")
    colour: str = "red"


async def fetch(http):
    answer = await http.request("GET", "/state", account="")
    raise_for_status(answer)
    return answer.json()


def parse(raw):
    if not isinstance(raw, dict) or "lamp" not in raw:
        raise BadPayload("no lamp")
    return FacetData(
        identity=Identity(vendor="toy", serial=str(raw.get("serial", "")), model="Lamp"),
        readings=(Reading(metric="latarnik_toy_lamp_ok", value=float(raw["lamp"] == "on")),),
    )


def lamp(snapshot, history, device):
    if not snapshot.ok("state"):
        return
    (reading,) = snapshot.of("latarnik_toy_lamp_ok")
    if reading.value:
        yield Healthy(code="toy.lamp.out")
    else:
        yield Fault(code="toy.lamp.out", severity=Severity.CRITICAL, summary="The lamp is out", proof=(reading,))


class Session:
    def __init__(self, http):
        self.client = http

    @property
    def sent(self):
        return {"http": self.client.requests}

    async def knock(self):
        await self.client.request("GET", "/", account="")

    def offers(self, facet):
        return True


class Collector:
    def __init__(self, transports):
        self.transports = transports

    @asynccontextmanager
    async def open(self, device):
        async with self.transports.http(device) as http:
            yield Session(http)


@asynccontextmanager
async def start(services):
    async with open_transports(services) as transports:
        yield Collector(transports)


PLUGIN = CollectorPlugin(
    name="toy",
    settings=Settings,
    facets=(Facet(name="state", source="http", every=60.0, fetch=fetch, parse=parse, what="lamp", endpoint="GET /state", account=""),),
    metrics=(MetricSpec(name="latarnik_toy_lamp_ok", help="1 while the lamp burns"),),
    faults=(
        FaultSpec(
            code="toy.lamp.out",
            severity=Severity.CRITICAL,
            title=Text("Lamp is out", "Lampa nie świeci"),
            advice=Text("Light it.", "Zapal ją."),
            hold=0.0,
            hits=1,
        ),
    ),
    rules=(lamp,),
    evidence=(),
    checklist=lambda snapshot, history, fault, device: (),
    start=start,
    shown_by={"toy.lamp.out": ("state",)},
)
'''


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Our packages as they are, and one more folder in `collectors`."""
    tree = tmp_path / "tree"
    (tree / "collectors").mkdir(parents=True)
    for package in ("agent", "config", "exporters", "simulator"):
        (tree / package).symlink_to(ROOT / package)
    for entry in (ROOT / "collectors").iterdir():
        if entry.name != "__pycache__":
            (tree / "collectors" / entry.name).symlink_to(entry)
    (tree / "collectors" / "toy").mkdir()
    (tree / "collectors" / "toy" / "__init__.py").write_text(TOY)
    return tree


class Lamp:
    state = "on"


@contextmanager
def lamp() -> Iterator[tuple[Lamp, int]]:
    """The toy device: a plain HTTP server on loopback."""
    device = Lamp()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"serial": "TOY-1", "lamp": device.state}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield device, server.server_port
        finally:
            server.shutdown()
            thread.join()


def test_a_vendor_in_a_folder_of_its_own_is_polled_exported_and_ticketed(tree: Path, tmp_path: Path) -> None:
    env = {"PYTHONPATH": str(tree)}
    listen = free_port()
    with lamp() as (device, port):
        config = tmp_path / "latarnik.yaml"
        config.write_text(
            textwrap.dedent(f"""
            site: {{name: test, timezone: Europe/Warsaw}}
            listen: 127.0.0.1:{listen}
            state_dir: state
            toy: {{colour: green}}
            devices:
              - {{id: lamp-1, vendor: toy, host: 127.0.0.1, port: {port}, scheme: http}}
            desks:
              box: {{type: folder, path: tickets}}
            polling: {{interval: 1s}}
            """)
        )
        with daemon(config, tmp_path / "daemon.log", env=env):
            wait_for("the toy's metric", lambda: 'latarnik_toy_lamp_ok{device="lamp-1"} 1' in get(f"http://127.0.0.1:{listen}/metrics"))
            device.state = "out"
            ticket = wait_for("the toy's ticket", lambda: next((tmp_path / "tickets").glob("*/ticket.json"), None))
            assert json.loads(ticket.read_text())["fields"]["identity"]["serial"] == "TOY-1"


def test_a_vendors_own_keys_are_checked_with_file_and_line(tree: Path, tmp_path: Path) -> None:
    config = tmp_path / "latarnik.yaml"
    config.write_text("site: {name: test}\ntoy:\n  colour: [1]\ndevices: []\n")
    done = command("check-config", "--config", str(config), env={"PYTHONPATH": str(tree)})
    assert done.returncode == 2
    assert f"{config}:3: toy.colour:" in done.stderr


def test_a_vendor_folder_without_a_plugin_fails_at_start_and_says_so(tree: Path, tmp_path: Path) -> None:
    (tree / "collectors" / "toy" / "__init__.py").write_text('"""Nothing."""\n')
    config = tmp_path / "latarnik.yaml"
    config.write_text("site: {name: test}\ndevices: []\n")
    done = command("check-config", "--config", str(config), env={**os.environ, "PYTHONPATH": str(tree)})
    assert done.returncode == 1
    assert "collectors.toy has no PLUGIN" in done.stderr
    (tree / "collectors" / "toy" / "__init__.py").unlink()
    done = command("check-config", "--config", str(config), env={**os.environ, "PYTHONPATH": str(tree)})
    assert done.returncode == 1
    assert "collectors/toy has no __init__.py" in done.stderr
