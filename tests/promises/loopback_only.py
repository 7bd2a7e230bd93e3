"""A whole site in a network namespace that has nothing but loopback: `unshare --net --mount python -m tests.promises.loopback_only FOLDER`.

Devices fail, tickets are written and mailed, all is mended. Prints one JSON object with what was tried on the network meanwhile.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.e2e.site import Site, attached, entry, simulator
from tests.e2e.test_vendor_mail import relay
from tests.support.processes import get, process, wait_for

CAMERA, ROOM, E70 = "sd-story", "e70-story", "e70-story-e70"
V2, V3 = "snmp-v2", "snmp-v3"
_SIOCSIFFLAGS, _IFF_UP, _IFF_RUNNING = 0x8914, 0x1, 0x40


def loopback_up() -> None:
    with socket.socket() as sock:
        fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _IFF_UP | _IFF_RUNNING))


def names_of_a_plain_machine(folder: Path) -> None:
    """Its own name in /etc/hosts, as Debian writes it; all others are asked of an address that is not loopback, so that a question is counted."""
    texts = {
        "resolv.conf": "nameserver 192.0.2.53\noptions timeout:1 attempts:1\n",
        "hosts": f"127.0.0.1 localhost\n127.0.1.1 {socket.gethostname()}\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
        place = Path("/etc", name).resolve()
        if place.exists():
            subprocess.run(["mount", "--bind", str(folder / name), str(place)], check=True)


def without_a_way() -> int:
    """How often anything in this namespace, native code included, wanted to send to where no route leads: the kernel's own count, IPv4 and IPv6."""
    lines = Path("/proc/net/snmp").read_text().splitlines()
    heads, values = next((h.split(), v.split()) for h, v in zip(lines[::2], lines[1::2], strict=True) if h.startswith("Ip:"))
    six = dict(line.split() for line in Path("/proc/net/snmp6").read_text().splitlines())
    return int(values[heads.index("OutNoRoutes")]) + int(six.get("Ip6OutNoRoutes", 0))


def the_count_counts() -> dict[str, int]:
    """What one try of each kind adds to the count: proof that it would not miss one."""
    tries: dict[str, int] = {}
    for family, where in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            before = without_a_way()
            with suppress(OSError), socket.socket(family, kind) as sock:
                sock.connect((where, 443))
            tries[f"{family.name} {kind.name}"] = without_a_way() - before
    before = without_a_way()
    with suppress(OSError):
        socket.getaddrinfo("updates.example.org", 443)
    tries["a name"] = without_a_way() - before
    return tries


def story(folder: Path) -> dict[str, Any]:
    """Two faults, four tickets at two desks, and their end. What the daemon tried on the network, and where it was sent to look."""
    heard = folder / "heard"
    with simulator(folder / "simulator.log") as fleet, relay() as (inbox, mail_port):
        site = Site(folder=folder, fleet=fleet)
        accounts = {"http": "cameras", "service": "cameras-admin"}
        devices = [
            entry(fleet, CAMERA),
            entry(fleet, ROOM),
            {"id": E70, "vendor": "poly", "parent": ROOM, "model": "Studio E70"},
            entry(fleet, V2, credentials={**accounts, "snmp": "v2"}, snmp_port=fleet.ports["snmp"]),
            entry(fleet, V3, credentials={**accounts, "snmp": "v3"}, snmp_port=fleet.ports["snmp"]),
        ]
        site.write(devices)
        keys = {"version": 3, "user": "monitor", "auth": "sha256", "auth_key_file": "snmp.auth", "priv": "aes128", "priv_key_file": "snmp.priv"}
        snmp = {"v2": {"snmp": {"version": "2c", "community_file": "snmp.community"}}, "v3": {"snmp": keys}}
        mail = {"type": "mail", "to": ["a@example.org"], "from": "b@example.org", "smtp": f"127.0.0.1:{mail_port}", "tls": "none"}
        site.write(devices, credentials={**site.document["credentials"], **snmp}, desks={**site.document["desks"], "post": mail})
        command = [sys.executable, "-m", "tests.promises.recorded", str(heard), "run", "--config", str(site.config), "--log-format", "json"]
        with process(command, site.log) as daemon:
            wait_for("the daemon is ready", lambda: '"watching"' in daemon.text())
            site.healthy(CAMERA, ROOM, V2, V3)
            fleet.switch(CAMERA, "sd_failed", on=True)
            fleet.switch(ROOM, "e70_unplugged", on=True)

            def has(device: str, file: str) -> bool:
                return bool(site.tickets(device)) and file in attached(site.ticket(device))

            wait_for("both bundles are attached", lambda: has(CAMERA, "serverreport.zip") and has(E70, "poly-logs.tar"), 60)
            fleet.switch(CAMERA, "sd_failed", on=False)
            fleet.switch(ROOM, "e70_unplugged", on=False)
            wait_for("both tickets are resolved", lambda: [t["state"] for t in site.tickets()] == ["resolved", "resolved"], 60)
            get(f"http://127.0.0.1:{site.listen}/metrics")
            assert daemon.stop() == 0, daemon.text()[-3000:]
        ours = {fleet.addresses[d["id"]]: [fleet.ports[p] for p in ("https", "http", "ssh", "snmp")] for d in devices if "host" in d}
        return {
            "allowed": {**ours, "127.0.0.1": [mail_port, site.listen]},
            "state": str(site.state),
            "heard": [json.loads(line) for line in heard.read_text().splitlines()],
            "tickets": len(site.tickets()),
            "mails": len(inbox.messages),
            "requests": {d["id"]: fleet.requests(d["id"]) for d in devices if "host" in d},
            "snmp": {d: fleet.counters(d) for d in (V2, V3)},
        }


def main(folder: Path) -> None:
    loopback_up()
    names_of_a_plain_machine(folder)
    control = the_count_counts()
    before = without_a_way()
    found = story(folder)
    print(json.dumps({**found, "interfaces": [name for _, name in socket.if_nameindex()], "control": control, "without_a_way": without_a_way() - before}))


if __name__ == "__main__":
    os.environ["NO_PROXY"] = "*"
    main(Path(sys.argv[1]))
