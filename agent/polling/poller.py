"""One device, one pass: the facets that are due, one after the other, on one visit; every error becomes an outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime

from agent.diagnosis.masking import mask_of, masked
from agent.errors import CollectError, NotSupported, Reason, Unreachable
from agent.logs import logger
from agent.model import Device, FacetOutcome, FacetStatus, Snapshot
from agent.polling.state import SLOW, STRETCHED, Cadence, FacetState, PollState, effective_every, snapshot_of
from agent.ports import Clock, Collector, CollectorPlugin, Facet, PollReport, Session

UNSUPPORTED_AGAIN = 86_400.0
"""A facet that the device lacks is asked for again once a day: a firmware update may bring it."""

LACKING_SURE = 10
"""So many times in a row a device may deny what it had before we believe it for a day."""

ANSWERED = frozenset(
    {
        Reason.TLS_NOT_TRUSTED,
        Reason.TLS_CHANGED,
        Reason.HOST_KEY,
        Reason.AUTH,
        Reason.FORBIDDEN,
        Reason.HTTP_STATUS,
        Reason.PARSE,
        Reason.TOO_LARGE,
        Reason.BOOTING,
        Reason.NOT_SUPPORTED,
    }
)
"""Failures that prove that the device is there."""

NOT_TRIED = frozenset({Reason.BUG, Reason.AUTH_BLOCKED, Reason.AUTH_WAITS, Reason.NO_CREDENTIAL, Reason.WEAKER_SCHEME, Reason.SESSIONS_FULL, Reason.LOCKOUT})
"""Failures that may come without a word from the device: we did not ask, or were told to wait earlier."""


async def poll(device: Device, plugin: CollectorPlugin, collector: Collector, state: PollState, cadence: Cadence, clock: Clock) -> tuple[Snapshot, PollReport]:
    """Ask what is due and give the snapshot. Raises nothing but cancellation."""
    started, started_at = clock.monotonic(), clock.now()
    visit = _Visit(device, plugin, state, cadence, clock)
    try:
        async with asyncio.timeout(cadence.limit), collector.open(device) as session:
            try:
                await visit.run(session)
            finally:
                visit.sent = {**visit.asked, **session.sent}
    except TimeoutError:
        visit.give_up(Reason.TIMEOUT, f"the whole poll took more than {cadence.limit:.0f} s")
    except CollectError as error:
        visit.give_up(error.reason, error.detail)
    except Exception as error:  # noqa: BLE001 - one device's trouble must not end the agent; it is logged with its traceback
        logger("poller").exception("bug_in_collector", device=device.id, vendor=device.vendor)
        visit.give_up(Reason.BUG, f"{type(error).__name__} in the collector; the log has the traceback")
    state.slow = visit.slowest > SLOW
    duration = clock.monotonic() - started
    snapshot = visit.snapshot(started_at, duration)
    report = PollReport(device=device.id, vendor=device.vendor, duration=duration, requests=visit.sent, failures=tuple(visit.failures))
    return snapshot, report


class _Visit:
    """The working state of one pass."""

    __slots__ = (
        "_alive",
        "_asking",
        "_dead",
        "_kept_out",
        "_mute",
        "_touched",
        "_tried",
        "asked",
        "cadence",
        "clock",
        "device",
        "failures",
        "mask",
        "plugin",
        "reachable",
        "sent",
        "slowest",
        "state",
    )

    def __init__(self, device: Device, plugin: CollectorPlugin, state: PollState, cadence: Cadence, clock: Clock) -> None:
        self.device = device
        self.plugin = plugin
        self.state = state
        self.mask = state.mask = state.mask or mask_of(device)
        self.cadence = cadence
        self.clock = clock
        self.reachable = False
        self.slowest = 0.0
        self.asked: dict[str, int] = {}
        self.sent: dict[str, int] = {}
        self.failures: list[tuple[str, str]] = []
        self._dead: dict[str, CollectError] = {}
        self._mute: dict[str, CollectError] = {}
        self._alive: set[str] = set()
        self._touched: set[str] = set()
        self._tried = False
        self._kept_out: set[str] = set()
        self._asking = ""

    async def run(self, session: Session) -> None:
        state, known, monotonic = self.state, self.state.facets, self.clock.monotonic
        deciding = [f for f in self.plugin.facets if f.decides_use and session.offers(f)]
        if not deciding:
            state.in_use = False
        for facet in self._in_order():
            name = facet.name
            held = known.get(name)
            waits = held is not None and monotonic() < held.due
            if waits and not facet.fallback_for:  # most of them, in most polls; what the device no longer offers goes when it is due
                self._touched.add(name)
                continue
            if not session.offers(facet) or (facet.fallback_for and self._answered(facet.fallback_for)):
                known.pop(name, None)
                continue
            if waits:
                self._touched.add(name)
                continue
            if held is None:
                held = known[name] = FacetState()
            if not facet.light and state.in_use is not False:
                continue
            await self._ask(facet, held, session)
            if facet.decides_use:
                state.in_use = self._use(deciding)
        if not self.asked:
            await self._sign_of_life(session)
        if not self.reachable and (self._kept_out or not self._tried):
            await self._knock(session)

    def _in_order(self) -> Iterable[Facet]:
        """As in the vendor's table, but what ran into its time-out in the last poll comes last, so that it costs nothing but itself. What others
        wait for (the use, what they replace) keeps its place.
        """
        hung = {name for name, held in self.state.facets.items() if held.hung}
        if not hung:
            return self.plugin.facets
        leading = {f.fallback_for for f in self.plugin.facets} | {f.name for f in self.plugin.facets if f.decides_use or f.fallback_for}
        last = hung - leading
        return sorted(self.plugin.facets, key=lambda f: f.name in last)

    async def _knock(self, session: Session) -> None:
        """Nothing was tried, or not on every way in (no credential, or none that may be used): that tells nothing of the device, so it is asked without any."""
        self.asked["http"] = self.asked.get("http", 0) + 1
        try:
            await session.knock()
        except CollectError as error:
            self.reachable = error.reason in ANSWERED
        else:
            self.reachable = True

    async def _sign_of_life(self, session: Session) -> None:
        """A poll in which no facet was due still has to see the device: the first facet that it is known to answer is asked."""
        now = self.clock.monotonic()
        for facet in self.plugin.facets:
            held = self.state.facets.get(facet.name)
            if held is None or held.outcome is None or held.outcome.status is FacetStatus.UNSUPPORTED or now < held.not_before:
                continue
            if facet.light or self.state.in_use is False:
                await self._ask(facet, held, session)
                return

    def _answered(self, name: str) -> bool:
        held = self.state.facets.get(name)
        return held is not None and held.outcome is not None and held.outcome.status is FacetStatus.OK and name in self._touched

    async def _ask(self, facet: Facet, held: FacetState, session: Session) -> None:
        name, source = facet.name, facet.source
        self._touched.add(name)
        dead = self._dead.get(source)
        if dead is None and facet.account and source not in self._alive:
            dead = self._mute.get(source)  # no login where nothing has answered yet
        if dead is not None:
            self._failed(facet, held, dead, asked=False)
            return
        self.asked[source] = self.asked.get(source, 0) + 1
        self._asking = name
        began = self.clock.monotonic()
        try:
            data = masked(facet.parse(await facet.fetch(session.client)), self.mask)
        except NotSupported as error:
            self._reached(facet)
            # What it had, it may only lack while it starts: it is asked again soon, and seldom only when it keeps saying so.
            held.lacking += 1
            sure = not held.had or held.lacking > LACKING_SURE
            held.data = None
            held.due = self.clock.monotonic() + (UNSUPPORTED_AGAIN if sure else self._every(facet) - self.cadence.interval / 2)
            held.outcome = self._outcome(facet, FacetStatus.UNSUPPORTED, Reason.NOT_SUPPORTED, error.detail)
        except CollectError as error:
            self._failed(facet, held, error, asked=True)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - a bug in one facet costs that facet; it is logged with its traceback
            logger("poller").exception("bug_in_facet", device=self.device.id, facet=facet.name)
            self._failed(facet, held, CollectError(Reason.BUG, f"{type(error).__name__} in facet {facet.name}; the log has the traceback"), asked=True)
        else:
            self._reached(facet)
            now = self.clock.monotonic()
            held.data, held.data_at, held.asked_at, held.had, held.lacking, held.hung = data, now, began, True, 0, False
            self.slowest = max(self.slowest, now - began)
            held.due = now + self._every(facet) - self.cadence.interval / 2
            held.outcome = self._outcome(facet, FacetStatus.OK)
        self._asking = ""

    def _every(self, facet: Facet) -> float:
        every = effective_every(facet, self.cadence.interval)
        return every * STRETCHED if self.state.slow and every > self.cadence.interval else every

    def _reached(self, facet: Facet) -> None:
        self.reachable = True
        self._alive.add(facet.source)

    def _failed(self, facet: Facet, held: FacetState, error: CollectError, *, asked: bool) -> None:
        """The facet's last answer goes: an old value is never shown as fresh."""
        held.data = None
        held.due = held.not_before = self.clock.monotonic() + (error.retry_after or 0.0)
        held.outcome = self._outcome(facet, FacetStatus.FAILED, error.reason, error.detail)
        if error.reason in ANSWERED:
            self._reached(facet)
        if not asked:
            return
        self._tried |= error.reason not in NOT_TRIED
        if error.reason in (Reason.AUTH_BLOCKED, Reason.AUTH_WAITS):
            self._kept_out.add(facet.source)
        self.failures.append((facet.source, error.reason.value))
        held.hung = error.reason is Reason.TIMEOUT
        closed = error.reason in (Reason.TLS_NOT_TRUSTED, Reason.TLS_CHANGED, Reason.HOST_KEY)
        if isinstance(error, Unreachable) and facet.source not in self._alive:
            # One request that the device took and did not answer may be that one request's trouble; a second one is the device's.
            closed = not error.sent or bool(facet.account) or facet.source in self._mute
            self._mute.setdefault(facet.source, error)
        if closed:
            # Nothing answers on this way in: asking the other facets would cost a time-out each and tell nothing new.
            self._dead[facet.source] = error

    def _outcome(self, facet: Facet, status: FacetStatus, reason: str = "", detail: str = "") -> FacetOutcome:
        credential = self.device.credential(facet.account)
        name = credential.name if credential is not None else ""
        return FacetOutcome(status=status, source=facet.source, at=self.clock.now(), reason=str(reason), detail=self.mask.text(detail), credential=name)

    def _use(self, deciding: list[Facet]) -> bool | None:
        """In use if one says so; free only if all that were asked answered, and one of them said so."""
        said: list[bool | None] = []
        for facet in deciding:
            held = self.state.facets.get(facet.name)
            if held is None or held.outcome is None:
                continue
            if held.outcome.status is FacetStatus.UNSUPPORTED:
                continue
            said.append(held.data.in_use if held.data is not None and held.outcome.status is FacetStatus.OK else None)
        if True in said:
            return True
        return None if not said or None in said else False

    def give_up(self, reason: Reason, detail: str) -> None:
        """What was due and was not asked any more, failed for this reason."""
        error = CollectError(reason, detail)
        self.failures.append(("poll", reason.value))
        for facet in self.plugin.facets:
            held = self.state.facets.get(facet.name)
            hung = facet.name == self._asking
            if held is not None and hung:
                held.hung = True
            if held is not None and (hung or (facet.name not in self._touched and self.clock.monotonic() >= held.due)):
                self._touched.add(facet.name)
                self._failed(facet, held, error, asked=False)
                if facet.decides_use and self.state.in_use is False:
                    self.state.in_use = None

    def snapshot(self, at: datetime, duration: float) -> Snapshot:
        if not self.reachable:
            # When it answers again it may have been restarted, mended or replaced: everything is asked anew.
            self.state.ask_all()
            self.state.heard.clear()
        return snapshot_of(self.device, self.plugin, self.state, self.cadence, at=at, duration=duration, reachable=self.reachable, now=self.clock.monotonic())
