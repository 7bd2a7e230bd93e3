"""One cause that several devices share is one incident: a pure judgement of which incident is part of which.

A rule names the cause in `Fault.shared`. Of the open incidents of one cause one is the root: it stands for all, and the case is its case. The others
are its members: confirmed and shown, each on its own device, but without a case.

A device decides for its own incident alone, at each of its polls, from what the database holds then. So nothing has to be undone after a
kill, and what was confirmed before the group was recognised is folded one poll later. The root's case is open for as long as anything of the group
is: also when the root's own device recovered first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from agent.model import FaultSpec, Incident

GATHER_POLLS = 2
"""Polling intervals between the confirmation of a fault with a shared cause and its case: every other device has had its turn by then, so that
the first message names them all, and no device gets a case of its own before the group is known.
"""

TELL_EVERY = timedelta(minutes=15)
"""A case's desks are told at most this often which devices came to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A confirmed incident and what is part of it.

    `members`: how many active incidents are part of it now (beyond a few the number does not matter). `latest`: when the newest of all that
    ever were was first seen. `case_open`: its case is. `told`: its case has named other devices, so that a return of the cause at any device is
    a return of this case.
    """

    root: Incident
    members: int = 0
    latest: datetime
    case_open: bool = False
    told: bool = False

    @property
    def alive(self) -> bool:
        return self.root.active or self.members > 0


def concerned(incident: Incident) -> bool:
    """Whether the incident has, or may get, anything to do with those of other devices."""
    return bool(incident.parent) or (bool(incident.fault.shared) and incident.active)


def place(own: Group, others: Iterable[Group], spec: FaultSpec, *, eligible: Callable[[Incident], bool]) -> str:
    """The id of the incident that `own.root` is part of; '' when it stands for itself.

    `others`: those of its cause that stand for themselves. `eligible`: whether a confirmed incident would get a case if it stood alone.
    What has an open case of its own keeps it.
    """
    incident = own.root
    if own.case_open or not incident.active or not incident.fault.shared:
        return ""
    found = [g for g in others if g.alive or (g.told and (g.root.adopted or eligible(incident)))]
    parent = next((g for g in found if g.root.id == incident.parent), None)
    if parent is not None and _standing(parent, eligible) <= _standing(own, eligible):
        return incident.parent
    near = [g for g in found if _near(own, g, spec.share_within)]
    best = min([own, *near], key=lambda g: (_standing(g, eligible), g.root.confirmed_at or g.root.first_seen, g.root.key))
    if best is own:
        return ""
    grouped = best.members > 0 or not best.root.active
    together = sum(int(g.root.active) + g.members for g in (own, *near))
    return best.root.id if grouped or together >= spec.share_least else ""


def _standing(group: Group, eligible: Callable[[Incident], bool]) -> int:
    """Which is to be the root: the one with a case, then the one whose case comes back, then one that is to get a case, then what is only listed."""
    if group.case_open:
        return 0
    if group.told:
        return 1
    return 2 if group.root.case or eligible(group.root) else 3


def _near(one: Group, other: Group, within: float | None) -> bool:
    if within is None:
        return True
    gap = max(one.root.first_seen, other.root.first_seen) - min(one.latest, other.latest)
    return gap.total_seconds() <= within


def tell_in(told: datetime | None, now: datetime, interval: float) -> float:
    """Seconds until desks may be told of devices that came to a cause just now: those that come with them are to have had their turn.

    `told`: when the desks were last told of such.
    """
    gathering = GATHER_POLLS * interval
    since = (now - told).total_seconds() if told is not None else TELL_EVERY.total_seconds()
    return max(gathering, min(TELL_EVERY.total_seconds(), TELL_EVERY.total_seconds() - since))


def gathered(incident: Incident, now: datetime, interval: float) -> bool:
    """Whether a case may be opened now: the other devices that may share the cause have been asked too. What a person adopted does not wait."""
    if not incident.fault.shared or incident.adopted or incident.confirmed_at is None:
        return True
    # A clock that was set back must not hold it for a day.
    return not timedelta() <= now - incident.confirmed_at < timedelta(seconds=GATHER_POLLS * interval)


def lives(root: Incident, members: int) -> bool:
    """Whether the case of this incident is to be open."""
    return not root.parent and (root.active or members > 0)


def named(devices: Iterable[str], count: int, first: int = 3) -> str:
    """'37 devices: a, b, c and 34 more'."""
    names = list(devices)[:first]
    more = count - len(names)
    return f"{count} devices: {', '.join(names)}" + (f" and {more} more" if more > 0 else "")
