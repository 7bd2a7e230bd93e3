"""A site under test: the simulated devices as one process, the daemon as another, and what a person can see of both."""

from __future__ import annotations

import hashlib
import json
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from simulator.axis.device import DEMO_PASSWORD
from simulator.fleet import COMMUNITY, ROOM_PASSWORD, SNMP_USER
from tests.cli.terminal import latarnik
from tests.e2e.simulated import CAMERAS, ROOMS
from tests.support.processes import Process, daemon, free_port, get, process, wait_for

SECRETS = {
    "rooms.password": ROOM_PASSWORD,
    "cameras.password": DEMO_PASSWORD,
    "wrong.password": "Nieprawdziwe-99",
    "snmp.community": COMMUNITY,
    "snmp.auth": SNMP_USER.auth_password,
    "snmp.priv": SNMP_USER.priv_password,
}

CREDENTIALS: dict[str, Any] = {
    "rooms": {"username": "admin", "password_file": "rooms.password"},
    "cameras": {"username": "operator", "password_file": "cameras.password"},
    "cameras-admin": {"username": "root", "password_file": "cameras.password"},
}
CONTACT = {"name": "Jan Przykładowy", "phone": "+48 12 555 01 00", "email": "it@example.org"}
CONTRACTS: dict[str, Any] = {
    "rooms": {
        "plan": "partner-poly-plus",
        "number": "HZ/2026/0007",
        "starts": "2026-01-02",
        "ends": "2029-01-01",
        "purchased": "2025-12-15",
        "contact": CONTACT,
        "address": "ul. Przykładowa 7, 30-001 Kraków",
    },
    "cameras": {"plan": "axis-warranty", "number": "AX-2025-31", "purchased": "2025-06-10", "contact": CONTACT},
}


