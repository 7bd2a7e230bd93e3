"""The agent's own metrics, held by prometheus_client in a registry of their own."""

from __future__ import annotations

import asyncio
import platform
import re
import time
from collections import Counter as Tally
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, GCCollector, Histogram, Info, PlatformCollector, ProcessCollector, disable_created_metrics
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

import agent
from agent.model import Desk, Device
from agent.ports import PollReport
from exporters.prometheus.exposition import Reason

BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_TICK = 0.25
_WINDOW = 60.0
_MAX_REASONS = 64
_WORD = re.compile(r"[a-z0-9_]{1,40}\Z")


@dataclass(frozen=True, slots=True)
class OwnMetric:
    """One row of the table of the agent's own metrics. `kind` is 'counter', 'gauge', 'histogram' or 'info'."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()


OWN_METRICS = (
    OwnMetric("latarnik_build_info", "info", "Build of the running agent", ("version", "python")),
    OwnMetric("latarnik_inventory_devices", "gauge", "Devices in the inventory", ("vendor",)),
    OwnMetric("latarnik_polls_total", "counter", "Polls of devices that have ended", ("vendor",)),
    OwnMetric("latarnik_poll_failures_total", "counter", "Parts of polls that failed, by way in and reason", ("source", "reason")),
    OwnMetric("latarnik_poll_requests_total", "counter", "Requests made to devices by polls", ("source",)),
    OwnMetric("latarnik_poll_duration_seconds", "histogram", "How long polls took", ("vendor",)),
    OwnMetric("latarnik_poll_lane_length", "gauge", "Polls that run or wait, by lane: slow is for devices that answered late or not at all", ("lane", "state")),
    OwnMetric(
        "latarnik_traps_total",
        "counter",
        "Datagrams that came to the receiver of SNMP traps, by what became of them: taken is a hint to poll, stranger is none of the inventory's addresses",
        ("outcome",),
    ),
    OwnMetric("latarnik_delivery_attempts_total", "counter", "Steps of cases that were sent to a ticket desk, whether it took them or not", ("desk",)),
    OwnMetric("latarnik_delivery_failures_total", "counter", "Steps of cases that a ticket desk did not take", ("desk", "reason")),
    OwnMetric("latarnik_ticket_queue_length", "gauge", "Steps of cases that wait for the desk", ("desk",)),
    OwnMetric("latarnik_ticket_queue_oldest_timestamp_seconds", "gauge", "Since when the oldest of them waits; absent while none does", ("desk",)),
    OwnMetric("latarnik_ticket_steps_dead", "gauge", "Steps of cases that were given up: a person has to look, `latarnik case retry` tries again", ("desk",)),
    OwnMetric(
        "latarnik_config_last_reload_successful",
        "gauge",
        "1 while the configuration runs that was read last; 0: that was wrong, the one before goes on",
    ),
    OwnMetric("latarnik_config_last_reload_success_timestamp_seconds", "gauge", "When the configuration that runs was put to work"),
    OwnMetric("latarnik_event_loop_lag_seconds", "gauge", "Longest time in the last minute for which the event loop came late"),
    OwnMetric("latarnik_readings_refused_total", "counter", "Readings left off the page because a collector made them wrongly", ("reason",)),
    OwnMetric("latarnik_scrape_duration_seconds", "gauge", "How long the last answer to /metrics took, until it was sent"),
)


class _Process(ProcessCollector):
    """The library's, which reads the time of boot from /proc/stat: our unit hides that (ProcSubset=pid), and then it would say nothing at all."""

    def _boot_time(self) -> float:
        return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


