"""`python -m bench.peers`: CPU of one Axis cycle, against three probes of blackbox_exporter and one scrape of snmp_exporter for the same."""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
from yarl import URL

from agent.app import find_house
from bench.machine import SERVERS, SUBJECT, cpu_of, pinned, say, stopped
from bench.neutral import HOSTS, Neutral, Side, neutral
from bench.poll import PACES, lines_of
from bench.recording import COMMUNITY, Recording, record
from bench.rounds import Ratio, alternate, keep, per_cycle
from bench.site import write_site
from bench.subject import IN_FLIGHT, Subject, subject

BLACKBOX = "prometheus-blackbox-exporter"
SNMP = "prometheus-snmp-exporter"
_NAMES = {"1.3.6.1.2.1.1.1": "DisplayString", "1.3.6.1.2.1.1.5": "DisplayString", "1.3.6.1.2.1.2.2.1.6": "PhysAddress48"}
_VIDEO = {"3.1.3": 2, "3.1.4": 2, "8.1.2": 1, "8.1.3": 1, "2.1.3": 2, "6.1.2": 1, "6.1.3": 1}
"""Columns of AXIS-VIDEO-MIB and how many arcs their index has."""


def blackbox_modules(plan: dict[str, Any], recording: Recording) -> dict[str, Any]:
    """One module for each request of the cycle. JSON is YAML."""
    modules = {}
    for number, request in enumerate(plan["http"]):
        http: dict[str, Any] = {"method": request["method"], "preferred_ip_protocol": "ip4", "tls_config": {"insecure_skip_verify": True}}
        if request["body"] is not None:
            http |= {"body": request["body"], "headers": {"Content-Type": "application/json"}}
        if "Authorization" in request["headers"]:
            http["basic_auth"] = {"username": recording.user, "password": recording.password}
        modules[f"request{number}"] = {"prober": "http", "timeout": "5s", "http": http}
    return {"modules": modules}


def snmp_module(plan: dict[str, Any]) -> dict[str, Any]:
    """The same OIDs: what the cycle gets, and the tree it walks."""
    gets = [oid for question in plan["snmp"] for oid in question.get("get", [])]
    walks = [question["walk"] for question in plan["snmp"] if "walk" in question]
    metrics: list[dict[str, Any]] = []
    for oid in gets:
        column, _, index = oid.rpartition(".")
        indexes = [{"labelname": "ifIndex", "type": "gauge"}] if index != "0" else []
        metrics.append({"name": f"get{len(metrics)}", "oid": column, "type": _NAMES.get(column, "gauge"), **({"indexes": indexes} if indexes else {})})
    for tree in walks:
        for column, arcs in _VIDEO.items():
            kind = "DisplayString" if column in ("8.1.2", "6.1.2") else "gauge"
            indexes = [{"labelname": f"index{n}", "type": "gauge"} for n in range(arcs)]
            metrics.append({"name": f"video_{column.replace('.', '_')}", "oid": f"{tree}.{column}", "type": kind, "indexes": indexes})
    return {"axis": {"walk": walks, "get": gets, "metrics": metrics, "version": 2, "max_repetitions": 25, "timeout": "5s", "auth": {"community": COMMUNITY}}}


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@contextmanager
def _exporter(program: str, folder: Path, config: dict[str, Any], port: int) -> Iterator[int]:
    """A running exporter on the subject's core; its process id."""
    found = shutil.which(program)
    if found is None:
        raise RuntimeError(f"{program} is missing: run bench/setup.sh")
    file = folder / f"{program}.yml"
    file.write_text(json.dumps(config))
    command = [found, f"--config.file={file}", f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]
    with stopped(command, folder / f"{program}.out", cpus=SUBJECT) as child:
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if child.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{program} did not start: {(folder / f'{program}.out').read_text()[-2000:]}") from None
                time.sleep(0.05)
        yield child.pid