FAST_FAULTS: dict[str, Any] = {
    "*": {"hold": "1s", "hits": 2, "clear": "1s", "misses": 2},
    # Asked for every fifth poll.
    "axis.storage.failed": {"hits": 1, "misses": 1},
    # Judged by answers that are asked for every fifth poll, and explained by others that are asked for at each: to last as much longer as they do on a site.
    "poly.camera.down": {"hold": "10s"},
    "poly.microphone.none": {"hold": "30s"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulator:
    """The running devices. `ports` by protocol, `addresses` by device."""

    ports: Mapping[str, int]
    addresses: Mapping[str, str]

    def switch(self, device: str, fault: str, *, on: bool) -> None:
        url = f"http://127.0.0.1:{self.ports['control']}/devices/{device}/faults/{fault}"
        request = urllib.request.Request(url, json.dumps({"on": on}).encode(), {"Content-Type": "application/json"}, method="POST")
        with urllib.request.urlopen(request, timeout=10):
            pass

    def counters(self, device: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(get(f"http://127.0.0.1:{self.ports['control']}/devices/{device}/counters"))
        return found

    def requests(self, device: str) -> int:
        """HTTP requests the device got."""
        return sum(self.counters(device)["requests"].values())


@contextmanager
def simulator(log: Path) -> Iterator[Simulator]:
    with process([sys.executable, "-m", "tests.e2e.simulated"], log) as running:

        def ready() -> dict[str, Any] | None:
            assert running.child.poll() is None, running.text()
            line = running.text().partition("\n")
            return json.loads(line[0]) if line[1] else None

        told = wait_for("the simulated devices answer", ready)
        yield Simulator(ports=told["ports"], addresses=told["addresses"])


def entry(fleet: Simulator, name: str, **more: Any) -> dict[str, Any]:
    """The device's entry in the inventory."""
    found: dict[str, Any] = {"id": name, "host": fleet.addresses[name], "port": fleet.ports["https"], "tls": {"mode": "tofu"}, "room": f"S-{name}"}
    if name in ROOMS:
        found |= {"vendor": "poly", "credentials": "rooms", "contract": "rooms", "ssh_port": fleet.ports["ssh"]}
    else:
        found |= {"vendor": "axis", "credentials": {"http": "cameras", "service": "cameras-admin"}, "contract": "cameras"}
    assert name in ROOMS or name in CAMERAS or name.startswith(("snmp", "legacy"))
    return found | more


@dataclass(slots=True, kw_only=True)
class Site:
    """A configuration with its state, and the daemon on it as often as it is started. `document` is written by `write`."""

    folder: Path
    fleet: Simulator
    document: dict[str, Any] = field(default_factory=dict)
    listen: int = field(default_factory=free_port)

    @property
    def config(self) -> Path:
        return self.folder / "latarnik.yaml"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def log(self) -> Path:
        return self.folder / "daemon.log"

    def write(self, devices: list[dict[str, Any]], **more: Any) -> None:
        """Write the configuration: polls each second, faults count after a second and two polls."""
        for name, secret in SECRETS.items():
            (self.folder / name).write_text(secret + "\n")
            (self.folder / name).chmod(0o600)
        self.document = {
            "site": {"name": "przyklad", "timezone": "Europe/Warsaw"},
            "state_dir": "state",
            "listen": f"127.0.0.1:{self.listen}",
            "polling": {"interval": "1s"},
            "faults": FAST_FAULTS,
            "credentials": CREDENTIALS,
            "contracts": CONTRACTS,
            "desks": {"helpdesk": {"type": "folder", "path": "tickets", "language": "en"}},
            "devices": devices,
        } | more
        self.config.write_text(yaml.safe_dump(self.document, allow_unicode=True, sort_keys=False, width=200))

    @contextmanager
    def daemon(self) -> Iterator[Process]:
        """The daemon, watching. Left running when the block ends, it is stopped by SIGTERM."""
        with daemon(self.config, self.log) as running:
            yield running

    def devices(self) -> dict[str, dict[str, Any]]:
        """`/api/v1/devices` by id."""
        return {d["id"]: d for d in json.loads(get(f"http://127.0.0.1:{self.listen}/api/v1/devices"))["devices"]}

    def metrics(self) -> str:
        return get(f"http://127.0.0.1:{self.listen}/metrics")

    def polls(self, *names: str, count: int = 2) -> None:
        """Wait until each of these devices was polled that many times more."""
        seen: dict[str, set[str]] = {name: set() for name in names}

        def enough() -> bool:
            for name, device in self.devices().items():
                if name in seen and device["last_poll"]:
                    seen[name].add(device["last_poll"])
            return all(len(times) > count for times in seen.values())

        wait_for(f"{count} more polls of {', '.join(names)}", enough)

    def healthy(self, *names: str) -> None:
        """Wait until these devices were looked at whole and are fine."""
        wait_for(f"{', '.join(names)} healthy", lambda: all(self.devices()[name]["health"] == "ok" for name in names))

    def faults(self, name: str) -> dict[str, dict[str, Any]]:
        """The faults shown of a device, by code."""
        return {fault["code"]: fault for fault in self.devices()[name]["faults"]}

    def tickets(self, device: str | None = None) -> list[dict[str, Any]]:
        """What stands in the folder desk's `ticket.json` files, each with its `folder`."""
        found = [json.loads(path.read_text()) | {"folder": path.parent} for path in sorted((self.folder / "tickets").glob("*/ticket.json"))]
        return [ticket for ticket in found if device is None or ticket["fields"]["device"] == device]

    def ticket(self, device: str) -> dict[str, Any]:
        """The one ticket of this device."""
        (found,) = self.tickets(device)
        return found

    def cli(self, *arguments: str, code: int = 0) -> str:
        """Run a command of `latarnik` on this site's configuration; what it printed."""
        done = latarnik(*arguments, "--config", str(self.config))
        assert done.code == code, done
        assert "Traceback" not in done.err
        return done.out + done.err


def attached(ticket: Mapping[str, Any]) -> dict[str, Path]:
    """The attachments of a folder ticket by their own names, each checked against the SHA-256 that the ticket gives."""
    found = {}
    for step in ticket["steps"]:
        for told in step["attachments"]:
            path = ticket["folder"] / told["file"]
            assert hashlib.sha256(path.read_bytes()).hexdigest() == told["sha256"]
            assert path.stat().st_size == told["size"]
            found[told["name"]] = path
    return found


def kinds(ticket: Mapping[str, Any]) -> list[str]:
    """The steps of a ticket, in their order, without the attachments."""
    return [step["kind"] for step in ticket["steps"] if step["kind"] != "attach"]
