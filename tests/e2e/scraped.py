"""The real daemon over the whole simulated fleet, each a process of its own, for whoever scrapes its page."""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.processes import daemon, free_port, get, process, wait_for

BREAKS, SILENT = "gate-2", "lobby-speaker"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScrapedFleet:
    """`device` is a camera whose SD card can fail. Another device is without power all the time, and one ticket desk is not there."""

    address: str
    control: int
    device: str = BREAKS

    async def break_it(self) -> None:
        await asyncio.to_thread(self._switch, self.device, "sd_failed", on=True)

    async def mend_it(self) -> None:
        await asyncio.to_thread(self._switch, self.device, "sd_failed", on=False)

    def _switch(self, device: str, fault: str, *, on: bool) -> None:
        url = f"http://127.0.0.1:{self.control}/devices/{device}/faults/{fault}"
        request = urllib.request.Request(url, json.dumps({"on": on}).encode(), {"Content-Type": "application/json"}, method="POST")
        with urllib.request.urlopen(request, timeout=10):
            pass

    def _settled(self) -> bool:
        """Every device was looked at once, and the one without power has been away for long enough to count."""
        devices = json.loads(get(f"http://{self.address}/api/v1/devices"))["devices"]
        awake = [d for d in devices if d["id"] != SILENT]
        (silent,) = [d for d in devices if d["id"] == SILENT]
        return all(d["up"] and not d["faults"] and (d["parent"] or d["health"] == "ok") for d in awake) and bool(silent["faults"])


@contextmanager
def scraped_fleet(folder: Path) -> Iterator[ScrapedFleet]:
    """The fleet of the demo, watched, when all of it has been polled. `folder` is for its files."""
    ports = [word for name in ("https", "http", "snmp", "ssh") for word in (f"--{name}-port", "0")]
    with process([sys.executable, "-m", "simulator", *ports, "--write-config", str(folder)], folder / "simulator.log") as simulator:

        def ready() -> Any:
            assert simulator.child.poll() is None, simulator.text()
            line = simulator.text().partition("\n")
            return json.loads(line[0]) if line[1] else None

        told = wait_for("the simulated fleet answers", ready)
        listen = free_port()
        config = Path(told["config"])
        document = yaml.safe_load(config.read_text())
        document |= {
            "listen": f"127.0.0.1:{listen}",
            "polling": {"interval": "2s"},
            "faults": {"*": {"hold": "2s", "hits": 2, "clear": "2s", "misses": 2}},
            "desks": {
                "helpdesk": {"type": "folder", "path": "tickets"},
                "away": {"type": "mail", "to": ["service@example.org"], "from": "rooms@example.org", "smtp": f"127.0.0.1:{free_port()}", "tls": "none"},
            },
        }
        config.write_text(yaml.safe_dump(document, allow_unicode=True))
        fleet = ScrapedFleet(address=f"127.0.0.1:{listen}", control=told["ports"]["control"])
        fleet._switch(SILENT, "unplugged", on=True)
        with daemon(config, folder / "daemon.log"):
            wait_for("the fleet has been polled", fleet._settled, 60)
            yield fleet
