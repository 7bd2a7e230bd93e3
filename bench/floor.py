"""The floor: the same requests by bare aiohttp and the same SNMP engine, and nothing done with the answers but reading them.

`python -m bench.floor PLAN`: JSON with the requests of one cycle, the hosts and ports, the certificate to pin, and what the answers are.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from itertools import cycle as around
from pathlib import Path
from typing import Any

import aiohttp
from gufo.snmp import SnmpVersion
from gufo.snmp.aio import SnmpSession
from yarl import URL

from bench.recording import COMMUNITY
from bench.subject import measured, private_output, ready, serve


class Floor:
    """A cycle is one session of aiohttp with one connection, pinned, closed at the end; and one SNMP session."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._requests = [(r["method"], r["target"], r["headers"], r["body"].encode() if r["body"] is not None else None) for r in plan["http"]]
        self._sizes = plan["sizes"]
        self._snmp = plan["snmp"]
        self._rows = plan["rows"]
        self._https, self._port = plan["https"], plan["snmp_port"]
        self._hosts = around(plan["hosts"])
        self._pin = aiohttp.Fingerprint(bytes.fromhex(plan["sha256"]))
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE
        self._context.set_alpn_protocols(["http/1.1"])

    async def _cycle(self, host: str) -> None:
        sizes = []
        connector = aiohttp.TCPConnector(limit=1, ssl=self._pin)
        async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
            for method, target, headers, body in self._requests:
                url = URL(f"https://{host}:{self._https}{target}", encoded=True)
                async with session.request(method, url, data=body, headers=headers, ssl=self._context) as response:
                    sizes.append(len(await response.read()))
        if sizes != self._sizes:
            raise RuntimeError(f"the bodies have {sizes} bytes, not {self._sizes}")
        if self._snmp:
            await self._ask(host)

    async def _ask(self, host: str) -> None:
        session = SnmpSession(host, self._port, community=COMMUNITY, version=SnmpVersion.v2c)
        rows = 0
        for question in self._snmp:
            if "get" in question:
                rows += len(await session.get_many(question["get"]))
            else:
                rows += len([row async for row in session.getbulk(question["walk"], max_repetitions=25)])
        if rows != self._rows:
            raise RuntimeError(f"SNMP gave {rows} rows, not {self._rows}")

    async def cycles(self, *, count: int, rate: float = 0.0) -> dict[str, Any]:
        return await measured(self._cycle, [next(self._hosts) for _ in range(count)], rate)


async def main(plan: dict[str, Any]) -> None:
    answers = private_output()
    floor = Floor(plan)
    await serve({"ready": ready, "cycles": floor.cycles}, answers)


if __name__ == "__main__":
    with asyncio.Runner() as runner:
        runner.run(main(json.loads(Path(sys.argv[1]).read_text())))
