"""A real Prometheus scrapes the page; what Grafana would ask it is asked."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import exporters.grafana
from agent.model import Reading
from exporters.prometheus.endpoints import open_observer
from tests.e2e.scraped import scraped_fleet
from tests.grafana.prometheus import Prometheus, prometheus, substitute
from tests.grafana.target import MetricsTarget
from tests.prometheus.samples import context, status

DASHBOARD: dict[str, Any] = json.loads((Path(exporters.grafana.__file__).parent / "dashboards" / "fleet.json").read_text(encoding="utf-8"))
PANELS = [p for p in DASHBOARD["panels"] if p["type"] != "row"]
VARIABLES = {"job": ".+", "instance": ".+", "site": ".*", "vendor": ".*", "device": ".+", "__range": "30s", "__rate_interval": "10s"}

EMPTY_WHILE_ALL_IS_WELL = {"Open faults", "Open tickets", "Faults"}
"""Panels that have nothing to show on a fleet without a fault."""


@pytest.fixture(scope="module")
def metrics_target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MetricsTarget]:
    """The page under test: that of the real daemon over the simulated fleet, started once."""
    with scraped_fleet(tmp_path_factory.mktemp("fleet")) as fleet:
        yield fleet


@pytest.fixture
async def server(metrics_target: MetricsTarget, tmp_path: Path) -> AsyncIterator[Prometheus]:
    async with prometheus(metrics_target.address, tmp_path) as running:
        yield running


async def eventually(what: str, holds: Callable[[], Awaitable[bool]], *, seconds: float = 30) -> None:
    """Ask Prometheus until it holds: there is no event for 'the next scrape has been stored'."""
    try:
        async with asyncio.timeout(seconds):
            while not await holds():  # noqa: ASYNC110 - see above
                await asyncio.sleep(0.25)
    except TimeoutError:
        pytest.fail(f"after {seconds} s still not: {what}")


async def answers(server: Prometheus, panel: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """What each query of a panel gets."""
    found = []
    for target in panel["targets"]:
        expression = substitute(target["expr"], VARIABLES)
        found.append(await server.instant(expression) if target["instant"] else await server.over(expression, seconds=20))
    return found


async def without_data(server: Prometheus) -> set[str]:
    return {p["title"] for p in PANELS if not all(await answers(server, p))}


def number(found: list[dict[str, Any]]) -> float:
    """The value of a single series."""
    (one,) = found
    return float(one["value"][1])


async def shown(server: Prometheus, title: str) -> float:
    """What a stat shows."""
    (panel,) = [p for p in PANELS if p["title"] == title and p["type"] == "stat"]
    (found,) = await answers(server, panel)
    return number(found)


async def test_every_panel_has_data_and_a_fault_shows_and_goes(server: Prometheus, metrics_target: MetricsTarget) -> None:
    device = metrics_target.device

    async def scraped() -> bool:
        return bool(await server.instant('latarnik_device_up{device=~".+"}'))

    await eventually("the page is scraped", scraped)
    (up,) = await server.instant('up{job="latarnik"}')
    assert up["value"][1] == "1"
    before = {title: await shown(server, title) for title in ("Devices watched", "Devices with faults", "Tickets open")}
    assert before["Devices watched"] == len(await server.instant("latarnik_device_info"))

    # With the fault: everything has data, and the numbers have changed.
    await metrics_target.break_it()

    async def all_have_data() -> bool:
        return not await without_data(server)

    try:
        await eventually("every panel has data", all_have_data, seconds=60)
    except pytest.fail.Exception:
        pytest.fail(f"without data: {sorted(await without_data(server))}")
    assert await shown(server, "Devices with faults") == before["Devices with faults"] + 1
    assert await shown(server, "Tickets open") > before["Tickets open"]
    for title in ("Open faults", "Open tickets"):
        (panel,) = [p for p in PANELS if p["title"] == title and p["type"] == "table"]
        rows = (await answers(server, panel))[0]
        assert device in {row["metric"]["device"] for row in rows}
        assert all(row["metric"]["room"] for row in rows), "joined with the device's info"

    async def alert_fires() -> bool:
        return bool(await server.instant(f'ALERTS{{alertname="LatarnikFaultCritical", device="{device}", alertstate="firing"}}'))

    await eventually("the alert fires", alert_fires)

    # Mended: the fault has left Prometheus, and has not merely become old.
    await metrics_target.mend_it()

    async def gone() -> bool:
        faults = await server.instant(f'latarnik_device_fault_active{{device="{device}"}}')
        return not faults and await shown(server, "Devices with faults") == before["Devices with faults"]

    await eventually("the fault is gone", gone, seconds=60)
    assert await without_data(server) <= EMPTY_WHILE_ALL_IS_WELL


async def test_variables_and_rules_work(server: Prometheus, metrics_target: MetricsTarget) -> None:
    async def scraped() -> bool:
        return bool(await server.instant("latarnik_device_info"))

    await eventually("the page is scraped", scraped)
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            match = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
            assert match
            values = await server.get(f"/api/v1/label/{match[2]}/values", **{"match[]": substitute(match[1], VARIABLES)})
            assert values, variable["name"]
            if variable["name"] == "device":
                assert metrics_target.device in values

    # Choosing a vendor narrows the fleet.
    (panel,) = [p for p in PANELS if p["title"] == "Devices watched"]
    expression = panel["targets"][0]["expr"]
    counts = {vendor: number(await server.instant(substitute(expression, {**VARIABLES, "vendor": vendor}))) for vendor in (".*", "poly", "axis")}
    assert counts[".*"] == counts["poly"] + counts["axis"]
    assert min(counts.values()) > 0

    async def evaluated() -> bool:
        groups = (await server.get("/api/v1/rules"))["groups"]
        return bool(groups) and all(rule["health"] != "unknown" for group in groups for rule in group["rules"])

    await eventually("all rules are evaluated", evaluated)
    groups = (await server.get("/api/v1/rules"))["groups"]
    assert [(rule["name"], rule.get("lastError")) for group in groups for rule in group["rules"] if rule["health"] != "ok"] == []


async def test_prometheus_reads_whatever_devices_call_their_sensors(tmp_path: Path) -> None:
    names = ["", "a\0b", "a\nb\r", '"\\', "\\n", "\u2028\x85", "{}=,# EOF", "ą\U0010ffff", " "]
    readings = [Reading(metric="latarnik_device_temperature_celsius", value=i, labels=(name,)) for i, name in enumerate(names)]
    async with open_observer(context()) as observer:
        observer.device_changed(status(readings=readings))
        host, port = observer.address
        async with prometheus(f"{host}:{port}", tmp_path) as server:
            query = "latarnik_device_temperature_celsius"

            async def scraped() -> bool:
                return bool(await server.instant("up"))

            await eventually("the page is scraped", scraped)
            found = {row["metric"].get("sensor", ""): float(row["value"][1]) for row in await server.instant(query)}
    assert found == {name: i for i, name in enumerate(names)}
