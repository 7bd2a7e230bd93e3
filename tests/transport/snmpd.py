"""A real net-snmp agent on loopback."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SNMPD = shutil.which("snmpd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

CONFIG = """\
agentaddress udp:127.0.0.1:{port}
rocommunity public 127.0.0.1
rocommunity narrow 127.0.0.1 .1.3.6.1.2.1.1.9
sysDescr a camera of our own
sysName gate-2
engineID {engine}
createUser monitor SHA-256 authauth1 AES privpriv1
rouser monitor priv
createUser strong SHA-512 authauth1 AES-256 privpriv1
rouser strong priv
createUser short SHA authauth1 AES-256 privpriv1
rouser short priv
createUser old MD5 authauth1 DES privpriv1
rouser old priv
createUser signed SHA authauth1
rouser signed auth
createUser open
rouser open noauth
"""


def free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def snmpd(folder: Path, port: int, engine: str = "latarnik-test") -> Iterator[int]:
    """Runs until it is left. A new folder is a new device: no boots, no localized keys."""
    assert SNMPD
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "snmpd.conf").write_text(CONFIG.format(port=port, engine=engine))
    command = [SNMPD, "-f", "-Lo", "-C", "-c", str(folder / "snmpd.conf"), "-p", str(folder / "pid")]
    environment = {**os.environ, "SNMP_PERSISTENT_DIR": str(folder / "state"), "MIBS": ""}
    with (folder / "log").open("w") as log, subprocess.Popen(command, env=environment, stdout=log, stderr=log) as process:
        try:
            _wait(process, port, folder / "log")
            yield port
        finally:
            process.terminate()
            process.wait(10)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Until the agent answers a v3 discovery, which needs no credential."""
    discovery = bytes.fromhex(
        "303e020103301102040000000102030"
        + "0ffe3040104020103041030 0e0400020100020100040004000400 3014 0400 0400 a00e020400000001020100020100 3000".replace(" ", "")
    )
    deadline = time.monotonic() + 10
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(0.1)
        probe.connect(("127.0.0.1", port))
        while time.monotonic() < deadline:
            assert process.poll() is None, log.read_text()
            try:
                probe.send(discovery)
                probe.recv(4096)
                return
            except (TimeoutError, ConnectionRefusedError):
                time.sleep(0.02)
    raise AssertionError(f"snmpd does not answer: {log.read_text()}")
