"""Measured facts: metrics, readings, parts of a device."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from agent.model.quick import quick

UNKNOWN = "unknown"


class MetricKind(StrEnum):
    GAUGE = "gauge"
    COUNTER = "counter"
    INFO = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSpec:
    """One metric family. `name` is the whole Prometheus name, with unit suffix (and `_total` on a counter, `_info` on an info).

    `labels` are those beside `device`. `states` not empty: the metric is a set of states, exported 0/1 with the label `state`;
    'unknown' belongs to every such set without being listed.
    `max_series` bounds what one device may add.
    """

    name: str
    help: str
    kind: MetricKind = MetricKind.GAUGE
    labels: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    max_series: int = 64


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One measured fact. `metric` is a `MetricSpec.name`.

    Either `value` or `state` is set; a state outside the metric's set is 'unknown' with the device's word in `raw`.
    `labels` in the order of `MetricSpec.labels`. `component` is a `Component.key`, or ''.
    """

    metric: str
    value: float | None = None
    state: str = ""
    labels: tuple[str, ...] = ()
    component: str = ""
    raw: str = ""


def by_metric(readings: Iterable[Reading]) -> dict[str, list[Reading]]:
    """The readings of each metric, in their order."""
    groups: dict[str, list[Reading]] = {}
    for reading in readings:
        group = groups.get(reading.metric)
        if group is None:
            groups[reading.metric] = [reading]
        else:
            group.append(reading)
    return groups


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A part with its own identity and state: camera, microphone, touch panel, disk, fan, sensor, application.

    `key` is stable across polls and unique within the device: the serial where there is one, else a name the device keeps.
    `state` is one of 'ok', 'failed', 'missing', 'off', 'unknown'; `raw` is the device's own word.
    `removable`: its absence is news once it was seen.
    """

    kind: str
    key: str
    name: str = ""
    serial: str = ""
    model: str = ""
    firmware: str = ""
    mac: str = ""
    state: str = UNKNOWN
    raw: str = ""
    removable: bool = False


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who the device says it is. '' = it did not say."""

    vendor: str = ""
    serial: str = ""
    model: str = ""
    firmware: str = ""
    hardware: str = ""
    mac: str = ""
    name: str = ""

    def filled_from(self, other: Identity) -> Identity:
        """This identity, its gaps filled from `other`."""
        if other is UNNAMED or other == self:
            return self
        if self is UNNAMED:
            return other
        gaps = {f: getattr(other, f) for f in self.__slots__ if not getattr(self, f) and getattr(other, f)}
        return replace(self, **gaps) if gaps else self


UNNAMED = Identity()
"""Of an answer that says nothing of who the device is."""