class OwnMetrics:
    """Counts what the agent does. All label values are known beforehand or bounded here."""

    def __init__(self, devices: Iterable[Device], desks: Iterable[Desk]) -> None:
        # A switch of the whole library: without it each counter has a second series that says when it began.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus_client leaves it so
        self.registry = CollectorRegistry()
        made = {own.name: _make(own, self.registry) for own in OWN_METRICS}
        self._metrics = made
        self._reasons: set[tuple[str, str]] = set()
        self._traps: dict[str, int] = {}
        self._of_vendor: dict[str, tuple[Counter, Histogram]] = {}
        _Process(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._info("latarnik_build_info").info({"version": agent.__version__, "python": platform.python_version()})
        for vendor, count in Tally(d.vendor for d in devices).items():
            self._gauge("latarnik_inventory_devices").labels(vendor).set(count)
            self._polls_of(vendor)
        for desk in desks:
            self._counter("latarnik_delivery_attempts_total").labels(desk.name)
            self._gauge("latarnik_ticket_queue_length").labels(desk.name).set(0)
            self._gauge("latarnik_ticket_steps_dead").labels(desk.name).set(0)
        for reason in Reason:
            self._counter("latarnik_readings_refused_total").labels(reason.value)

    def _polls_of(self, vendor: str) -> tuple[Counter, Histogram]:
        """What is counted at every poll of this vendor's devices, kept at hand."""
        found = self._counter("latarnik_polls_total").labels(vendor), self._histogram("latarnik_poll_duration_seconds").labels(vendor)
        self._of_vendor[vendor] = found
        return found

    def polled(self, report: PollReport) -> None:
        ended, took = self._of_vendor.get(report.vendor) or self._polls_of(report.vendor)
        ended.inc()
        took.observe(report.duration)
        for source, count in report.requests.items():
            self._counter("latarnik_poll_requests_total").labels(source).inc(count)
        for source, reason in report.failures:
            self._counter("latarnik_poll_failures_total").labels(source, self._bounded("poll", reason)).inc()

    def delivery(self, desk: str, outcome: str) -> None:
        self._counter("latarnik_delivery_attempts_total").labels(desk).inc()
        if outcome != "ok":
            self._counter("latarnik_delivery_failures_total").labels(desk, self._bounded("delivery", outcome)).inc()

    def config_loaded(self, at: datetime, *, successful: bool) -> None:
        self._gauge("latarnik_config_last_reload_successful").set(successful)
        if successful:
            self._gauge("latarnik_config_last_reload_success_timestamp_seconds").set(at.timestamp())

    def lane(self, lane: str, running: int, waiting: int) -> None:
        self._gauge("latarnik_poll_lane_length").labels(lane, "running").set(running)
        self._gauge("latarnik_poll_lane_length").labels(lane, "waiting").set(waiting)

    def traps(self, counts: Mapping[str, int]) -> None:
        for outcome, count in counts.items():
            counter = self._counter("latarnik_traps_total").labels(self._bounded("trap", outcome))
            before = self._traps.get(outcome, 0)
            counter.inc(count - before if count >= before else count)  # fewer than before: another receiver
            self._traps[outcome] = count

    def queue(self, desk: str, length: int, oldest: datetime | None, dead: int) -> None:
        self._gauge("latarnik_ticket_queue_length").labels(desk).set(length)
        self._gauge("latarnik_ticket_steps_dead").labels(desk).set(dead)
        since = self._gauge("latarnik_ticket_queue_oldest_timestamp_seconds")
        if oldest is not None:
            since.labels(desk).set(oldest.timestamp())
        else:
            since.remove_by_labels({"desk": desk})

    def refused(self, reason: Reason) -> None:
        self._counter("latarnik_readings_refused_total").labels(reason.value).inc()

    def scraped(self, seconds: float) -> None:
        self._gauge("latarnik_scrape_duration_seconds").set(seconds)

    async def watch_loop(self) -> None:
        """Measure for ever how late the event loop comes."""
        loop = asyncio.get_running_loop()
        late: deque[float] = deque(maxlen=int(_WINDOW / _TICK))
        gauge = self._gauge("latarnik_event_loop_lag_seconds")
        while True:
            due = loop.time() + _TICK
            await asyncio.sleep(_TICK)
            late.append(max(0.0, loop.time() - due))
            gauge.set(max(late))

    def page(self, names: frozenset[str] = frozenset(), *, openmetrics: bool) -> bytes:
        """These metrics as a whole page; with `names` only these. An OpenMetrics page ends with its `# EOF`."""
        # What restricted_registry returns has `collect`, which is all that the writers ask for.
        registry: CollectorRegistry = self.registry.restricted_registry(names) if names else self.registry  # type: ignore[assignment]  # the library declares a narrower class than it gives
        if openmetrics:
            page: bytes = generate_openmetrics(registry)  # type: ignore[no-untyped-call]  # prometheus_client leaves it so
            return page
        return prometheus_client.generate_latest(registry)

    def _bounded(self, kind: str, reason: str) -> str:
        """A reason that is a word, and one of the first few: what a desk answers must not become series without end."""
        if not _WORD.match(reason):
            return "other"
        if (kind, reason) not in self._reasons:
            if len(self._reasons) >= _MAX_REASONS:
                return "other"
            self._reasons.add((kind, reason))
        return reason

    def _counter(self, name: str) -> Counter:
        found = self._metrics[name]
        assert isinstance(found, Counter)
        return found

    def _gauge(self, name: str) -> Gauge:
        found = self._metrics[name]
        assert isinstance(found, Gauge)
        return found

    def _histogram(self, name: str) -> Histogram:
        found = self._metrics[name]
        assert isinstance(found, Histogram)
        return found

    def _info(self, name: str) -> Info:
        found = self._metrics[name]
        assert isinstance(found, Info)
        return found


def _make(own: OwnMetric, registry: CollectorRegistry) -> Counter | Gauge | Histogram | Info:
    if own.kind == "counter":
        return Counter(own.name, own.help, own.labels, registry=registry)
    if own.kind == "histogram":
        return Histogram(own.name, own.help, own.labels, registry=registry, buckets=BUCKETS)
    if own.kind == "info":
        return Info(own.name.removesuffix("_info"), own.help, registry=registry)  # its labels come with its value
    return Gauge(own.name, own.help, own.labels, registry=registry)
