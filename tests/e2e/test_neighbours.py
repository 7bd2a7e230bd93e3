"""Devices that reset every connection cost the others nothing: with uvloop and aiohttp they did, and the daemon died of it."""

from __future__ import annotations

import json
import sys
import time
import urllib.request
from pathlib import Path

from tests.support.processes import daemon, events, free_port, get, process, wait_for

BAD = ("room-105", "room-106", "lobby-speaker")
"""Two rooms and a speaker of the demo's fleet."""
SECONDS = 15.0
"""In the runs that showed it, it took some twenty polls of a device that resets."""


def test_devices_that_reset_every_connection_cost_the_others_nothing(tmp_path: Path) -> None:
    listen = free_port()
    ports = [word for name in ("https", "http", "snmp", "ssh", "control") for word in (f"--{name}-port", "0")]
    simulated = tmp_path / "simulator.log"
    with process([sys.executable, "-m", "simulator", *ports, "--write-config", str(tmp_path)], simulated) as fleet:
        ready = json.loads(wait_for("the fleet answers", lambda: fleet.text().splitlines()[0] if "\n" in fleet.text() else None))
        with (tmp_path / "latarnik.yaml").open("a") as config:
            config.write(f"listen: 127.0.0.1:{listen}\npolling: {{interval: 1s}}\n")
        log = tmp_path / "daemon.log"
        with daemon(tmp_path / "latarnik.yaml", log) as running:
            names = [d["name"] for d in ready["devices"]]
            wait_for("all are up", lambda: all(f'latarnik_device_up{{device="{n}"}} 1' in get(f"http://127.0.0.1:{listen}/metrics") for n in names))
            for name in BAD:
                url = f"http://127.0.0.1:{ready['ports']['control']}/devices/{name}/faults/unplugged"
                with urllib.request.urlopen(urllib.request.Request(url, b'{"on": true}', method="POST"), timeout=10):
                    pass
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                page = get(f"http://127.0.0.1:{listen}/metrics")
                for name in set(names) - set(BAD):
                    assert f'latarnik_device_up{{device="{name}"}} 1' in page, name
                time.sleep(0.5)
            assert 'latarnik_poll_failures_total{reason="bug"' not in page
            assert 'latarnik_poll_failures_total{reason="unreachable"' not in page
            assert running.stop() == 0
    assert [e for e in events(log) if str(e.get("event", "")).startswith("bug")] == []
