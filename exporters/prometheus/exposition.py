"""The page of the devices: lines are rendered when a status arrives, kept by family and device, and only joined at a scrape.

Sample lines are the same bytes in text 0.0.4 and in OpenMetrics 1.0; only the heads of the families differ. One device's lines of one family
are one `bytes` object, so that 10,000 devices cost memory for their text and little more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from math import inf, isnan

from agent.model import MetricKind, MetricSpec, Reading
from agent.model.reading import UNKNOWN, by_metric

MAX_LABEL = 500
"""Characters of one label value: what a device says of itself is not trusted to be short."""

LABELS_KEPT = 8192
"""Label texts that are kept ready: those of one kind of device are the same on all of them."""

PIECE = 500
"""Devices joined in one go: about 50 kB of text, well under a millisecond for the event loop."""

# A unit is declared in OpenMetrics only where the name ends in it. The longer ones come first.
_UNITS = ("bytes_per_second", "seconds", "bytes", "celsius", "ratio", "volts", "amperes", "watts", "meters", "joules", "grams")
_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")
_RESERVED = frozenset({"device", "state", "le", "quantile", "job", "instance"})


class Reason(StrEnum):
    """Why a reading is not on the page: a closed set, because it is a label."""

    UNDECLARED = "undeclared"
    LABELS = "labels"
    VALUE = "value"
    DUPLICATE = "duplicate"
    TOO_MANY = "too_many"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """One reading that was left out: a defect of the collector that made it, never of the page."""

    metric: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Family:
    """What is the same for all lines of a metric: its heads in both formats, and how its labels are written."""

    spec: MetricSpec
    text_head: bytes
    openmetrics_head: bytes
    openings: tuple[str, ...]
    states: Mapping[str, tuple[str, ...]]
    """For each state the ends of its lines: one a state of the set, of which this one is 1."""

    @staticmethod
    def of(spec: MetricSpec) -> Family:
        """Raises ValueError when the metric cannot be exported."""
        _check(spec)
        name, kind = spec.name, spec.kind
        base = name.removesuffix("_total") if kind is MetricKind.COUNTER else name.removesuffix("_info") if kind is MetricKind.INFO else name
        help_text = spec.help.replace("\\", r"\\").replace("\n", r"\n")
        text_type = "counter" if kind is MetricKind.COUNTER else "gauge"
        unit = "" if kind is MetricKind.INFO else next((u for u in _UNITS if base.endswith(f"_{u}")), "")
        unit_line = f"# UNIT {base} {unit}\n" if unit else ""
        quoted_help = help_text.replace('"', r"\"")
        return Family(
            spec=spec,
            text_head=f"# HELP {name} {help_text}\n# TYPE {name} {text_type}\n".encode(),
            openmetrics_head=f"# HELP {base} {quoted_help}\n# TYPE {base} {kind.value}\n{unit_line}".encode(),
            openings=tuple(f',{label}="' for label in spec.labels),
            states=_ends((*(s for s in spec.states if s != UNKNOWN), UNKNOWN)) if spec.states else {},
        )


def _ends(states: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    return {now: tuple(f',state="{state}"}} {int(state == now)}\n' for state in states) for now in states}


def _check(spec: MetricSpec) -> None:
    name = spec.name
    suffix = {MetricKind.COUNTER: "_total", MetricKind.INFO: "_info"}.get(spec.kind, "")
    if not _NAME.match(name) or "__" in name:
        raise ValueError(f"metric {name!r}: a name is lower-case letters, digits and single underscores")
    if not name.endswith(suffix) or (not suffix and name.endswith(("_total", "_info", "_count", "_sum", "_bucket", "_created"))):
        raise ValueError(f"metric {name}: the end of its name does not fit its kind, {spec.kind.value}")
    if not spec.help:
        raise ValueError(f"metric {name}: help is missing")
    bad = [label for label in spec.labels if not _NAME.match(label) or label.startswith("__") or label in _RESERVED]
    if bad or len(set(spec.labels)) != len(spec.labels):
        raise ValueError(f"metric {name}: labels {', '.join(bad) or 'twice the same'}: reserved, malformed or repeated")
    if spec.states and spec.kind is not MetricKind.GAUGE:
        raise ValueError(f"metric {name}: only a gauge can be a set of states")


def number(value: float) -> str:
    """A value as both formats read it."""
    if value == 1:
        return "1"
    if value == 0:
        return "0"
    if isnan(value):
        return "NaN"
    if value in (inf, -inf):
        return "+Inf" if value > 0 else "-Inf"
    whole = int(value)
    # Beyond 2**53 a whole number written out would only pretend to be exact.
    return str(whole) if whole == value and -(2**53) <= whole <= 2**53 else repr(float(value))


def label_value(value: str) -> str:
    """A label value as both formats read it; one that is too long is cut, with '…' at its end."""
    if len(value) > MAX_LABEL:
        value = f"{value[: MAX_LABEL - 1]}…"
    if "\\" in value or '"' in value or "\n" in value:
        return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return value


@lru_cache(LABELS_KEPT)
def _labels(openings: tuple[str, ...], values: tuple[str, ...]) -> str:
    return "".join([f'{opening}{label_value(value)}"' for opening, value in zip(openings, values, strict=True)])


@dataclass(slots=True)
class Rendered:
    """One device's lines, by metric name, and what was left out."""

    blocks: dict[str, bytes] = field(default_factory=dict)
    refused: list[Refused] = field(default_factory=list)


