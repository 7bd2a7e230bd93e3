"""What is shown of a device. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from itertools import islice

from agent.diagnosis.correlation import named
from agent.diagnosis.evaluate import child_of
from agent.diagnosis.rules import WAITS
from agent.model import Component, Device, FacetStatus, History, Identity, Incident, Snapshot
from agent.ports import DeviceStatus, OpenTicket


def device_status(
    device: Device,
    snapshot: Snapshot | None,
    history: History,
    *,
    fresh: bool,
    incidents: tuple[Incident, ...],
    tickets: Iterable[OpenTicket],
    blocked: bool,
    members: Mapping[str, Mapping[str, str]],
    held_back: Mapping[str, Collection[str]],
    streaming: bool | None = None,
) -> DeviceStatus:
    """A polled device. Not `fresh`: its polls were missed, so nothing that was read is shown, and it is not up.

    `members`: of each incident that others are part of, their devices by their ids. `held_back`: devices that wait because of a cause.
    """
    reached = snapshot is not None and snapshot.reachable and fresh
    return DeviceStatus(
        device=device,
        up=None if snapshot is None else reached,
        snapshot=snapshot if reached else None,
        identity=history.identity,
        last_poll=snapshot.at if snapshot is not None else None,
        last_success=history.last_success,
        incidents=tuple(with_others(i, members.get(i.id, {}).values(), held_back.get(i.fault.shared, ())) for i in incidents),
        tickets=tuple(tickets),
        reboots=history.reboot_count,
        blocked=blocked,
        contract=device.contract,
        streaming=streaming,
        sharing={i.id: 1 + len(members[i.id]) for i in incidents if i.id in members},
    )


def with_others(incident: Incident, members: Collection[str], held_back: Collection[str] = ()) -> Incident:
    """The incident as it is shown: its summary says how many devices have its cause, and how many are not asked because of it."""
    summary = incident.fault.summary
    if members:
        summary = f"{named((incident.device, *islice(members, 2)), 1 + len(members))}. {summary}"
    if held_back and not incident.parent:
        summary += f" Held back at {len(held_back)} other {'device' if len(held_back) == 1 else 'devices'}."
    return incident if summary == incident.fault.summary else replace(incident, fault=replace(incident.fault, summary=summary))


def held_back(snapshot: Snapshot) -> set[str]:
    """The causes elsewhere because of which this device is not asked: credentials that are tried at another one first."""
    return {f"credential:{o.credential}" for o in snapshot.facets.values() if o.status is FacetStatus.FAILED and o.reason in WAITS and o.credential}


def child_status(
    child: Device, snapshot: Snapshot | None, history: History, *, fresh: bool, incidents: tuple[Incident, ...], tickets: Iterable[OpenTicket]
) -> DeviceStatus:
    """A part that is a device of its own: up when its codec lists it, unknown while the codec cannot be asked."""
    listed = child_part(snapshot.components if snapshot is not None else (), child)
    known = listed or child_part(history.components.values(), child)
    asked = snapshot is not None and snapshot.reachable and fresh
    up = None if not asked else listed is not None and listed.state == "ok"
    if listed is None and not any(i.misses == 0 for i in incidents):
        # Not in the answer, and no rule complains of it: that part of the poll was not answered.
        up = None
    identity = Identity(
        vendor=child.vendor,
        serial=known.serial if known else child.serial,
        model=(known.model or known.name) if known else child.model,
        firmware=known.firmware if known else "",
        mac=known.mac if known else "",
        name=known.name if known else "",
    )
    return DeviceStatus(
        device=child,
        up=up,
        snapshot=None,
        identity=identity,
        last_poll=snapshot.at if snapshot is not None else None,
        last_success=snapshot.at if up and snapshot is not None else None,
        incidents=incidents,
        tickets=tuple(tickets),
        reboots=0,
        blocked=False,
        contract=child.contract,
    )


def child_part(parts: Iterable[Component], child: Device) -> Component | None:
    """The part that this declared child is."""
    return next((part for part in parts if child_of(part, (child,)) is not None), None)
