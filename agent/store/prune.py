"""Keeping the database within its limits of age and size: what is over goes, the oldest first, a few rows a transaction.

What is over is an incident that is closed, with its case, that case's steps and its tickets. Never removed: what belongs to a case that is open or may
still come back, to a step that is not yet sent, and what is kept of a device of the inventory: its refused logins above all (promise 1).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

from sqlalchemy import ColumnElement, Connection, Table, delete, func, select, text, union

from agent.model import IncidentState
from agent.store import queries
from agent.store.database import Store
from agent.store.tables import cases, fingerprints, histories, incidents, logins, memory, outbox, ticket_table

T = TypeVar("T")

LOOK = 2000
"""Closed incidents that one transaction looks at."""
BATCH = 20
"""Closed incidents that one transaction removes: some milliseconds, in which nobody else can write."""
PAGES = 64
"""Pages of the file that one transaction gives back to the disk (256 kB)."""
LEFT = "agent.left_inventory"
"""The fact kept of a device since it was first missed in the inventory: when that was."""

_CASE = func.json_extract(incidents.c.value, "$.case")
_MAY_RETURN = select(_CASE).where(text("incidents.state != 'closed'"), _CASE != "")  # in the words of the index over what is not closed
"""The cases of faults that are not closed: one that recovered may come back."""
_WHOLE = select(incidents.c.parent).where(text("incidents.state != 'closed'"), incidents.c.parent != "")
"""The incidents that one which is not closed is part of."""
_UNSENT = select(outbox.c.case_id).where(outbox.c.state.in_(queries.OPEN_STEPS))

_KEPT: tuple[Table, ...] = (histories, logins, fingerprints, memory)
"""What is kept of a device whatever becomes of its faults."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Over:
    """A closed incident. `case` is '' where it made none; `ended` is when the fault was last seen, or found gone."""

    incident: str
    case: str
    ended: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What went: how many closed incidents, which devices that had left, and bytes of the file. `over`: bytes beyond the limit that are needed."""

    incidents: int
    devices: tuple[str, ...]
    freed: int
    over: int


async def prune(store: Store, inventory: Collection[str], now: datetime, *, max_age: float, max_size: int) -> Pruned:
    """Remove what ended more than `max_age` seconds ago, then the oldest until the database fits into `max_size` bytes. Raises StoreError.

    `inventory`: the ids of today's devices. What is kept of others goes `max_age` after they were first missed.
    """
    before = await store.run(used)
    age = timedelta(seconds=max_age)
    gone = await store.run(partial(_long_gone, inventory=inventory, now=now, max_age=age))
    devices = tuple([device for device in gone if await store.run(partial(_forget, device=device))])
    found: list[Over] = []
    while page := await store.run(partial(_closed, after=found[-1].incident if found else "")):
        found += page
    # Several incidents may share a case: it is as old as the last of them.
    last = {case: max(o.ended for o in theirs) for case, theirs in _by_case(found).items()}
    found.sort(key=lambda o: (last.get(o.case, o.ended), o.case, o.incident))
    old = [o for o in found if now - last.get(o.case, o.ended) > age]
    count = 0
    for batch in _batches(old):
        count += await store.run(partial(_remove, batch=batch))
    for batch in _batches(found[len(old) :]):
        if await store.run(used) <= max_size:
            break
        count += await store.run(partial(_remove, batch=batch))
    left = await store.run(used)
    while await store.run(_give_back):
        pass
    return Pruned(incidents=count, devices=devices, freed=max(0, before - left), over=max(0, left - max_size))


def needed(c: Connection) -> set[str]:
    """The cases that something may still be done for: open, or recovered and not yet past coming back, or with a step that is not sent."""
    open_cases = select(cases.c.id).where(cases.c.state == "open")
    return set(c.execute(union(open_cases, _MAY_RETURN, _UNSENT)).scalars())


def used(c: Connection) -> int:
    """Bytes of the database that hold something."""
    pages, free, size = (int(c.exec_driver_sql(f"PRAGMA {name}").scalar_one()) for name in ("page_count", "freelist_count", "page_size"))
    return (pages - free) * size


def _batches(found: Sequence[T]) -> Iterable[Sequence[T]]:
    return (found[start : start + BATCH] for start in range(0, len(found), BATCH))


def _by_case(found: Iterable[Over]) -> dict[str, list[Over]]:
    theirs: dict[str, list[Over]] = {}
    for over in found:
        if over.case:
            theirs.setdefault(over.case, []).append(over)
    return theirs


def _closed(c: Connection, after: str) -> list[Over]:
    """The next closed incidents, in the order of their ids."""
    recovered, last = (func.json_extract(incidents.c.value, f"$.{name}") for name in ("recovered_at", "last_seen"))
    query = (
        select(incidents.c.id, _CASE, recovered, last)
        .where(incidents.c.state == IncidentState.CLOSED, incidents.c.id > after)
        .order_by(incidents.c.id)
        .limit(LOOK)
    )
    return [
        Over(incident=incident, case=case or "", ended=max(datetime.fromisoformat(at) for at in (recovered, last) if at))
        for incident, case, recovered, last in c.execute(query)
    ]


def _remove(c: Connection, batch: Sequence[Over]) -> int:
    """Remove these with all that hangs on them, but for those whose case is needed after all. Returns how many went."""
    theirs = list(_by_case(batch))
    stay = set(c.execute(select(cases.c.id).where(cases.c.id.in_(theirs), cases.c.state == "open")).scalars())
    stay |= set(c.execute(union(_MAY_RETURN, _UNSENT.where(_steps(c, theirs)))).scalars())
    held = set(c.execute(_WHOLE).scalars())
    stay |= {o.case for o in batch if o.case and o.incident in held}
    going = [o for o in batch if o.case not in stay and o.incident not in held]
    _remove_cases(c, list(_by_case(going)))
    c.execute(delete(incidents).where(incidents.c.id.in_([o.incident for o in going])))
    return len(going)


def _remove_cases(c: Connection, going: Collection[str]) -> None:
    # First of all the numbers are noted: no number is ever given twice.
    queries.note_case_numbers(c, going)
    c.execute(delete(outbox).where(_steps(c, going)))
    c.execute(delete(ticket_table).where(ticket_table.c.case_id.in_(going)))
    c.execute(delete(cases).where(cases.c.id.in_(going)))


def _steps(c: Connection, of: Collection[str]) -> ColumnElement[bool]:
    """Where a step belongs to one of these cases, by the index, which begins with the desk."""
    desks = c.execute(select(outbox.c.desk).distinct()).scalars().all()
    return outbox.c.desk.in_(desks) & outbox.c.case_id.in_(of)


def _long_gone(c: Connection, inventory: Collection[str], now: datetime, max_age: timedelta) -> list[str]:
    """Note which devices are missed in the inventory and which are back; those missed for long."""
    known = set(c.execute(union(*(select(table.c.device) for table in _KEPT))).scalars()) - {queries.AGENT}
    missed = {device: datetime.fromisoformat(since) for device, since in c.execute(select(memory.c.device, memory.c.value).where(memory.c.key == LEFT))}
    for device in known - missed.keys() - set(inventory):
        queries.save_memory(c, device, {LEFT: now.astimezone(UTC).isoformat()})
    for device in missed.keys() & set(inventory):
        queries.save_memory(c, device, {LEFT: ""})
    return sorted(device for device, since in missed.items() if device not in inventory and now - since > max_age)


def _forget(c: Connection, device: str) -> bool:
    """Remove all that is kept of a device. False: it has an open case, a step that is not sent, or an incident that another device's is part of.

    Nobody polls it, so what recovered is not closed by itself and what was suspected stays so: that is over all the same.
    """
    theirs = {row.id: row.state for row in c.execute(select(cases.c.id, cases.c.state).where(cases.c.device == device))}
    elsewhere = _MAY_RETURN.where(incidents.c.device != device)
    if "open" in theirs.values() or theirs.keys() & c.execute(union(elsewhere, _UNSENT)).scalars().all():
        return False
    if c.execute(select(incidents.c.id).where(incidents.c.device == device, incidents.c.id.in_(_WHOLE.where(incidents.c.device != device)))).first():
        return False
    for batch in _batches(list(theirs)):
        _remove_cases(c, batch)
    for table in (incidents, *_KEPT):
        c.execute(delete(table).where(table.c.device == device))
    return True


def _give_back(c: Connection) -> bool:
    """Give some free pages at the end of the file back to the disk. Whether there are more."""
    free = int(c.exec_driver_sql("PRAGMA freelist_count").scalar_one())
    for _ in range(min(free, PAGES)):
        # One page each: it answers a row without columns for every page, and Python's driver does not ask for the second.
        c.exec_driver_sql("PRAGMA incremental_vacuum(1)")
    left = int(c.exec_driver_sql("PRAGMA freelist_count").scalar_one())
    # A file that was made without it gives nothing back.
    return 0 < left < free