def render(device: str, readings: Iterable[Reading], families: Mapping[str, Family]) -> Rendered:
    """The lines of one device. A reading that cannot stand on a valid page is left out and reported, the others stay."""
    result = Rendered()
    for name, group in by_metric(readings).items():
        block, refused = _block(device, name, group, families.get(name))
        if block:
            result.blocks[name] = block
        result.refused += refused
    return result


def _block(device: str, name: str, group: Sequence[Reading], family: Family | None) -> tuple[bytes, list[Refused]]:
    """The lines of one metric of one device, and what was left out."""
    if family is None:
        return b"", [Refused(metric=name, reason=Reason.UNDECLARED) for _ in group]
    refused: list[Refused] = []
    lines: list[str] = []
    seen: set[str] = set()
    head = f'{name}{{device="{label_value(device)}"'
    for reading in group:
        problem: Reason | None = Reason.LABELS
        new: Sequence[str] = ()
        series = head
        if len(reading.labels) == len(family.openings):
            if reading.labels:
                series += _labels(family.openings, reading.labels)
            problem, new = _samples(series, reading, family)
            if problem is None and series in seen:
                problem = Reason.DUPLICATE
            if problem is None and len(lines) + len(new) > family.spec.max_series:
                problem = Reason.TOO_MANY
        if problem is not None:
            refused.append(Refused(metric=name, reason=problem))
            continue
        seen.add(series)
        lines += new
    # A lone surrogate has no UTF-8: it becomes '?'.
    return "".join(lines).encode("utf-8", "replace"), refused


def _samples(series: str, reading: Reading, family: Family) -> tuple[Reason | None, Sequence[str]]:
    value = reading.value
    if family.states:
        if not reading.state or value is not None:
            return Reason.VALUE, ()
        ends = family.states.get(reading.state) or family.states[UNKNOWN]
        return None, [series + end for end in ends]
    if reading.state:
        return Reason.VALUE, ()
    kind = family.spec.kind
    if kind is MetricKind.INFO:
        return (None, (f"{series}}} 1\n",)) if value in (None, 1) else (Reason.VALUE, ())
    if value is None or (kind is MetricKind.COUNTER and not 0 <= value < inf):
        return Reason.VALUE, ()
    try:
        return None, (f"{series}}} {number(value)}\n",)
    except OverflowError:  # an integer of a device's JSON that no float can hold
        return Reason.VALUE, ()


View = Sequence[tuple[Family, Sequence[bytes]]]
"""The page at one moment: the polls that end during a scrape do not show in it."""


NOTHING: Mapping[str, Sequence[Reading]] = {}


class Exposition:
    """The lines of all devices. Not for several threads, but a `View` may be joined in any."""

    def __init__(self, metrics: Iterable[MetricSpec]) -> None:
        """Raises ValueError when a metric cannot be exported, or two have the same name."""
        self._families: dict[str, Family] = {}
        for spec in metrics:
            if spec.name in self._families:
                raise ValueError(f"metric {spec.name} is declared twice")
            self._families[spec.name] = Family.of(spec)
        self._blocks: dict[str, dict[str, bytes]] = {name: {} for name in self._families}
        self._shown: dict[str, dict[str, tuple[Sequence[Reading], list[Refused]]]] = {}
        """What stands on the page, by device and metric, and what was left out of it: most of it is the same at the next poll."""

    def update(self, device: str, readings: Iterable[Reading], measured: Mapping[str, Sequence[Reading]] = NOTHING) -> Sequence[Refused]:
        """Put these in the place of all that was known of the device. Returns the readings that were left out.

        `measured`: more of them, by metric. What is given is kept to be compared with the next, so it must not change.
        """
        groups: dict[str, Sequence[Reading]] = {**by_metric(readings)}
        for name, group in measured.items():
            groups[name] = [*groups[name], *group] if name in groups else group
        shown = self._shown.setdefault(device, {})
        refused: list[Refused] = []
        for name, group in groups.items():
            before = shown.get(name)
            if before is None or before[0] != group:
                block, out = _block(device, name, group, self._families.get(name))
                before = shown[name] = (group, out)
                if block:
                    self._blocks[name][device] = block
                elif name in self._blocks:
                    self._blocks[name].pop(device, None)
            else:
                shown[name] = (group, before[1])  # equal, and held by the newest snapshot too: the older ones can go
            if before[1]:
                refused += before[1]
        if len(shown) > len(groups):
            for name in shown.keys() - groups.keys():
                del shown[name]
                if name in self._blocks:
                    self._blocks[name].pop(device, None)
        return refused

    def remove(self, device: str) -> None:
        """Forget a device."""
        self._shown.pop(device, None)
        for blocks in self._blocks.values():
            blocks.pop(device, None)

    def view(self, names: frozenset[str] = frozenset()) -> View:
        """The page as it is now; with `names` only these metrics."""
        return [(self._families[name], list(blocks.values())) for name, blocks in self._blocks.items() if blocks and (not names or name in names)]


def pieces(view: View, *, openmetrics: bool) -> Iterator[bytes]:
    """The page in pieces of at most PIECE devices, without the `# EOF` that ends an OpenMetrics page."""
    for family, blocks in view:
        yield family.openmetrics_head if openmetrics else family.text_head
        for start in range(0, len(blocks), PIECE):
            yield b"".join(blocks[start : start + PIECE])
