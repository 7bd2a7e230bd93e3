"""Pieces of Grafana panels and of the PromQL in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

UID = "latarnik-fleet"
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
GREEN, ORANGE, RED, BLUE, GREY = "green", "orange", "red", "blue", "text"

AGENT = 'job=~"$job", instance=~"$instance"'
JOIN = "on (job, instance, device)"
INFO = f'latarnik_device_info{{{AGENT}, site=~"$site", vendor=~"$vendor"}}'

Panel = dict[str, Any]


# --- PromQL -----------------------------------------------------------------------------------------------------------


def fleet(metric: str, *, among: str = "") -> str:
    """The metric of the devices that the variables site and vendor pick; `among`: `on (...) expression` narrows that."""
    return f"({metric}{{{AGENT}}} and {among or f'{JOIN} {INFO}'})"


def with_labels(metric: str, *labels: str) -> str:
    """As `fleet`, with these labels of the device's info. The info's value is 1."""
    return f"({metric}{{{AGENT}}} * {JOIN} group_left ({', '.join(labels)}) {INFO})"


def one(metric: str, **labels: str) -> str:
    """The metric of the devices that the variable device picks."""
    exact = "".join(f', {label}="{value}"' for label, value in labels.items())
    return f'{metric}{{{AGENT}, device=~"$device"{exact}}}'


def target(expression: str, ref: str = "A", *, legend: str = "__auto", table: bool = False, instant: bool = False) -> dict[str, Any]:
    """A query: over the time shown, or `instant`, or as the rows of a `table` (instant too)."""
    now = table or instant
    made = {"refId": ref, "datasource": DATASOURCE, "expr": expression, "legendFormat": legend, "instant": now, "range": not now}
    return {**made, "format": "table"} if table else made


# --- fields -----------------------------------------------------------------------------------------------------------


def mappings(words: Mapping[str, tuple[str, str]]) -> list[dict[str, Any]]:
    """Values shown as coloured words."""
    options = {value: {"text": text, "color": color, "index": i} for i, (value, (text, color)) in enumerate(words.items())}
    return [{"type": "value", "options": options}]


def thresholds(base: str, *steps: tuple[float, str]) -> dict[str, Any]:
    """Colours from values on."""
    return {"mode": "absolute", "steps": [{"color": base, "value": None}, *({"color": color, "value": value} for value, color in steps)]}


def field(name: str, *properties: tuple[str, Any]) -> dict[str, Any]:
    """How one column is shown; `name` is its heading."""
    return {"matcher": {"id": "byName", "options": name}, "properties": [{"id": key, "value": value} for key, value in properties]}


# --- panels -----------------------------------------------------------------------------------------------------------


def _panel(
    kind: str,
    title: str,
    description: str,
    size: tuple[int, int],
    targets: Sequence[dict[str, Any]],
    *,
    defaults: dict[str, Any],
    options: dict[str, Any],
    overrides: Sequence[dict[str, Any]] = (),
) -> Panel:
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": DATASOURCE,
        "gridPos": {"w": size[0], "h": size[1]},
        "targets": list(targets),
        "fieldConfig": {"defaults": defaults, "overrides": list(overrides)},
        "options": options,
    }


_LAST = {"calcs": ["lastNotNull"], "fields": "", "values": False}


def stat(title: str, description: str, expression: str, colors: dict[str, Any]) -> Panel:
    """One number."""
    return _panel(
        "stat",
        title,
        description,
        (4, 4),
        [target(expression, instant=True)],
        defaults={"unit": "short", "decimals": 0, "thresholds": colors, "color": {"mode": "thresholds"}},
        options={"reduceOptions": _LAST, "colorMode": "value", "graphMode": "none", "textMode": "auto", "justifyMode": "auto", "orientation": "auto"},
    )


def table(
    title: str,
    description: str,
    size: tuple[int, int],
    targets: Sequence[dict[str, Any]],
    columns: Mapping[str, str],
    *,
    overrides: Sequence[dict[str, Any]] = (),
) -> Panel:
    """`columns`: the fields that are shown, in order, with their headings. Rows of several targets are merged by their common labels."""
    made = _panel(
        "table",
        title,
        description,
        size,
        targets,
        defaults={"unit": "none"},
        options={"showHeader": True, "cellHeight": "sm"},
        overrides=overrides,
    )
    made["transformations"] = [
        {"id": "merge", "options": {}},
        {"id": "filterFieldsByName", "options": {"include": {"names": list(columns)}}},
        {"id": "organize", "options": {"indexByName": {name: i for i, name in enumerate(columns)}, "renameByName": dict(columns), "excludeByName": {}}},
    ]
    return made


def series(title: str, description: str, size: tuple[int, int], targets: Sequence[dict[str, Any]], *, unit: str) -> Panel:
    """Lines over time. A gap is a gap."""
    return _panel(
        "timeseries",
        title,
        description,
        size,
        targets,
        defaults={"unit": unit, "custom": {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 5, "showPoints": "auto", "spanNulls": False}},
        options={
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
    )


def timeline(title: str, description: str, size: tuple[int, int], targets: Sequence[dict[str, Any]], words: Mapping[str, tuple[str, str]]) -> Panel:
    """One coloured strip a series."""
    return _panel(
        "state-timeline",
        title,
        description,
        size,
        targets,
        defaults={
            "mappings": mappings(words),
            "color": {"mode": "thresholds"},
            "thresholds": thresholds(GREY),
            "custom": {"fillOpacity": 80, "lineWidth": 0, "spanNulls": False},
        },
        options={
            "mergeValues": True,
            "showValue": "never",
            "rowHeight": 0.85,
            "perPage": 20,
            "alignValue": "left",
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False},
            "tooltip": {"mode": "single", "sort": "none"},
        },
    )


def bars(title: str, description: str, size: tuple[int, int], targets: Sequence[dict[str, Any]], *, unit: str = "short") -> Panel:
    """One horizontal bar a series, as it is now."""
    return _panel(
        "bargauge",
        title,
        description,
        size,
        targets,
        defaults={"unit": unit, "min": 0, "thresholds": thresholds(BLUE), "color": {"mode": "thresholds"}},
        options={"reduceOptions": _LAST, "orientation": "horizontal", "displayMode": "basic", "valueMode": "color", "showUnfilled": True},
    )
