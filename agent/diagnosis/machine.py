"""The life of incidents, as a pure function: (open incidents, judgements, now) → what changed, each with its reason.

    Fault ──► suspected ──hold──► confirmed ──case──► cased
                 │ gone               │ gone, not cased    │ gone for `clear`
                 ▼                    ▼                    ▼
              closed               closed              recovered ──reopen window──► closed
                                                           │ back
                                                           ▼
                                                         cased (its tickets are opened again)

A key that no judgement names stays as it is: silence is neither sickness nor health.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from agent.model import Fault, FaultSpec, Incident, IncidentState, Judgement
from agent.model.incident import fault_key

REOPEN_WINDOW = timedelta(days=7)
"""A fault that comes back within this time after its recovery opens its own ticket again, not a new one."""


LONGEST_GAP = timedelta(minutes=30)
"""Two sightings further apart than this are not one lasting fault. Facets that are asked once an hour repeat their answer at each poll."""


class Turn(StrEnum):
    """What happened to an incident in this evaluation."""

    SUSPECTED = "suspected"
    CONFIRMED = "confirmed"
    DROPPED = "dropped"
    RECOVERED = "recovered"
    RETURNED = "returned"
    CLOSED = "closed"
    SEEN = "seen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An incident after the evaluation. SEEN: only its counts and proof moved."""

    incident: Incident
    turn: Turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A judgement and the device it belongs to (a part may be a device of its own)."""

    device: str
    judgement: Judgement

    @property
    def key(self) -> str:
        return fault_key(self.device, self.judgement.code, self.judgement.component)


def advance(
    incidents: Mapping[str, Incident],
    judged: Iterable[Judged],
    *,
    spec_of: Callable[[str], FaultSpec],
    was_healthy: Callable[[Judgement], bool],
    now: datetime,
    new_id: Callable[[], str],
) -> list[Change]:
    """Move the open `incidents` (by key) by one poll's judgements. `was_healthy`: what this one is about was judged healthy in some earlier poll.

    Of two judgements of one key in one poll, a fault outweighs health, and the graver fault the lesser.
    """
    verdicts: dict[str, Judged] = {}
    for item in judged:
        key = item.key
        known = verdicts.get(key)
        if known is None or _weight(item.judgement) > _weight(known.judgement):
            verdicts[key] = item
    changes = []
    for key, item in verdicts.items():
        spec = spec_of(item.judgement.code)
        overridden = spec.severity_override
        incident = incidents.get(key)
        if isinstance(item.judgement, Fault):
            fault = item.judgement if overridden is None else replace(item.judgement, severity=overridden)
            if incident is None:
                changes.append(_first(key, item.device, fault, spec, first_sight=not was_healthy(fault), now=now, new_id=new_id))
            else:
                changes.append(_again(incident, fault, spec, now))
        elif incident is not None:
            changes.append(_gone(incident, spec, now))
    return changes


def expire(incidents: Iterable[Incident], now: datetime) -> list[Change]:
    """Close what recovered longer ago than the reopen window."""
    return [
        Change(incident=replace(i, state=IncidentState.CLOSED, reason="recovered, and did not come back within 7 days"), turn=Turn.CLOSED)
        for i in incidents
        if i.state is IncidentState.RECOVERED and i.recovered_at is not None and now - i.recovered_at >= REOPEN_WINDOW
    ]


def _weight(judgement: Judgement) -> int:
    return 1 + ("info", "warning", "critical").index(judgement.severity) if isinstance(judgement, Fault) else 0


def _first(key: str, device: str, fault: Fault, spec: FaultSpec, *, first_sight: bool, now: datetime, new_id: Callable[[], str]) -> Change:
    incident = Incident(
        id=new_id(),
        key=key,
        device=device,
        fault=fault,
        state=IncidentState.SUSPECTED,
        first_seen=now,
        last_seen=now,
        first_sight=first_sight,
        reason=f"first seen; it counts after {spec.hold:.0f} s and {spec.hits} polls",
    )
    return _confirm(incident, spec, now) or Change(incident=incident, turn=Turn.SUSPECTED)


def _confirm(incident: Incident, spec: FaultSpec, now: datetime) -> Change | None:
    if incident.hits < spec.hits or (now - incident.first_seen).total_seconds() < spec.hold:
        return None
    lasting = (now - incident.first_seen).total_seconds()
    reason = f"seen in {incident.hits} polls over {lasting:.0f} s"
    if incident.first_sight:
        reason += "; it was there when we first looked"
    confirmed = replace(incident, state=IncidentState.CONFIRMED, confirmed_at=now, reason=reason)
    return Change(incident=confirmed, turn=Turn.CONFIRMED)


def _again(incident: Incident, fault: Fault, spec: FaultSpec, now: datetime) -> Change:
    seen = replace(incident, fault=fault, last_seen=now, hits=incident.hits + 1, misses=0, gone_since=None)
    if incident.state is IncidentState.SUSPECTED:
        if not _lasted(incident, now):
            seen = replace(seen, first_seen=now, hits=1)
        return _confirm(seen, spec, now) or Change(incident=seen, turn=Turn.SEEN)
    if incident.state is IncidentState.RECOVERED:
        # One bad poll after a recovery opens no ticket again: it has to hold as a new fault has.
        before = incident.returned_since if _lasted(incident, now) else None
        since, hits = (before, incident.hits + 1) if before else (now, 1)
        seen = replace(seen, hits=hits, returned_since=since)
        if hits < spec.hits or (now - since).total_seconds() < spec.hold:
            return Change(incident=seen, turn=Turn.SEEN)
        back = replace(seen, state=IncidentState.CASED, recovered_at=None, returned_since=None, reason=f"came back: seen in {hits} polls since it recovered")
        return Change(incident=back, turn=Turn.RETURNED)
    return Change(incident=seen, turn=Turn.SEEN)


def _lasted(incident: Incident, now: datetime) -> bool:
    """Whether it can have lasted since it was last seen. Where nobody looked in between (we were off, or that part was not answered) and where
    the clock was set, what lasted is not known, so it begins anew.
    """
    return timedelta(0) <= now - incident.last_seen <= LONGEST_GAP


def _gone(incident: Incident, spec: FaultSpec, now: datetime) -> Change:
    if incident.state is IncidentState.SUSPECTED:
        return Change(incident=replace(incident, state=IncidentState.CLOSED, reason="gone before it counted"), turn=Turn.DROPPED)
    gone_since, misses = incident.gone_since, incident.misses + 1
    if gone_since is None or gone_since > now:  # later than now: the clock was set back since, and it begins anew
        gone_since, misses = now, 1
    gone = replace(incident, misses=misses, gone_since=gone_since, returned_since=None)
    if incident.state is IncidentState.RECOVERED:
        return Change(incident=gone, turn=Turn.SEEN)
    if gone.misses < spec.misses or (now - gone_since).total_seconds() < spec.clear:
        return Change(incident=gone, turn=Turn.SEEN)
    reason = f"gone in {gone.misses} polls over {(now - gone_since).total_seconds():.0f} s"
    state = IncidentState.RECOVERED if incident.state is IncidentState.CASED else IncidentState.CLOSED
    return Change(incident=replace(gone, state=state, recovered_at=gone_since, reason=reason), turn=Turn.RECOVERED)
