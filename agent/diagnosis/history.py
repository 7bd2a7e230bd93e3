"""What to remember of a poll. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from agent.model import Component, Fault, Healthy, History, Judgement, Snapshot

MAX_COMPONENTS = 256
MAX_HEALTHY = 1024
"""Bounds against a device that invents parts at every poll: what is beyond them is not learnt."""
MAX_REBOOTS = 32
MAX_REPLACED = 32


def remember(history: History, snapshot: Snapshot, judgements: Iterable[Judgement]) -> History:
    """The history after this poll. What did not change is the same object as before."""
    judgements = tuple(judgements)
    faults = [j for j in judgements if isinstance(j, Fault)]
    fine = judgements if not faults else [j for j in judgements if isinstance(j, Healthy)]
    identity = snapshot.identity.filled_from(history.identity)
    replaced = _replaced(history, snapshot)
    parts = _learn(history, snapshot)
    if replaced:
        parts = {key: part for key, part in parts.items() if key not in replaced}
    healthy = history.healthy
    seen = {health_key(j.code, j.component) for j in fine}
    if not seen <= healthy and len(healthy | seen) <= MAX_HEALTHY:
        healthy = healthy | seen
    rebooted = any(j.code == "device.rebooted" for j in faults)
    return History(
        first_success=history.first_success or (snapshot.at if snapshot.reachable else None),
        last_success=snapshot.at if snapshot.reachable else history.last_success,
        identity=identity,
        identity_at=snapshot.at if snapshot.identity.serial or snapshot.identity.model else history.identity_at,
        components=parts,
        replaced=dict(list({**history.replaced, **replaced}.items())[-MAX_REPLACED:]) if replaced else history.replaced,
        facts=history.facts if snapshot.facts.items() <= history.facts.items() else {**history.facts, **snapshot.facts},
        healthy=healthy,
        reboots=(*history.reboots, snapshot.at)[-MAX_REBOOTS:] if rebooted else history.reboots,
        reboot_count=history.reboot_count + int(rebooted),
    )


def _learn(history: History, snapshot: Snapshot) -> Mapping[str, Component]:
    news = {part.key: part for part in snapshot.components if part.state == "ok" and history.components.get(part.key) != part}
    if not news:
        return history.components
    parts = dict(history.components)
    for key, part in news.items():
        if key in parts or len(parts) < MAX_COMPONENTS:
            parts[key] = part
    return parts


def _replaced(history: History, snapshot: Snapshot) -> dict[str, str]:
    """Parts that were exchanged: one went, and exactly one new one of its kind and model is there. The new one has another key (its serial)."""
    fresh = [part for part in snapshot.components if part.removable and part.state == "ok" and part.key not in history.components]
    if not fresh:
        return {}
    there = {part.key for part in snapshot.components}
    gone = [part for part in history.components.values() if part.removable and part.key not in there]
    found = {}
    for new in fresh:
        alike = [old for old in gone if (old.kind, old.model) == (new.kind, new.model)]
        rivals = [other for other in fresh if (other.kind, other.model) == (new.kind, new.model)]
        if len(alike) == 1 and len(rivals) == 1:
            found[alike[0].key] = new.key
    return found


def health_key(code: str, component: str) -> str:
    """The name under which a healthy judgement is remembered within its device."""
    return f"{code}/{component}" if component else code


def durable(history: History) -> tuple[object, ...]:
    """What of a history is worth a write to the disk at once: the times of success alone are not."""
    return (history.first_success is None, history.identity, history.components, history.facts, history.healthy, history.reboots, history.replaced)
