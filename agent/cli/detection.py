"""detection."""

from __future__ import annotations

import json
from dataclasses import asdict

from agent.app import House, rules_of
from agent.cli.common import DEFAULT_CONFIG, ConfigFile, Output, OutputOption, configured, console, table
from agent.inventory import build
from agent.polling.detection import EXCLUDED, Detection, detections
from config.settings import Settings


def detection(config: ConfigFile = DEFAULT_CONFIG, output: OutputOption = Output.TEXT) -> None:
    """Say how long each fault may last before it is noticed: the worst case with this configuration."""
    settings, house = configured(config)
    found = _by_kind(settings, house)
    if output is Output.JSON:
        kinds = [{"vendor": vendor, "interval": interval, "faults": [asdict(d) for d in rows]} for (vendor, interval), rows in found.items()]
        print(json.dumps({"schema": 1, "kinds": kinds, "excluded": list(EXCLUDED)}))
        return
    out = console()
    for (vendor, interval), rows in found.items():
        out.print(f"[bold]{vendor}[/bold], polled every {spoken(interval)}")
        shown = table("FAULT", "NOTICED AT THE LATEST AFTER", "SHOWN BY", "ASKED EVERY")
        for row in sorted(rows, key=lambda d: (d.seconds is None, d.seconds)):
            latest = spoken(row.seconds) if row.seconds is not None else "not known"
            shown.add_row(row.code, latest, ", ".join(row.facets) or "every poll", spoken(row.asked))
        out.print(shown)
        out.print()
    out.print("Not counted: " + "; ".join(EXCLUDED) + ".")


def _by_kind(settings: Settings, house: House) -> dict[tuple[str, float], list[Detection]]:
    """By vendor and interval, as the configuration has them."""
    inventory = build(settings)
    specs = rules_of(settings, inventory, house).specs
    kinds = {(d.vendor, d.interval or settings.polling.interval) for d in inventory.devices if d.host}
    return {(vendor, interval): detections(house.collectors[vendor], specs, interval) for vendor, interval in sorted(kinds)}


def spoken(seconds: float) -> str:
    """A duration for people: `45 s`, `6 min 30 s`, `1 h 1 min`."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    parts = [f"{number:g} {unit}" for number, unit in ((hours, "h"), (minutes, "min"), (rest, "s")) if number]
    return " ".join(parts) or "0 s"
