"""One device, one pass: the facets that are due, one after the other, on one visit; every error becomes an outcome."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import datetime

from agent.diagnosis.masking import mask_of, masked
from agent.errors import CollectError, NotSupported, Reason, Unreachable
from agent.logs import logger
from agent.model import Component, Device, FacetOutcome, FacetStatus, Identity, Reading, Snapshot
from agent.ports import Clock, Collector, CollectorPlugin, Facet, FacetData, PollReport, Session
from agent.redact import Mask

UNSUPPORTED_AGAIN = 86_400.0
"""A facet that the device lacks is asked for again once a day: a firmware update may bring it."""

LACKING_SURE = 10
"""So many times in a row a device may deny what it had before we believe it for a day."""

POLL_TIMEOUT = 90.0
"""One whole pass. Ten facets at the default time-out of 10 s, when each of them answers at the last moment but one."""

SHORTEST_LIMIT = 30.0
"""A pass may always take so long: a first one has certificates to look at, logins to make and every facet to ask."""

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


@dataclass(slots=True)
class FacetState:
    """What is held of one facet between polls. `due` and `not_before` on the monotonic clock: when it is its turn, and until when the device
    asked to be left alone. `data` is the last good answer, at `data_at`. `had`: it was answered in this run. `lacking`: so many
    times in a row the device said since that it has no such thing. `hung`: the last try ran into its time-out.
    """

    outcome: FacetOutcome | None = None
    due: float = 0.0
    not_before: float = 0.0
    data: FacetData | None = None
    data_at: float = 0.0
    had: bool = False
    lacking: int = 0
    hung: bool = False


@dataclass(slots=True)
class PollState:
    """What the poller holds of one device. `mask`: our secrets at this device, which it may send back to us."""

    facets: dict[str, FacetState] = field(default_factory=dict)
    in_use: bool | None = None
    mask: Mask | None = None

    def ask_all(self) -> None:
        """In the next poll it is every facet's turn, but for those that the device asked us to wait with."""
        for held in self.facets.values():
            held.due = held.not_before

    def forgive(self) -> None:
        """A person mended something: every facet's turn is now, also of those that were to wait."""
        for held in self.facets.values():
            held.due = held.not_before = 0.0

    def ask_again(self) -> None:
        """In the next poll all is read anew that the device has: an answer from memory is no second sighting."""
        for held in self.facets.values():
            if held.outcome is not None and held.outcome.status is not FacetStatus.UNSUPPORTED:
                held.due = held.not_before


@dataclass(frozen=True, slots=True, kw_only=True)
class Cadence:
    """How often the device is polled, and after how many missed times a value is too old to show."""

    interval: float
    missed: int = 3

    @property
    def limit(self) -> float:
        """Seconds a poll may take: it ends before the values of the poll before count as old, so that what did answer is shown in time."""
        return min(POLL_TIMEOUT, max(SHORTEST_LIMIT, self.interval * (self.missed - 1)))


BASE_INTERVAL = 60.0
"""The polling interval for which the vendors' tables give their cadences."""


def effective_every(facet: Facet, interval: float) -> float:
    """How often the facet is asked when the device is polled every `interval` seconds.

    Never more often than that; a device that is polled faster than once a minute has all its facets asked faster in proportion.
    """
    return max(interval, facet.every * min(1.0, interval / BASE_INTERVAL))


async def poll(device: Device, plugin: CollectorPlugin, collector: Collector, state: PollState, cadence: Cadence, clock: Clock) -> tuple[Snapshot, PollReport]:
    """Ask what is due and give the snapshot. Raises nothing but cancellation."""
    started, started_at = clock.monotonic(), clock.now()
    visit = _Visit(device, plugin, state, cadence, clock)
    try:
        async with asyncio.timeout(cadence.limit), collector.open(device) as session:
            await visit.run(session)
    except TimeoutError:
        visit.give_up(Reason.TIMEOUT, f"the whole poll took more than {cadence.limit:.0f} s")
    except CollectError as error:
        visit.give_up(error.reason, error.detail)
    except Exception as error:  # noqa: BLE001 - one device's trouble must not end the agent; it is logged with its traceback
        logger("poller").exception("bug_in_collector", device=device.id, vendor=device.vendor)
        visit.give_up(Reason.BUG, f"{type(error).__name__} in the collector; the log has the traceback")
    duration = clock.monotonic() - started
    snapshot = visit.snapshot(started_at, duration)
    report = PollReport(device=device.id, vendor=device.vendor, duration=duration, requests=visit.asked, failures=tuple(visit.failures))
    return snapshot, report


