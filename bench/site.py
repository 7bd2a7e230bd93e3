"""The configuration of the product under measurement: N devices that are all the neutral server."""

from __future__ import annotations

import json
from pathlib import Path

from bench.neutral import HOSTS, Side
from bench.recording import COMMUNITY, Recording


def write_site(folder: Path, recording: Recording, side: Side, count: int, *, interval: float, prefix: str = "device") -> Path:
    """Write `latarnik.yaml` and its secrets into `folder`; the path of the file. `interval` in seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, secret in (("http.password", recording.password), ("snmp.community", COMMUNITY)):
        (folder / name).write_text(secret + "\n")
        (folder / name).chmod(0o600)
    snmp = recording.vendor == "axis"
    tls = f'{{mode: pin, sha256: "{side.sha256}"}}'
    accounts = "{http: web, snmp: snmp}" if snmp else "{http: web}"
    rows = "\n".join(
        f"  - {{id: {device_id(n, prefix)}, vendor: {recording.vendor}, host: {HOSTS[n % len(HOSTS)]}, port: {side.https}, snmp_port: {side.snmp}, "
        f"room: {json.dumps(f'{n}')}, credentials: {accounts}, tls: {tls}}}"
        for n in range(count)
    )
    file = folder / "latarnik.yaml"
    file.write_text(
        f"""site: {{name: bench}}
state_dir: state
listen: 127.0.0.1:0
polling: {{interval: {interval:g}s, stale_after_missed: 1000}}
credentials:
  web: {{username: {recording.user}, password_file: http.password}}
  snmp: {{snmp: {{version: 2, community_file: snmp.community}}}}
{"poly: {idle_timeout: 28800}" if recording.vendor == "poly" else ""}
devices:
{rows}
"""
    )
    return file


def device_id(number: int, prefix: str = "device") -> str:
    return f"{prefix}-{number:05d}"
