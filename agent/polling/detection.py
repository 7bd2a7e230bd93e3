"""The worst-case detection time of each fault (promise 7), computed from the configuration. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agent.model import FaultSpec
from agent.polling.state import effective_every
from agent.ports import CollectorPlugin, Facet

EXCLUDED = (
    "the agent or its site is down",
    "a poll lasts longer than its interval, as those of a device that times out or asks to be left alone do",
    "the device is in a call or meeting, or that is unknown, for what is not asked then",
    "the device is starting or updating",
    "what shows it is not offered by this device or to this account",
)
"""What the published times leave out, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """How long a fault may last before it is confirmed: shown as a fault, and its case opened where it makes one
    (of a fault that other devices may share, two intervals later: by then it is known how many there are).

    `facets`: which answers show it; () for what every poll shows. `asked`: seconds between two askings of the slowest of them.
    `seconds`: the worst case from the fault's beginning, None where the vendor does not say what shows it.
    """

    code: str
    facets: tuple[str, ...]
    asked: float
    seconds: float | None


def worst_case(spec: FaultSpec, facets: Iterable[Facet], interval: float) -> float:
    """Seconds from a fault's beginning to its confirmation, on a device polled every `interval` seconds.

    It begins just after its facet was asked; the facet's turn comes at the first poll that is no more than half an interval early; from
    then on it is asked at each poll until it was seen often enough and for long enough; and a poll may last for its whole interval.
    """
    asked = max((effective_every(facet, interval) for facet in facets), default=interval)
    polls_until_seen = max(1, math.floor(asked / interval - 0.5) + 1)
    # One more than fit into the hold: polls that start some milliseconds early would be seen as not quite lasting it.
    polls_to_hold = math.floor(spec.hold / interval) + 1 if spec.hold else 0
    return (polls_until_seen + max(spec.hits - 1, polls_to_hold) + 1) * interval


def detections(plugin: CollectorPlugin, specs: Mapping[str, FaultSpec], interval: float) -> list[Detection]:
    """One for each fault code that this vendor's devices can have, in the order of `specs` (with the site's overrides)."""
    table = {facet.name: facet for facet in plugin.facets}
    own = {spec.code for spec in plugin.faults}
    found = []
    for code, spec in specs.items():
        if code not in own and code not in plugin.shown_by and not code.startswith("device."):
            continue
        names = plugin.shown_by.get(code)
        if names is None and code not in EVERY_POLL:
            if code in own:
                found.append(Detection(code=code, facets=(), asked=interval, seconds=None))
            continue
        facets = [table[name] for name in names or ()]
        asked = max((effective_every(facet, interval) for facet in facets), default=interval)
        found.append(Detection(code=code, facets=tuple(names or ()), asked=asked, seconds=worst_case(spec, facets, interval)))
    return found


EVERY_POLL = frozenset({"device.unreachable", "device.login_refused", "device.not_trusted"})
"""Codes that any poll shows, whatever it asks."""
