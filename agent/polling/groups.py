"""Which incident is part of which: judged in the transaction that writes it, by `agent.diagnosis.correlation`, from what the database holds; and as it
is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import Connection

from agent.diagnosis.correlation import Group, concerned, place
from agent.diagnosis.evaluate import due
from agent.diagnosis.machine import REOPEN_WINDOW, Change, Turn
from agent.model import Incident, Snapshot
from agent.polling.rules import Rules
from agent.polling.status import held_back
from agent.store import queries

A_FEW = 3
"""So many members are counted: more make no difference."""


def placed(c: Connection, rules: Rules, incident: Incident, now: datetime) -> Incident:
    """The incident as part of another one of its cause, or standing for itself."""
    if not concerned(incident):
        return incident
    if not incident.active:
        return replace(incident, parent="")
    cause = incident.fault.shared
    others = [_group(c, root) for root in queries.roots(c, cause) if root.id != incident.id] if cause else []
    parent = place(
        _group(c, incident),
        [g for g in others if g.alive or (g.root.recovered_at is not None and now - g.root.recovered_at < REOPEN_WINDOW)],
        rules.specs[incident.fault.code],
        eligible=lambda i: due(i, rules.specs[i.fault.code], first_sight=rules.first_sight),
    )
    if parent == incident.parent:
        return incident
    if not parent:
        return replace(incident, parent="", reason=f"no longer part of incident {incident.parent}")
    root = next(g.root for g in others if g.root.id == parent)
    return replace(incident, parent=parent, reason=f"part of incident {parent} of {root.device}: {cause} is the cause of both")


def _group(c: Connection, root: Incident) -> Group:
    case = queries.load_case(c, root.case) if root.case else None
    newest = queries.newest_member(c, root.id)
    return Group(
        root=root,
        members=len(queries.members(c, root.id, A_FEW)),
        latest=root.first_seen if newest is None else max(root.first_seen, newest),
        case_open=case is not None and case.state == "open",
        told=case is not None and bool(case.others),
    )


@dataclass(slots=True)
class Shared:
    """What the devices share now, for those who look. It follows what was written, and nothing is decided by it.

    `members`: what is part of an incident: the devices by their incidents' ids, by its id. `held_back`: the devices that wait because of a cause.
    """

    members: dict[str, dict[str, str]] = field(default_factory=dict)
    held_back: dict[str, set[str]] = field(default_factory=dict)
    _homes: dict[str, str] = field(default_factory=dict)

    def note(self, home: str, before: Mapping[str, Incident], after: Mapping[str, Incident]) -> set[str]:
        """The incidents (by key) of the polled device `home` were these and are those now; the devices whose incident gained or lost a part by that."""
        if not before and not after:
            return set()
        was = {i.id: i.parent for i in before.values() if i.parent and i.active}
        now = {i.id: i.parent for i in after.values() if i.parent and i.active}
        for incident, root in was.items() - now.items():
            self.members[root].pop(incident)
            if not self.members[root]:
                del self.members[root]
        devices = {i.id: i.device for i in after.values()}
        for incident, root in now.items() - was.items():
            self.members.setdefault(root, {})[incident] = devices[incident]
        for closed in {i.id for i in before.values()} - devices.keys():
            self._homes.pop(closed, None)
        self._homes |= {i.id: home for i in after.values() if i.fault.shared}
        return {self._homes[root] for _, root in was.items() ^ now.items() if root in self._homes} - {home}

    def note_held_back(self, snapshot: Snapshot) -> None:
        """What this device waits for now."""
        for devices in self.held_back.values():
            devices.discard(snapshot.device)
        for cause in held_back(snapshot):
            self.held_back.setdefault(cause, set()).add(snapshot.device)


def touched(changes: Iterable[Change], before: Mapping[str, Incident], after: Mapping[str, Incident]) -> list[str]:
    """Ids of the incidents whose cases may have to follow: those that ended or came back, and those that these are or were part of."""
    found = {word for ch in changes if ch.turn in (Turn.RECOVERED, Turn.RETURNED, Turn.CLOSED) for word in (ch.incident.id, ch.incident.parent)}
    for key, incident in after.items():
        was = before[key].parent if key in before else ""
        if incident.parent != was:
            found |= {incident.id, incident.parent, was}
    return sorted(found - {""})
