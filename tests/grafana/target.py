"""A fleet whose metrics page can be scraped, with a fault that can be switched on: the exporter, fed with statuses of our own making."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Protocol

from agent.model import FacetStatus, Reading
from agent.ports import DeviceStatus, PollReport, SystemClock
from exporters.prometheus.endpoints import PrometheusObserver, open_observer
from tests.prometheus.samples import READINGS, TICKET, context, device, incident, status

HEALTHY, FAULTY, SILENT = "room-1", "room-2", "gate-3"


class MetricsTarget(Protocol):
    """What the tests need: where the page is, a device that can be broken, and a way to break and to mend it.

    Broken means: a confirmed critical fault with an open ticket, a failed part of its polls, a failed delivery.
    """

    @property
    def address(self) -> str:
        """host:port of `/metrics`."""

    @property
    def device(self) -> str:
        """Id of the device that breaks."""

    async def break_it(self) -> None: ...

    async def mend_it(self) -> None: ...


@dataclass
class SyntheticFleet:
    observer: PrometheusObserver
    broken: bool = False

    @property
    def address(self) -> str:
        host, port = self.observer.address
        return f"{host}:{port}"

    @property
    def device(self) -> str:
        return FAULTY

    async def break_it(self) -> None:
        self.broken = True
        self.poll()

    async def mend_it(self) -> None:
        self.broken = False
        self.poll()

    def poll(self) -> None:
        """One round of polls of all devices."""
        now = SystemClock().now()
        for each in (HEALTHY, FAULTY, SILENT):
            broken, silent = self.broken and each == FAULTY, each == SILENT
            found = _status(each, broken=broken, silent=silent)
            self.observer.device_changed(replace(found, last_poll=now, last_success=None if silent else now))
            failures = [("http", "timeout")] if broken or silent else []
            self.observer.polled(PollReport(device=each, vendor=found.device.vendor, duration=0.3, requests={"http": 4}, failures=failures))
        self.observer.delivery("helpdesk", "unreachable" if self.broken else "ok")
        self.observer.queue("helpdesk", int(self.broken), now if self.broken else None)


def _status(id: str, *, broken: bool, silent: bool) -> DeviceStatus:
    of = device(id, vendor="axis" if id == SILENT else "poly", room=id)
    size = Reading(metric="latarnik_device_storage_size_bytes", value=1e10, labels=("SD_DISK",))
    facets = {"system": FacetStatus.OK, "storage": FacetStatus.FAILED if broken else FacetStatus.OK}
    made = status(
        of,
        up=not silent,
        fresh=not silent,
        readings=(*READINGS, size),
        facets=facets,
        incidents=[incident(id)] if broken else [],
        tickets=[TICKET] if broken else [],
    )
    return replace(made, reboots=1)


@asynccontextmanager
async def synthetic_fleet() -> AsyncIterator[SyntheticFleet]:
    async with open_observer(context([device(HEALTHY), device(FAULTY), device(SILENT, vendor="axis")])) as observer:
        fleet = SyntheticFleet(observer)
        polling = asyncio.create_task(_poll_for_ever(fleet))
        try:
            yield fleet
        finally:
            polling.cancel()
            with suppress(asyncio.CancelledError):
                await polling


async def _poll_for_ever(fleet: SyntheticFleet) -> None:
    while True:
        fleet.poll()
        await asyncio.sleep(0.5)
