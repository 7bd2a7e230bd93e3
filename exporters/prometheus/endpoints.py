"""The listener: metrics, health, the list of devices. It reads what is in memory and touches no device.

/metrics           text 0.0.4 or OpenMetrics 1.0, by Accept; `?name[]=` picks metrics; gzip where wanted
/api/v1/devices    the devices as JSON
/-/healthy         200, or 503 with the reason: the daemon should be restarted
/-/ready           200, or 503 with the reason: not yet (or no longer) doing its work
/                  links to these
"""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from html import escape
from itertools import chain
from typing import Final

from aiohttp import hdrs, web

import agent
from agent.errors import LatarnikError
from agent.logs import logger
from agent.model import Identity
from agent.ports import DeviceStatus, ObserverContext, PollReport
from exporters.prometheus.exposition import NOTHING, PIECE, Exposition, Refused, pieces
from exporters.prometheus.facts import entry, known, requests
from exporters.prometheus.negotiation import OPENMETRICS, TEXT, wants_gzip, wants_openmetrics
from exporters.prometheus.own import OWN_METRICS, OwnMetrics

log = logger(__name__)

MAX_REQUESTS: Final = 8
"""Large answers on their way at the same time; who comes then is told to come later."""

PAGE_TIMEOUT: Final = 30.0
"""Seconds in which a client must have taken a large answer."""

