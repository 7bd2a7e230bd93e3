"""What the tests of the simulated Axis devices share: a clock that stands still, and a client that is not ours."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp

from simulator.axis.device import DEMO_PASSWORD, AxisDevice
from simulator.axis.product import DOME_11, Product
from simulator.listener import Ports, serve


class StillClock:
    """Time passes only when a test says so, or somebody sleeps."""

    def __init__(self) -> None:
        self.passed = 0.0

    def now(self) -> datetime:
        return datetime(2026, 11, 21, 12, 0, tzinfo=UTC) + timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        return 500_000.0 + self.passed

    async def sleep(self, seconds: float) -> None:
        self.passed += seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    headers: list[tuple[str, str]]
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    def header(self, name: str) -> str:
        return ", ".join(value for key, value in self.headers if key.lower() == name.lower())


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Asks one device. `user` '' comes without a credential; scheme basic or digest."""

    device: AxisDevice
    ports: Ports
    session: aiohttp.ClientSession

    async def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        secure: bool = True,
        user: str = "",
        password: str = DEMO_PASSWORD,
        scheme: str = "basic",
        body: object = None,
        raw: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        port = self.ports.https if secure else self.ports.http
        url = f"{'https' if secure else 'http'}://{self.device.address}:{port}{path}"
        sent = dict(headers or {})
        middlewares: tuple[aiohttp.ClientMiddlewareType, ...] = ()
        if user and scheme == "digest":
            middlewares = (aiohttp.DigestAuthMiddleware(user, password),)
        elif user:
            sent["Authorization"] = basic(user, password)
        data = json.dumps(body).encode() if body is not None else raw
        if body is not None:
            sent["Content-Type"] = "application/json"
        async with self.session.request(
            method if data is None else "POST", url, data=data, headers=sent, middlewares=middlewares, ssl=False, timeout=aiohttp.ClientTimeout(5)
        ) as answer:
            return Answer(status=answer.status, headers=list(answer.headers.items()), content=await answer.read())

    async def call(self, cgi: str, method: str, *, user: str = "root", version: str = "1.0", **more: Any) -> Any:
        """Ask a JSON interface; the decoded answer."""
        answer = await self.ask(f"/axis-cgi/{cgi}.cgi", user=user, body={"apiVersion": version, "method": method, **more})
        assert answer.status == 200, (answer.status, answer.text)
        return answer.json


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@asynccontextmanager
async def visiting(product: Product = DOME_11, *, name: str = "gate", **settings: Any) -> AsyncIterator[Visitor]:
    """One device on its own, that takes basic authentication unless the test says otherwise, and a client."""
    device = AxisDevice(name=name, address="127.77.9.1", product=product, **{"clock": StillClock(), **settings})
    async with serve([device]) as ports, aiohttp.ClientSession() as session:
        yield Visitor(device=device, ports=ports, session=session)
