"""From one poll to what changed: rules, attribution of parts to devices of their own, incidents. Pure."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agent.diagnosis.history import health_key, remember
from agent.diagnosis.machine import Change, Judged, Turn, advance, expire
from agent.diagnosis.rules import COMMON_RULES
from agent.model import Component, Device, Fault, FaultSpec, Healthy, History, Incident, IncidentState, Judgement, Severity, Snapshot
from agent.model.incident import fault_key

Rule = Callable[[Snapshot, History, Device], Iterable[Judgement]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """`incidents` by key after this poll, closed ones left out; `changes` only what is more than a count."""

    history: History
    incidents: Mapping[str, Incident]
    changes: tuple[Change, ...]
    judgements: tuple[Judgement, ...]


def evaluate(
    snapshot: Snapshot,
    history: History,
    incidents: Mapping[str, Incident],
    *,
    device: Device,
    children: Sequence[Device],
    rules: Sequence[Rule],
    spec_of: Callable[[str], FaultSpec],
    new_id: Callable[[], str],
    held: Container[str] = (),
) -> Evaluation:
    """Judge a snapshot. A rule that raises is a bug and is let through: the caller logs it and keeps the old state.

    `held`: ids of incidents that others are part of, which are therefore not closed however long ago they recovered.
    """
    judgements: list[Judgement] = []
    for rule in (*COMMON_RULES, *rules):
        judgements += rule(snapshot, history, device)
    after = remember(history, snapshot, judgements)
    # Health where no incident is open changes nothing: of a device that is fine there is nothing to attribute.
    telling = judgements if incidents else [j for j in judgements if isinstance(j, Fault)]
    if not telling and not incidents:
        return Evaluation(history=after, incidents={}, changes=(), judgements=tuple(judgements))
    known = {**history.components, **{c.key: c for c in snapshot.components}} if children else {}
    judged = [Judged(device=holder(j, device, children, incidents) or owner(j, device, children, known), judgement=j) for j in telling]
    # The part that a fault is about was exchanged for one that works: that fault is over, whatever the rules still say of the old one.
    exchanged = [i for i in incidents.values() if _exchanged(i, history, snapshot)]
    if exchanged:
        over = {i.key for i in exchanged}
        judged = [item for item in judged if item.key not in over]
        judged += [Judged(device=i.device, judgement=Healthy(code=i.fault.code, component=i.fault.component)) for i in exchanged]
    changes = advance(
        incidents,
        judged,
        spec_of=spec_of,
        was_healthy=lambda judgement: health_key(judgement.code, judgement.component) in history.healthy,
        now=snapshot.at,
        new_id=new_id,
    )
    if snapshot.reachable:
        named = {item.key for item in judged}
        changes += [
            Change(incident=replace(i, state=IncidentState.CLOSED, reason="told by the device, and not seen by a poll"), turn=Turn.DROPPED)
            for i in incidents.values()
            if i.hits == 0 and i.state is IncidentState.SUSPECTED and i.key not in named
        ]
    moved = {**incidents, **{c.incident.key: c.incident for c in changes}}
    expired = expire((i for i in moved.values() if i.id not in held), snapshot.at)
    moved |= {c.incident.key: c.incident for c in expired}
    return Evaluation(
        history=after,
        incidents={k: i for k, i in moved.items() if i.state is not IncidentState.CLOSED},
        changes=tuple(c for c in (*changes, *expired) if c.turn is not Turn.SEEN),
        judgements=tuple(judgements),
    )


def announced(
    snapshot: Snapshot,
    history: History,
    incidents: Mapping[str, Incident],
    *,
    device: Device,
    children: Sequence[Device],
    rules: Sequence[Rule],
    spec_of: Callable[[str], FaultSpec],
    new_id: Callable[[], str],
) -> dict[str, Incident]:
    """New incidents, by key, of faults that the device itself has just told of. They are suspected, and count from the first poll that sees them too."""
    faults = [j for rule in rules for j in rule(snapshot, history, device) if isinstance(j, Fault)]
    known = {**history.components, **{c.key: c for c in snapshot.components}} if children else {}
    judged = [Judged(device=owner(fault, device, children, known), judgement=fault) for fault in faults if not holder(fault, device, children, incidents)]
    changes = advance(
        {},
        [item for item in judged if item.key not in incidents],
        spec_of=spec_of,
        was_healthy=lambda judgement: health_key(judgement.code, judgement.component) in history.healthy,
        now=snapshot.at,
        new_id=new_id,
    )
    told = "told by the device; it counts from the first poll that sees it too"
    return {c.incident.key: replace(c.incident, state=IncidentState.SUSPECTED, hits=0, confirmed_at=None, reason=told) for c in changes}


def _exchanged(incident: Incident, history: History, snapshot: Snapshot) -> bool:
    new = history.replaced.get(incident.fault.component)
    part = snapshot.component(new) if new is not None else None
    return part is not None and part.state == "ok"


def holder(judgement: Judgement, device: Device, children: Sequence[Device], incidents: Mapping[str, Incident]) -> str:
    """The device that has this very fault open already: it keeps it, whatever the inventory or the part's identity says now. '' if none has."""
    if not incidents:
        return ""
    candidates = (device.id, *(child.id for child in children))
    return next((d for d in candidates if fault_key(d, judgement.code, judgement.component) in incidents), "")


def owner(judgement: Judgement, device: Device, children: Sequence[Device], known: Mapping[str, Component]) -> str:
    """The device a judgement belongs to: the child that is this part, else the device that was polled."""
    if not judgement.component or not children:
        return device.id
    part = (judgement.part if isinstance(judgement, Fault) else None) or known.get(judgement.component)
    if part is None:
        return device.id
    child = child_of(part, children)
    return child.id if child is not None else device.id


def child_of(part: Component, children: Sequence[Device]) -> Device | None:
    """The declared child that this part is: by serial, or by model where the inventory gives no serial."""
    for child in children:
        if child.serial:
            if part.serial and part.serial.upper() == child.serial.upper():
                return child
        elif child.model and _squeeze(child.model) in _squeeze(f"{part.model} {part.name}"):
            return child
    return None


def _squeeze(text: str) -> str:
    return "".join(ch for ch in text.lower() if ch.isalnum())


def overridden(specs: Iterable[FaultSpec], overrides: Mapping[str, Mapping[str, Any]]) -> dict[str, FaultSpec]:
    """The specs by code with a site's overrides (by pattern, keys as in FaultSpec); where several fit, the later one wins, key by key."""
    found = {}
    for spec in specs:
        for pattern, override in overrides.items():
            if fnmatch.fnmatchcase(spec.code, pattern):
                spec = replace(spec, **override)
                if "severity" in override:
                    spec = replace(spec, severity=Severity(spec.severity), severity_override=Severity(spec.severity))
        found[spec.code] = spec
    return found


def worst(incidents: Iterable[Incident]) -> str:
    """'ok', 'warning' or 'critical': the gravest active fault; info does not count against health."""
    active = {i.fault.severity for i in incidents if i.active}
    return "critical" if Severity.CRITICAL in active else "warning" if Severity.WARNING in active else "ok"


def due(incident: Incident, spec: FaultSpec, *, first_sight: str) -> bool:
    """Whether a confirmed incident becomes a case now. `first_sight`: 'list' or 'ticket'."""
    if incident.state is not IncidentState.CONFIRMED or not spec.ticket:
        return incident.state is IncidentState.CONFIRMED and incident.adopted
    return incident.adopted or not incident.first_sight or first_sight == "ticket"