JSON: Final = "application/json; charset=utf-8"
_HTML: Final = "text/html; charset=utf-8"
_PLAIN: Final = "text/plain; charset=utf-8"
_SLICE: Final = 262_144
_HEADERS: Final[Mapping[str, str]] = {
    "Server": "latarnik",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class ListenError(LatarnikError):
    """The address to listen on cannot be had."""


class PrometheusObserver:
    """Is told of every change and answers from memory. `address` is where it listens, once it does."""

    def __init__(self, context: ObserverContext) -> None:
        """Raises ValueError when the catalogue cannot be exported."""
        clash = {own.name for own in OWN_METRICS} & {metric.name for metric in context.metrics}
        if clash:
            raise ValueError(f"metrics {', '.join(sorted(clash))} are the agent's own")
        self.address = context.listen
        self.own = OwnMetrics(context.devices, context.desks)
        self._context = context
        self._exposition = Exposition(context.metrics)
        self._statuses: dict[str, DeviceStatus] = {}
        self._asked: dict[str, dict[str, int]] = {}
        self._reported: set[Refused] = set()
        self._large = 0
        for device in context.devices:
            self.device_changed(
                DeviceStatus(
                    device=device,
                    up=None,
                    snapshot=None,
                    identity=Identity(),
                    last_poll=None,
                    last_success=None,
                    incidents=(),
                    tickets=(),
                    reboots=0,
                    blocked=False,
                    contract=device.contract,
                )
            )

    # --- what the agent tells ---

    def device_changed(self, status: DeviceStatus) -> None:
        device = status.device
        measured = status.snapshot.measured() if status.snapshot is not None else NOTHING
        for refused in self._exposition.update(device.id, chain(known(status), requests(self._asked.get(device.id, {}))), measured):
            self.own.refused(refused.reason)
            if refused not in self._reported:  # once: the next poll will bring it again
                self._reported.add(refused)
                log.error("reading_refused", device=device.id, vendor=device.vendor, metric=refused.metric, reason=refused.reason.value)
        self._statuses[device.id] = status

    def polled(self, report: PollReport) -> None:
        """Told ahead of the status that the poll gave, which shows what is counted here."""
        self.own.polled(report)
        asked = self._asked.setdefault(report.device, {})
        for source, count in report.requests.items():
            asked[source] = asked.get(source, 0) + count

    def delivery(self, desk: str, outcome: str) -> None:
        self.own.delivery(desk, outcome)

    def queue(self, desk: str, length: int, oldest: datetime | None, dead: int) -> None:
        self.own.queue(desk, length, oldest, dead)

    def lane(self, lane: str, running: int, waiting: int) -> None:
        self.own.lane(lane, running, waiting)

    def traps(self, counts: Mapping[str, int]) -> None:
        self.own.traps(counts)

    def config_loaded(self, at: datetime, *, successful: bool) -> None:
        self.own.config_loaded(at, successful=successful)

    # --- what clients ask ---

    def application(self) -> web.Application:
        app = web.Application(client_max_size=1024)
        app.on_response_prepare.append(_secure)
        app.add_routes(
            [
                web.get("/", self._landing),
                web.get("/metrics", self._metrics),
                web.get("/api/v1/devices", self._devices),
                web.get("/-/healthy", self._answer(self._context.healthy)),
                web.get("/-/ready", self._answer(self._context.ready)),
            ]
        )
        return app

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        started = self._context.clock.monotonic()
        openmetrics = wants_openmetrics(_all(request, hdrs.ACCEPT))
        names = frozenset(request.query.getall("name[]", []))
        view = self._exposition.view(names)
        own = self.own.page(names, openmetrics=openmetrics)

        def body() -> Iterator[bytes]:
            yield from pieces(view, openmetrics=openmetrics)
            yield own

        response = await self._send(request, OPENMETRICS if openmetrics else TEXT, body())
        self.own.scraped(self._context.clock.monotonic() - started)
        return response

    async def _devices(self, request: web.Request) -> web.StreamResponse:
        at = self._context.clock.now().astimezone(UTC).isoformat(timespec="seconds")
        statuses = list(self._statuses.values())

        def body() -> Iterator[bytes]:
            yield f'{{"schema":1,"at":"{at}","devices":['.encode()
            for start in range(0, len(statuses), PIECE):
                entries = [json.dumps(entry(status), separators=(",", ":")).encode() for status in statuses[start : start + PIECE]]
                yield (b",\n" if start else b"\n") + b",\n".join(entries)
            yield b"\n]}\n"

        return await self._send(request, JSON, body())

    async def _landing(self, _request: web.Request) -> web.Response:
        links = "".join(f'<li><a href="{path}">{path}</a></li>' for path in ("/metrics", "/api/v1/devices", "/-/healthy", "/-/ready"))
        devices = len(self._context.devices)
        page = (
            f'<!doctype html><html lang="en"><title>Latarnik</title><h1>Latarnik {escape(agent.__version__)}</h1>'
            f"<p>{devices} device{'' if devices == 1 else 's'} in the inventory.</p><ul>{links}</ul></html>\n"
        )
        return web.Response(body=page.encode(), headers={hdrs.CONTENT_TYPE: _HTML})

    def _answer(self, question: Callable[[], str]) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handler(_request: web.Request) -> web.Response:
            reason = question()
            return web.Response(status=503 if reason else 200, body=f"{reason or 'ok'}\n".encode(), headers={hdrs.CONTENT_TYPE: _PLAIN})

        return handler

    async def _send(self, request: web.Request, content_type: str, body: Iterable[bytes]) -> web.StreamResponse:
        """Send a large body without holding the event loop, as gzip where the client takes it."""
        headers = {hdrs.CONTENT_TYPE: content_type, hdrs.VARY: "Accept, Accept-Encoding"}
        if request.method == hdrs.METH_HEAD:
            return web.Response(headers=headers)
        if self._large >= MAX_REQUESTS:
            return web.Response(status=503, text="too many requests at once\n", headers={hdrs.RETRY_AFTER: "1"})
        self._large += 1
        try:
            async with asyncio.timeout(PAGE_TIMEOUT):
                if wants_gzip(_all(request, hdrs.ACCEPT_ENCODING)):
                    headers[hdrs.CONTENT_ENCODING] = "gzip"
                    body = _slices(await asyncio.to_thread(_gzip, body))
                response = web.StreamResponse(headers=headers)
                await response.prepare(request)
                for piece in body:
                    await response.write(piece)
                    # A client that reads fast never makes us wait, and this loop is not ours alone.
                    await asyncio.sleep(0)
                await response.write_eof()
                return response
        except TimeoutError:
            log.warning("client_too_slow", path=request.path, seconds=PAGE_TIMEOUT)
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError("the client did not take the page in time") from None
        finally:
            self._large -= 1


def _all(request: web.Request, name: str) -> str:
    return ",".join(request.headers.getall(name, []))


def _gzip(body: Iterable[bytes]) -> bytes:
    """Runs in a thread. Level 1: the higher ones cost up to five times the time for a third less."""
    compressor = zlib.compressobj(1, zlib.DEFLATED, 31)
    done = [compressor.compress(piece) for piece in body]
    return b"".join((*done, compressor.flush()))


def _slices(body: bytes) -> Iterator[bytes]:
    return (body[start : start + _SLICE] for start in range(0, len(body), _SLICE))


async def _secure(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)


@asynccontextmanager
async def open_observer(context: ObserverContext) -> AsyncIterator[PrometheusObserver]:
    """Listen on `context.listen` (port 0: any free one, see `address`). Raises ListenError when that cannot be."""
    observer = PrometheusObserver(context)
    runner = web.AppRunner(observer.application(), access_log=None, shutdown_timeout=2.0)
    await runner.setup()
    host, port = context.listen
    watch = asyncio.create_task(observer.own.watch_loop(), name="event-loop-lag")
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise ListenError(f"cannot listen on {host}:{port}: {error.strerror or error}; choose another address under `listen:`") from error
        bound = runner.addresses[0]
        observer.address = (bound[0], bound[1])
        log.info("listening", host=bound[0], port=bound[1])
        yield observer
    finally:
        await runner.cleanup()
        watch.cancel()
        with suppress(asyncio.CancelledError):
            await watch
