"""Every committed file that is generated: `python -m tests.generated` writes them, `--check` prints what differs and exits 1.

To add one, add a row to `FILES`.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from agent import plugins
from agent.catalogue import COMMON_FAULTS, DEVICE_METRICS, READING_METRICS
from agent.model import FaultSpec, MetricKind, MetricSpec
from agent.model.reading import UNKNOWN
from agent.polling.detection import EXCLUDED, detections
from agent.polling.state import BASE_INTERVAL
from agent.ports import CollectorPlugin
from config import reference
from exporters.grafana.fleet import dashboard_json
from exporters.prometheus.own import OWN_METRICS
from tests.support.markdown import NOTE, duration, table
from tests.vendor_pages import page_of

ROOT = Path(__file__).resolve().parent.parent

METRIC_COLUMNS = ("Name", "Type", "Labels", "What")

METRICS_INTRODUCTION = f"""\
# Metrics

{NOTE}
Every series of a device has the label `device`, its id in the inventory; the tables name the others. Site, room, model, serial number
and firmware stand on `latarnik_device_info` alone and are joined:

```promql
latarnik_device_up * on (job, instance, device) group_left (site, room) latarnik_device_info
```

A value that was not read is not there: what a device said goes away when it misses its polls, while `latarnik_device_up` turns 0 and
`latarnik_device_info` stays. A set of states has one series a state, 1 for the one that holds and 0 for the others.
"""

FAULTS_INTRODUCTION = f"""\
# Faults

{NOTE}
A fault counts once it has lasted for *hold* and was seen in at least *seen* polls in a row, and is over once it has been gone for *clear*
and was not seen in *gone* polls. `faults:` in the configuration changes these for a site. A fault without a ticket is shown and exported only.
*At the latest* is the worst case from its beginning until it counts, on a device that is polled once a minute; `latarnik detection` computes it for
a site's configuration. It leaves out: {"; ".join(EXCLUDED)}.
"""


def metrics_page() -> str:
    """`docs/metrics.md`."""
    common = {*DEVICE_METRICS, *READING_METRICS}
    parts = [
        METRICS_INTRODUCTION,
        f"\n## What the agent knows of each device\n\n{_device_table(DEVICE_METRICS)}",
        f"\n## What devices report\n\nOnly where the device has a source for it.\n\n{_device_table(READING_METRICS)}",
    ]
    for name, plugin in sorted(plugins.collectors().items()):
        own = [m for m in plugin.metrics if m not in common]
        if own:
            parts.append(f"\n## Only {name}\n\n{_device_table(own)}")
    rows = [(f"`{m.name}`", m.kind, _labels(m.labels), m.help) for m in OWN_METRICS]
    beside = "Beside these: `process_*` and `python_*` of the Prometheus client library."
    parts.append(f"\n## The agent itself\n\n{beside}\n\n{table(METRIC_COLUMNS, rows)}")
    return "".join(parts)


def faults_page() -> str:
    """`docs/faults.md`."""
    parts = [
        FAULTS_INTRODUCTION,
        f"\n## All devices\n\n{_faults(COMMON_FAULTS)}",
    ]
    parts += [f"\n## {name}\n\n{_faults(plugin.faults, plugin)}" for name, plugin in sorted(plugins.collectors().items())]
    return "".join(parts)


def config_page() -> str:
    """`docs/config.md`."""
    vendors, desks = plugins.collectors(), plugins.desks()
    return reference.render({name: plugin.settings for name, plugin in vendors.items()}, {name: plugin.settings for name, plugin in desks.items()})


FILES: Mapping[str, Callable[[], str]] = {
    "docs/config.md": config_page,
    "docs/metrics.md": metrics_page,
    "docs/faults.md": faults_page,
    "docs/axis.md": lambda: page_of("axis"),
    "docs/poly.md": lambda: page_of("poly"),
    "exporters/grafana/dashboards/fleet.json": dashboard_json,
}


def _device_table(metrics: Iterable[MetricSpec]) -> str:
    rows = []
    for m in metrics:
        states = f" State: {', '.join((*(s for s in m.states if s != UNKNOWN), UNKNOWN))}." if m.states else ""
        labels = (*m.labels, "state") if m.states else m.labels
        kind = "info" if m.kind is MetricKind.INFO else m.kind.value
        rows.append((f"`{m.name}`", kind, _labels(labels), f"{m.help}.{states}" if states else m.help))
    return table(METRIC_COLUMNS, rows)


def _at_the_latest(spec: FaultSpec, plugin: CollectorPlugin | None) -> str:
    plugins_of = [plugin] if plugin is not None else list(plugins.collectors().values())
    found = {d.seconds for p in plugins_of for d in detections(p, {spec.code: spec}, BASE_INTERVAL) if d.seconds is not None}
    return " to ".join(duration(seconds) for seconds in sorted(found)) or "not known"


def _faults(faults: Iterable[FaultSpec], plugin: CollectorPlugin | None = None) -> str:
    rows = [
        (
            f"`{f.code}`",
            f.severity.value,
            f"{duration(f.hold)}, {f.hits}",
            f"{duration(f.clear)}, {f.misses}",
            _at_the_latest(f, plugin),
            "yes" if f.ticket else "no",
            f"{f.title.en}<br>{f.title.pl}",
        )
        for f in sorted(faults, key=lambda f: f.code)
    ]
    return table(("Code", "Severity", "Hold, seen", "Clear, gone", "At the latest", "Ticket", "Title"), rows)


def _labels(labels: Iterable[str]) -> str:
    return ", ".join(f"`{label}`" for label in labels)


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.generated", description="Write the generated files anew.")
    parser.add_argument("--check", action="store_true", help="write nothing; print what differs and exit 1 if anything does")
    check = parser.parse_args(arguments).check
    status = 0
    for name, make in FILES.items():
        path, new = root / name, make()
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        if new == old:
            continue
        if check:
            status = 1
            sys.stdout.writelines(
                difflib.unified_diff(old.splitlines(keepends=True), new.splitlines(keepends=True), f"{name} (committed)", f"{name} (generated)")
            )
            print(f"{name} is not what it is generated from: run `make generated`", file=sys.stderr)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(new, encoding="utf-8")
            print(f"wrote {name}")
    return status


if __name__ == "__main__":
    raise SystemExit(main())