class _Visit:
    """The working state of one pass."""

    def __init__(self, device: Device, plugin: CollectorPlugin, state: PollState, cadence: Cadence, clock: Clock) -> None:
        self.device = device
        self.plugin = plugin
        self.state = state
        self.mask = state.mask = state.mask or mask_of(device)
        self.cadence = cadence
        self.clock = clock
        self.reachable = False
        self.asked: dict[str, int] = {}
        self.failures: list[tuple[str, str]] = []
        self._dead: dict[str, CollectError] = {}
        self._mute: dict[str, CollectError] = {}
        self._alive: set[str] = set()
        self._touched: set[str] = set()
        self._tried = False
        self._kept_out: set[str] = set()
        self._asking = ""

    async def run(self, session: Session) -> None:
        deciding = [f for f in self.plugin.facets if f.decides_use and session.offers(f)]
        if not deciding:
            self.state.in_use = False
        for facet in self._in_order():
            if not session.offers(facet):
                self.state.facets.pop(facet.name, None)
                continue
            if facet.fallback_for and self._answered(facet.fallback_for):
                self.state.facets.pop(facet.name, None)
                continue
            held = self.state.facets.setdefault(facet.name, FacetState())
            if self.clock.monotonic() < held.due:
                self._touched.add(facet.name)
                continue
            if not facet.light and self.state.in_use is not False:
                continue
            await self._ask(facet, held, session)
            if facet.decides_use:
                self.state.in_use = self._use(deciding)
        if not self.asked:
            await self._sign_of_life(session)
        if not self.reachable and (self._kept_out or not self._tried):
            await self._knock(session)

    def _in_order(self) -> list[Facet]:
        """As in the vendor's table, but what ran into its time-out in the last poll comes last, so that it costs nothing but itself. What others
        wait for (the use, what they replace) keeps its place.
        """
        leading = {f.fallback_for for f in self.plugin.facets} | {f.name for f in self.plugin.facets if f.decides_use or f.fallback_for}
        return sorted(self.plugin.facets, key=lambda f: f.name not in leading and (held := self.state.facets.get(f.name)) is not None and held.hung)

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
        self._touched.add(facet.name)
        dead = self._dead.get(facet.source)
        if dead is None and facet.account and facet.source not in self._alive:
            dead = self._mute.get(facet.source)  # no login where nothing has answered yet
        if dead is not None:
            self._failed(facet, held, dead, asked=False)
            return
        self.asked[facet.source] = self.asked.get(facet.source, 0) + 1
        self._asking = facet.name
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
            held.data, held.data_at, held.had, held.lacking, held.hung = data, self.clock.monotonic(), True, 0, False
            held.due = self.clock.monotonic() + self._every(facet) - self.cadence.interval / 2
            held.outcome = self._outcome(facet, FacetStatus.OK)
        self._asking = ""

    def _every(self, facet: Facet) -> float:
        return effective_every(facet, self.cadence.interval)

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
        identity = Identity()
        readings: list[Reading] = []
        components: dict[str, Component] = {}
        facts: dict[str, str] = {}
        facets: dict[str, FacetOutcome] = {}
        for facet in self.plugin.facets:
            held = self.state.facets.get(facet.name)
            if held is None or held.outcome is None:
                continue
            outcome = held.outcome
            if outcome.status is FacetStatus.OK and not self.reachable:
                outcome = replace(outcome, status=FacetStatus.STALE, detail="the device does not answer")
                held.data = None
            elif outcome.status is FacetStatus.OK and self.clock.monotonic() - held.data_at > self._every(facet) * self.cadence.missed:
                outcome = FacetOutcome(
                    status=FacetStatus.STALE,
                    source=facet.source,
                    at=outcome.at,
                    reason="",
                    detail="not asked since: the device is in use, or its use is unknown",
                )
                held.data = None
            facets[facet.name] = outcome
            if held.data is None or not self.reachable:
                continue
            identity = identity.filled_from(held.data.identity)
            readings.extend(held.data.readings)
            for part in held.data.components:
                components.setdefault(part.key, part)
            facts |= held.data.facts
        return Snapshot(
            device=self.device.id,
            at=at,
            duration=duration,
            reachable=self.reachable,
            identity=identity,
            readings=tuple(_first_of_each(readings)),
            components=tuple(components.values()),
            facets=facets,
            facts=facts,
            in_use=self.state.in_use if self.reachable else None,
        )


def _first_of_each(readings: list[Reading]) -> list[Reading]:
    """Of two facets that measure the same thing, the one that stands first in the vendor's table counts."""
    seen: dict[tuple[str, tuple[str, ...]], Reading] = {}
    for reading in readings:
        seen.setdefault((reading.metric, reading.labels), reading)
    return list(seen.values())
