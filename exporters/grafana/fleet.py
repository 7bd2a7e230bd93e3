"""The fleet dashboard, as Grafana's classic JSON: `python -m tests.generated` writes it to `dashboards/fleet.json`.

Plain dictionaries: the classic model is read by Grafana 9 to 13, and needs no library here. Site, room and model stand on
`latarnik_device_info` alone, so they are joined in PromQL.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from exporters.grafana.parts import (
    AGENT,
    BLUE,
    DATASOURCE,
    GREEN,
    GREY,
    INFO,
    JOIN,
    ORANGE,
    RED,
    UID,
    Panel,
    bars,
    field,
    fleet,
    mappings,
    one,
    series,
    stat,
    table,
    target,
    thresholds,
    timeline,
    with_labels,
)

SEVERITY = mappings({"critical": ("critical", RED), "warning": ("warning", ORANGE), "info": ("info", BLUE)})
UP = {"1": ("up", GREEN), "0": ("down", RED)}
HEALTH = {"3": ("critical", RED), "2": ("warning", ORANGE), "1": ("ok", GREEN), "0": ("unknown", GREY)}
YES_NO = {"1": ("yes", GREEN), "0": ("no", RED)}
COLORED = ("custom.cellOptions", {"type": "color-text"})

_TO_DEVICE = f"/d/{UID}?${{__url_time_range}}&${{datasource:queryparam}}&${{job:queryparam}}&${{instance:queryparam}}&var-device=${{__data.fields.Device}}"
DEVICE = field("Device", ("links", [{"title": "Show this device below", "url": _TO_DEVICE}]))


def fleet_row() -> list[Panel]:
    faults, tickets = "latarnik_device_fault_active", "latarnik_ticket_opened_timestamp_seconds"
    with_firmware = INFO.replace("}", ', firmware!=""}')
    return [
        stat("Devices watched", "Devices of the inventory that the variables pick.", f"count({INFO})", thresholds(BLUE)),
        stat("Up", "Devices that the last poll reached.", f"sum({fleet('latarnik_device_up')})", thresholds(GREEN)),
        stat("Down", "Devices that the last poll did not reach.", f"count({fleet('latarnik_device_up')} == 0) or vector(0)", thresholds(GREEN, (1, RED))),
        stat(
            "Devices with faults",
            "Devices with at least one confirmed fault.",
            f"count(count by (job, instance, device) ({fleet(faults)})) or vector(0)",
            thresholds(GREEN, (1, ORANGE)),
        ),
        stat("Tickets open", "Tickets that are not resolved, at all desks.", f"count({fleet(tickets)}) or vector(0)", thresholds(GREEN, (1, ORANGE))),
        stat(
            "Firmware versions",
            "Different versions in use; two models with the same version count as two.",
            f"count(count by (vendor, model, firmware) ({with_firmware}))",
            thresholds(BLUE),
        ),
        table(
            "Devices",
            "What is watched. A click on a device shows it in the last row.",
            (24, 10),
            [
                target(INFO, "A", table=True),
                target(fleet("latarnik_device_up"), "B", table=True),
                target(f"count by (job, instance, device) ({fleet(faults)}) or 0 * max by (job, instance, device) ({INFO})", "C", table=True),
                target(fleet("latarnik_device_authentication_blocked"), "D", table=True),
                target(f"{fleet('latarnik_device_last_success_timestamp_seconds')} * 1000", "E", table=True),
            ],
            {
                "device": "Device",
                "vendor": "Vendor",
                "room": "Room",
                "site": "Site",
                "model": "Model",
                "serial": "Serial",
                "firmware": "Firmware",
                "Value #B": "Up",
                "Value #C": "Faults",
                "Value #D": "Login blocked",
                "Value #E": "Last answer",
            },
            overrides=[
                DEVICE,
                field("Up", ("mappings", mappings(UP)), COLORED),
                field("Faults", ("thresholds", thresholds(GREEN, (1, RED))), COLORED),
                field("Login blocked", ("mappings", mappings({"0": ("no", GREEN), "1": ("yes", RED)})), COLORED),
                field("Last answer", ("unit", "dateTimeFromNow")),
            ],
        ),
        table(
            "Open faults",
            "Confirmed faults; docs/faults.md says what each code means.",
            (14, 8),
            [
                target(with_labels(faults, "site", "room"), "A", table=True),
                target(f"{fleet('latarnik_device_fault_since_timestamp_seconds')} * 1000", "B", table=True),
            ],
            {"severity": "Severity", "code": "Code", "component": "Part", "device": "Device", "room": "Room", "site": "Site", "Value #B": "Since"},
            overrides=[DEVICE, field("Severity", ("mappings", SEVERITY), COLORED), field("Since", ("unit", "dateTimeFromNow"))],
        ),
        table(
            "Open tickets",
            "Tickets that are not resolved.",
            (10, 8),
            [target(f"{with_labels(tickets, 'room')} * 1000", table=True)],
            {"severity": "Severity", "ticket": "Ticket", "desk": "Desk", "case": "Case", "device": "Device", "room": "Room", "Value": "Opened"},
            overrides=[DEVICE, field("Severity", ("mappings", SEVERITY), COLORED), field("Opened", ("unit", "dateTimeFromNow"))],
        ),
        timeline(
            "Up history",
            "The 40 devices that were down the longest in this time.",
            (12, 9),
            [target(fleet("latarnik_device_up", among=_worst("bottomk(40, avg_over_time(latarnik_device_up")), legend="{{device}}")],
            UP,
        ),
        series(
            "Temperatures",
            "The ten hottest sensors of this time.",
            (6, 9),
            [
                target(
                    fleet("latarnik_device_temperature_celsius", among=_worst("topk(10, max_over_time(latarnik_device_temperature_celsius", "sensor")),
                    legend="{{device}} {{sensor}}",
                )
            ],
            unit="celsius",
        ),
        bars(
            "Firmware",
            "How many devices run which version.",
            (6, 9),
            [target(f"sort_desc(count by (model, firmware) ({with_firmware}))", legend="{{model}} {{firmware}}", instant=True)],
        ),
    ]


def _worst(function: str, *labels: str) -> str:
    """The series that a function picks for the whole time shown, so that the choice does not change from step to step."""
    return f"on ({', '.join(('job', 'instance', 'device', *labels))}) {function}{{{AGENT}}}[$__range] @ end()) and {JOIN} {INFO})"


def agent_row() -> list[Panel]:
    failures = f"sum by (source, reason) (rate(latarnik_poll_failures_total{{{AGENT}}}[$__rate_interval]))"
    buckets = f"sum by (le, vendor) (rate(latarnik_poll_duration_seconds_bucket{{{AGENT}}}[$__rate_interval]))"
    undelivered = f"sum by (desk, reason) (rate(latarnik_delivery_failures_total{{{AGENT}}}[$__rate_interval]))"
    polls = f"sum by (vendor) (rate(latarnik_polls_total{{{AGENT}}}[$__rate_interval]))"
    return [
        series("Polls", "Polls of devices that ended.", (6, 7), [target(polls, legend="{{vendor}}")], unit="ops"),
        series("Poll failures", "Parts of polls that failed, by way in and reason.", (6, 7), [target(failures, legend="{{source}} {{reason}}")], unit="ops"),
        series(
            "Poll duration",
            "The time in which 95 of 100 polls had ended.",
            (6, 7),
            [target(f"histogram_quantile(0.95, {buckets})", legend="{{vendor}}")],
            unit="s",
        ),
        series(
            "Event loop lag",
            "The longest time in the last minute for which the agent did not come to its work.",
            (6, 7),
            [target(f"latarnik_event_loop_lag_seconds{{{AGENT}}}", legend="{{instance}}")],
            unit="s",
        ),
        series(
            "Steps waiting for a desk",
            "Parts of cases that are not delivered yet.",
            (6, 7),
            [target(f"latarnik_ticket_queue_length{{{AGENT}}}", legend="{{desk}}")],
            unit="short",
        ),
        series("Delivery failures", "Steps that a desk did not take.", (6, 7), [target(undelivered, legend="{{desk}} {{reason}}")], unit="ops"),
        series(
            "Memory",
            "What the agent holds in memory.",
            (6, 7),
            [target(f"process_resident_memory_bytes{{{AGENT}}} and on (job, instance) latarnik_build_info{{{AGENT}}}", legend="{{instance}}")],
            unit="bytes",
        ),
        series(
            "Processor",
            "Share of one core.",
            (6, 7),
            [
                target(
                    f"rate(process_cpu_seconds_total{{{AGENT}}}[$__rate_interval]) and on (job, instance) latarnik_build_info{{{AGENT}}}", legend="{{instance}}"
                )
            ],
            unit="percentunit",
        ),
    ]


def device_row() -> list[Panel]:
    health = " or ".join(f"{one('latarnik_device_health', state=state)} * {value}" for value, (state, _) in HEALTH.items())
    free, size = one("latarnik_device_storage_free_bytes"), one("latarnik_device_storage_size_bytes")
    return [
        table(
            "Identity",
            "Who the device says it is, as last read.",
            (24, 4),
            [target(one("latarnik_device_info"), table=True)],
            {
                "device": "Device",
                "name": "Name",
                "model": "Model",
                "serial": "Serial",
                "firmware": "Firmware",
                "hardware": "Hardware",
                "mac": "MAC",
                "parent": "Hangs on",
                "contract": "Contract",
            },
        ),
        timeline(
            "Health",
            "The worst confirmed fault; unknown while not everything can be looked at.",
            (12, 6),
            [target(f"max without (state) ({health})", legend="{{device}}")],
            HEALTH,
        ),
        timeline(
            "Faults",
            "Each confirmed fault, for as long as it lasted.",
            (12, 6),
            [target(one("latarnik_device_fault_active"), legend="{{device}} {{code}} {{component}}")],
            {"1": ("fault", RED)},
        ),
        series(
            "Temperature and the device's own limits",
            "What the device measures, and where it says it is too hot or too cold.",
            (12, 7),
            [
                target(one("latarnik_device_temperature_celsius"), "A", legend="{{device}} {{sensor}}"),
                target(one("latarnik_device_temperature_limit_celsius"), "B", legend="{{device}} {{sensor}} limit {{level}}"),
            ],
            unit="celsius",
        ),
        bars(
            "Free storage", "Free part of each medium.", (6, 7), [target(f"{free} / {size}", legend="{{device}} {{storage}}", instant=True)], unit="percentunit"
        ),
        table(
            "Restarts",
            "When the device started last, and how many restarts were seen.",
            (6, 7),
            [target(f"{one('latarnik_device_boot_timestamp_seconds')} * 1000", "A", table=True), target(one("latarnik_device_reboots_total"), "B", table=True)],
            {"device": "Device", "Value #A": "Started", "Value #B": "Restarts"},
            overrides=[field("Started", ("unit", "dateTimeFromNow"))],
        ),
        table(
            "Parts",
            "What hangs on the device.",
            (12, 7),
            [target(one("latarnik_peripheral_info"), "A", table=True), target(one("latarnik_peripheral_connected"), "B", table=True)],
            {"kind": "Kind", "peripheral": "Part", "model": "Model", "serial": "Serial", "firmware": "Firmware", "device": "Device", "Value #B": "Connected"},
            overrides=[field("Connected", ("mappings", mappings(YES_NO)), COLORED)],
        ),
        table(
            "What is asked",
            "The parts of a poll that the device has, and whether they were answered.",
            (12, 7),
            [target(one("latarnik_device_facet_ok"), table=True)],
            {"facet": "Asked", "source": "Over", "device": "Device", "Value": "Answered"},
            overrides=[field("Answered", ("mappings", mappings(YES_NO)), COLORED)],
        ),
    ]


def _rows(titled: Iterable[tuple[str, list[Panel]]]) -> list[Panel]:
    """Number the panels and lay them out, left to right under the title of their row."""
    placed: list[Panel] = []
    y = 0
    for title, panels in titled:
        row = {"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}}
        placed.append({"id": len(placed) + 1, **row})
        y += 1
        x = height = 0
        for panel in panels:
            size = panel["gridPos"]
            if x + size["w"] > 24:
                x, y, height = 0, y + height, 0
            placed.append({"id": len(placed) + 1, **panel, "gridPos": {"x": x, "y": y, **size}})
            x, height = x + size["w"], max(height, size["h"])
        y += height
    return placed


def _variable(name: str, label: str, query: str, *, all_values: str = "") -> dict[str, Any]:
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": name},
        "definition": query,
        "refresh": 2,  # when the time range changes
        "sort": 1,
        "multi": True,
        "includeAll": bool(all_values),
        **({"allValue": all_values, "current": {"text": ["All"], "value": ["$__all"]}} if all_values else {"current": {}}),
        "options": [],
        "regex": "",
        "hide": 0,
        "skipUrlSync": False,
    }


def dashboard() -> dict[str, Any]:
    """The whole dashboard."""
    info = "latarnik_device_info"
    variables = [
        {"type": "datasource", "name": "datasource", "label": "Data source", "query": "prometheus", "current": {}, "options": [], "regex": "", "hide": 0},
        _variable("job", "Job", "label_values(latarnik_build_info, job)", all_values=".+"),
        _variable("instance", "Agent", 'label_values(latarnik_build_info{job=~"$job"}, instance)', all_values=".+"),
        _variable("site", "Site", f"label_values({info}{{{AGENT}}}, site)", all_values=".*"),
        _variable("vendor", "Vendor", f"label_values({info}{{{AGENT}}}, vendor)", all_values=".*"),
        # No "All": the last row shows a few devices, not ten thousand.
        _variable("device", "Device", f"label_values({INFO}, device)"),
    ]
    builtin = {"builtIn": 1, "type": "dashboard", "name": "Annotations & Alerts", "enable": True, "hide": True, "iconColor": "rgba(0, 211, 255, 1)"}
    return {
        "id": None,
        "uid": UID,
        "title": "Latarnik fleet",
        "description": "Meeting rooms and cameras: what is up, what is broken, which tickets are open.",
        "tags": ["latarnik"],
        "schemaVersion": 39,
        "editable": False,
        "graphTooltip": 1,
        "timezone": "browser",
        "refresh": "1m",
        "time": {"from": "now-6h", "to": "now"},
        "annotations": {"list": [{**builtin, "datasource": {"type": "grafana", "uid": "-- Grafana --"}}]},
        "templating": {"list": variables},
        "links": [],
        "panels": _rows((("Fleet", fleet_row()), ("Agent", agent_row()), ("Device $device", device_row()))),
    }


def dashboard_json() -> str:
    """The text of `dashboards/fleet.json`."""
    return json.dumps(dashboard(), indent=2, ensure_ascii=False) + "\n"
