"""What is held of a device between polls, and the snapshot that it makes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import datetime

from agent.model import Component, Device, FacetOutcome, FacetStatus, Reading, Snapshot
from agent.model.reading import UNNAMED
from agent.polling.heard import Heard, laid_over
from agent.ports import CollectorPlugin, Facet, FacetData
from agent.redact import Mask

POLL_TIMEOUT = 90.0
"""One whole pass. Ten facets at the default time-out of 10 s, when each of them answers at the last moment but one."""

SLOW = 4.0
"""Seconds. A device that takes so long for an answer is asked half as often for what is not asked at each poll, until it is quick again. What it
said then is not yet too old when it is asked the next time.
"""
STRETCHED = 2.0

SHORTEST_LIMIT = 30.0
"""A pass may always take so long: a first one has certificates to look at, logins to make and every facet to ask."""


@dataclass(slots=True)
class FacetState:
    """What is held of one facet between polls. `due` and `not_before` on the monotonic clock: when it is its turn, and until when the device
    asked to be left alone. `data` is the last good answer, at `data_at`, to a question of `asked_at`. `had`: it was answered in this run. `lacking`: so many
    times in a row the device said since that it has no such thing. `hung`: the last try ran into its time-out.
    """

    outcome: FacetOutcome | None = None
    due: float = 0.0
    not_before: float = 0.0
    data: FacetData | None = None
    data_at: float = 0.0
    asked_at: float = 0.0
    had: bool = False
    lacking: int = 0
    hung: bool = False


@dataclass(slots=True)
class PollState:
    """What the poller holds of one device. `mask`: our secrets at this device, which it may send back to us. `heard`: what it said by itself.
    `slow`: in the last poll an answer took longer than SLOW.
    """

    facets: dict[str, FacetState] = field(default_factory=dict)
    heard: Heard = field(default_factory=Heard)
    in_use: bool | None = None
    slow: bool = False
    mask: Mask | None = None

    def ask_all(self) -> None:
        """In the next poll it is every facet's turn, but for those that the device asked us to wait with."""
        for held in self.facets.values():
            held.due = held.not_before

    def forgive(self) -> None:
        """A person mended something: every facet's turn is now, also of those that were to wait."""
        for held in self.facets.values():
            held.due = held.not_before = 0.0

    def ask_these(self, facets: Collection[str]) -> None:
        """In the next poll these are read anew."""
        for name in facets:
            held = self.facets.get(name)
            if held is not None and held.outcome is not None and held.outcome.status is not FacetStatus.UNSUPPORTED:
                held.due = held.not_before

    def answered_at(self, facet: str) -> float | None:
        """When this facet was asked for what still holds (monotonic); None where nothing does."""
        held = self.facets.get(facet)
        return held.asked_at if held is not None and held.data is not None else None

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


def snapshot_of(
    device: Device, plugin: CollectorPlugin, state: PollState, cadence: Cadence, *, at: datetime, duration: float, reachable: bool, now: float
) -> Snapshot:
    """What is known at `at`, `now` on the monotonic clock. What is too old is let go of; of an unreachable device all is."""
    identity = UNNAMED
    readings: dict[tuple[str, tuple[str, ...]], Reading] = {}
    components: dict[str, Component] = {}
    facts: dict[str, str] = {}
    facets: dict[str, FacetOutcome] = {}
    for facet in plugin.facets:
        held = state.facets.get(facet.name)
        if held is None or held.outcome is None:
            continue
        outcome = held.outcome
        if outcome.status is FacetStatus.OK:
            if not reachable:
                outcome = replace(outcome, status=FacetStatus.STALE, detail="the device does not answer")
                held.data = None
            elif now - held.data_at > effective_every(facet, cadence.interval) * cadence.missed:
                outcome = FacetOutcome(
                    status=FacetStatus.STALE, source=facet.source, at=outcome.at, detail="not asked since: the device is in use, or its use is unknown"
                )
                held.data = None
        facets[facet.name] = outcome
        data = held.data
        if data is None or not reachable:
            continue
        identity = identity.filled_from(data.identity)
        for reading in data.readings:  # of two facets that measure the same thing, the one that stands first in the vendor's table counts
            readings.setdefault((reading.metric, reading.labels), reading)
        for part in data.components:
            components.setdefault(part.key, part)
        facts |= data.facts
    if reachable and state.heard.said:
        heard = state.heard.holding(state.answered_at)
        if heard:
            measured, components, facts = laid_over(readings.values(), components, facts, heard)
            readings = {(r.metric, r.labels): r for r in measured}
    return Snapshot(
        device=device.id,
        at=at,
        duration=duration,
        reachable=reachable,
        identity=identity,
        readings=tuple(readings.values()),
        components=tuple(components.values()),
        facets=facets,
        facts=facts,
        in_use=state.in_use if reachable else None,
    )