class Peers:
    """The two exporters, asked as Prometheus asks them."""

    def __init__(self, plan: dict[str, Any], side: Side, blackbox: tuple[int, int], snmp: tuple[int, int], rows: int) -> None:
        self._plan = plan
        self._side = side
        self._blackbox, self._blackbox_port = blackbox
        self._snmp, self._snmp_port = snmp
        self._rows = rows

    async def _cycle(self, session: aiohttp.ClientSession, host: str) -> None:
        for number, request in enumerate(self._plan["http"]):
            target = quote(f"https://{host}:{self._side.https}{request['target']}", safe="")
            page = await self._get(session, f"http://127.0.0.1:{self._blackbox_port}/probe?module=request{number}&target={target}")
            if b"\nprobe_success 1\n" not in page:
                raise RuntimeError(f"blackbox_exporter: {request['target']} failed: {page.decode()[-500:]}")
        page = await self._get(session, f"http://127.0.0.1:{self._snmp_port}/snmp?module=axis&target={host}:{self._side.snmp}")
        rows = sum(line.startswith((b"get", b"video")) for line in page.splitlines())
        if rows != self._rows:
            raise RuntimeError(f"snmp_exporter gave {rows} of {self._rows} rows: {page.decode()[-3000:]}")

    @staticmethod
    async def _get(session: aiohttp.ClientSession, url: str) -> bytes:
        async with session.get(URL(url, encoded=True)) as response:
            body = await response.read()
            if response.status != 200:
                raise RuntimeError(f"{url}: {response.status} {body.decode()[:500]}")
            return body

    async def _cycles(self, count: int) -> None:
        waiting = iter(range(count))
        async with aiohttp.ClientSession() as session:

            async def worker() -> None:
                for number in waiting:
                    await self._cycle(session, HOSTS[number % len(HOSTS)])

            async with asyncio.TaskGroup() as group:
                for _ in range(IN_FLIGHT):
                    group.create_task(worker())

    def block(self, count: int) -> dict[str, Any]:
        """So many cycles: {cycles, cpu, blackbox, snmp}, in CPU seconds of the exporters."""
        before = cpu_of(self._blackbox), cpu_of(self._snmp)
        asyncio.run(self._cycles(count))
        blackbox, snmp = cpu_of(self._blackbox) - before[0], cpu_of(self._snmp) - before[1]
        return {"cycles": count, "cpu": blackbox + snmp, "blackbox": blackbox, "snmp": snmp}


def _ours(product: Subject, servers: Neutral, expected: list[str], times: int, requests: int) -> dict[str, Any]:
    pace = PACES["axis"]
    product.ask("polls", ahead=pace.anew)
    servers.mark("latarnik")
    done = product.ask("polls", ahead=pace.step, times=times)
    checked = product.ask("check", expected=expected)
    if checked["good"] != checked["devices"]:
        raise RuntimeError(f"only {checked['good']} of {checked['devices']} devices have the readings they should have: {checked['odd']}")
    counted = servers.counted("latarnik", int(done["cycles"]) * requests)
    return {**done, "counted": counted.per(int(done["cycles"])), "sha256": checked["sha256"]}


def _theirs(peers: Peers, servers: Neutral, count: int, requests: int) -> dict[str, Any]:
    peers.block(IN_FLIGHT)
    servers.mark("peers")
    done = peers.block(count)
    return {**done, "counted": servers.counted("peers", count * requests).per(count)}


def measure(*, rounds: int, devices: int, times: int) -> tuple[Ratio, dict[str, Any]]:
    """The ratio, and what either did at the server."""
    recording = asyncio.run(record("axis", find_house()))
    expected = lines_of(recording)
    pace = PACES["axis"]
    with tempfile.TemporaryDirectory(prefix="latarnik-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        servers = stack.enter_context(neutral(folder / "neutral", recording, ("latarnik", "peers")))
        config = write_site(folder / "site", recording, servers.sides["latarnik"], devices, interval=pace.interval)
        product = stack.enter_context(subject("bench.product", folder, "product", str(config)))
        say(f"peers: {devices} devices, {times} cycles of each in a block, {rounds} rounds")
        for _ in range(2):
            product.ask("polls", ahead=pace.anew)
        plan = product.ask("plan", ahead=pace.step)
        ports = _free_port(), _free_port()
        blackbox = stack.enter_context(_exporter(BLACKBOX, folder, blackbox_modules(plan, recording), ports[0]))
        snmp = stack.enter_context(_exporter(SNMP, folder, snmp_module(plan), ports[1]))
        rows = sum(len(q["get"]) for q in plan["snmp"] if "get" in q) + sum(oid[:9] == (1, 3, 6, 1, 4, 1, 368, 4, 1) for oid, _ in recording.objects)
        peers = Peers(plan, servers.sides["peers"], (blackbox, ports[0]), (snmp, ports[1]), rows)
        requests = len(plan["http"])
        pairs = alternate(
            rounds,
            lambda: _ours(product, servers, expected, times, requests),
            lambda: _theirs(peers, servers, devices * times, requests),
        )
    a, b = pairs[0][0]["counted"], pairs[0][1]["counted"]
    row = Ratio(
        what="CPU of one Axis cycle, against 3 blackbox probes and 1 snmp_exporter scrape",
        rounds=tuple(per_cycle(ours) / per_cycle(theirs) for ours, theirs in pairs),
        must=0.7,
        aim=0.5,
        more=f"a cycle of Latarnik: {a['requests']:g} requests, {a['handshakes']:g} handshake, {a['datagrams']:g} datagrams; "
        f"of the exporters: {b['requests']:g} requests, {b['handshakes']:g} handshakes, {b['datagrams']:g} datagrams",
    )
    return row, {"rounds": [{"latarnik": x, "peers": y} for x, y in pairs]}


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--devices", type=int, default=100)
    parser.add_argument("--times", type=int, default=10, help="cycles of each device in a block")
    arguments = parser.parse_args(words)
    pinned(SERVERS)
    row, raw = measure(rounds=arguments.rounds, devices=arguments.devices, times=min(arguments.times, PACES["axis"].times))
    keep("peers", [row], raw)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
