from __future__ import annotations

import asyncio
import gzip
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import TypeVar

import pytest
from aiohttp import ClientResponse, ClientSession

from agent.errors import LatarnikError
from agent.model import Device, MetricSpec, Reading
from agent.ports import ObserverContext, PollReport
from exporters.prometheus import PLUGIN, endpoints
from exporters.prometheus.endpoints import PrometheusObserver, open_observer
from tests.prometheus.samples import NOW, TICKET, context, device, incident, status
from tests.prometheus.test_exposition import key, series

T = TypeVar("T")
Open = Callable[[ObserverContext], Awaitable[PrometheusObserver]]
OPENMETRICS = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"}


@pytest.fixture
async def start() -> AsyncIterator[Open]:
    async with AsyncExitStack() as stack:
        yield lambda where: stack.enter_async_context(open_observer(where))


@pytest.fixture
async def client() -> AsyncIterator[ClientSession]:
    async with ClientSession(auto_decompress=False, headers={"Accept-Encoding": "identity"}) as session:
        yield session


def url(observer: PrometheusObserver, path: str) -> str:
    host, port = observer.address
    return f"http://{host}:{port}{path}"


async def eventually(ask: Callable[[], Awaitable[T]], holds: Callable[[T], bool]) -> bool:
    """Ask over the network until it holds, for at most five seconds."""
    for _ in range(250):
        if holds(await ask()):
            return True
        await asyncio.sleep(0.02)
    return False


async def text(client: ClientSession, observer: PrometheusObserver, path: str = "/metrics", **headers: str) -> str:
    async with client.get(url(observer, path), headers=headers) as response:
        assert response.status == 200, await response.text()
        return await response.text()


async def test_both_formats_say_the_same(start: Open, client: ClientSession) -> None:
    observer = await start(context())
    observer.device_changed(status(incidents=[incident()], tickets=[TICKET]))
    async with client.get(url(observer, "/metrics")) as response:
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        plain = await response.text()
    async with client.get(url(observer, "/metrics"), headers=OPENMETRICS) as response:
        assert response.headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
        assert response.headers["Vary"] == "Accept, Accept-Encoding"
        openmetrics = await response.text()
    one, other = series(plain), series(openmetrics)
    assert one.keys() == other.keys()
    moving = ("process_", "python_", "latarnik_event_loop_lag", "latarnik_scrape_duration")
    assert {k: v for k, v in one.items() if not k[0].startswith(moving)} == {k: v for k, v in other.items() if not k[0].startswith(moving)}
    assert not [name for name, _ in one if name.endswith("_created")]


async def test_promtool_finds_nothing_to_say_about_the_page(start: Open, client: ClientSession) -> None:
    promtool = shutil.which("promtool")
    assert promtool, "promtool is missing: apt-get install prometheus"
    observer = await start(context())
    observer.device_changed(status(incidents=[incident()], tickets=[TICKET], blocked=True))
    observer.polled(PollReport(device="room-314", vendor="poly", duration=0.7, requests={"http": 4}, failures=[("http", "timeout")]))
    observer.delivery("helpdesk", "timeout")
    observer.queue("helpdesk", 2, NOW, 1)
    page = await text(client, observer)
    check = await asyncio.to_thread(subprocess.run, [promtool, "check", "metrics"], input=page.encode(), capture_output=True, check=False)
    assert (check.returncode, check.stdout, check.stderr) == (0, b"", b"")


async def test_gzip_is_sent_where_it_is_wanted(start: Open, client: ClientSession) -> None:
    observer = await start(context())
    observer.device_changed(status())
    for path in ("/metrics", "/api/v1/devices"):
        async with client.get(url(observer, path), headers={"Accept-Encoding": "gzip"}) as response:
            assert response.headers["Content-Encoding"] == "gzip"
            assert b"room-314" in gzip.decompress(await response.read())
        async with client.get(url(observer, path)) as response:
            assert "Content-Encoding" not in response.headers


async def test_a_large_page_arrives_whole_plain_and_compressed(start: Open, client: ClientSession) -> None:
    devices = [device(f"d{i}") for i in range(1500)]
    observer = await start(context(devices))
    for each in devices:
        observer.device_changed(status(each))
    query = "/metrics?name[]=latarnik_device_temperature_celsius&name[]=latarnik_device_info"
    plain = await text(client, observer, query)
    assert len(series(plain)) == 1500 * 3
    async with client.get(url(observer, query), headers={"Accept-Encoding": "gzip"}) as response:
        assert gzip.decompress(await response.read()).decode() == plain
    listed = json.loads(await text(client, observer, "/api/v1/devices"))
    assert [d["id"] for d in listed["devices"]] == [d.id for d in devices]


@pytest.mark.parametrize("names", [["latarnik_device_up"], ["latarnik_polls_total", "latarnik_device_up"], ["latarnik_foreign"]])
async def test_names_pick_metrics_of_devices_and_of_the_agent(start: Open, client: ClientSession, names: list[str]) -> None:
    observer = await start(context())
    observer.device_changed(status())
    query = "&".join(f"name[]={name}" for name in names)
    for headers in ({}, OPENMETRICS):
        found = series(await text(client, observer, f"/metrics?{query}", **headers))
        assert {name for name, _ in found} == set(names) - {"latarnik_foreign"}


async def test_the_fleet_is_listed_before_the_first_poll(start: Open, client: ClientSession) -> None:
    observer = await start(context([device("a"), device("b", vendor="axis")]))
    found = series(await text(client, observer))
    assert {dict(labels)["device"] for name, labels in found if name == "latarnik_device_info"} == {"a", "b"}
    assert "latarnik_device_up" not in {name for name, _ in found}
    assert found[key("latarnik_inventory_devices", vendor="axis")] == 1
    listed = json.loads(await text(client, observer, "/api/v1/devices"))
    assert [(d["id"], d["up"], d["health"]) for d in listed["devices"]] == [("a", None, "unknown"), ("b", None, "unknown")]


async def test_the_list_of_devices_has_a_schema_and_a_time(start: Open, client: ClientSession) -> None:
    observer = await start(context([]))
    empty = json.loads(await text(client, observer, "/api/v1/devices"))
    assert (empty["schema"], empty["devices"]) == (1, [])
    assert empty["at"].endswith("+00:00")


async def test_what_the_agent_does_is_counted(start: Open, client: ClientSession) -> None:
    observer = await start(context())
    observer.polled(PollReport(device="room-314", vendor="poly", duration=0.7, requests={"http": 4, "snmp": 1}, failures=[("http", "timeout")]))
    observer.delivery("helpdesk", "ok")
    observer.delivery("helpdesk", "unreachable")
    observer.delivery("helpdesk", "Text of the desk: 500 Oh, no")
    observer.queue("helpdesk", 2, NOW, 1)
    found = series(await text(client, observer))
    assert found[key("latarnik_polls_total", vendor="poly")] == 1
    assert found[key("latarnik_poll_requests_total", source="http")] == 4
    assert found[key("latarnik_poll_failures_total", source="http", reason="timeout")] == 1
    assert found[key("latarnik_poll_duration_seconds_bucket", vendor="poly", le="1.0")] == 1
    assert found[key("latarnik_poll_duration_seconds_bucket", vendor="poly", le="0.5")] == 0
    assert found[key("latarnik_delivery_attempts_total", desk="helpdesk")] == 3
    assert found[key("latarnik_delivery_failures_total", desk="helpdesk", reason="unreachable")] == 1
    assert found[key("latarnik_delivery_failures_total", desk="helpdesk", reason="other")] == 1
    assert found[key("latarnik_ticket_queue_length", desk="helpdesk")] == 2
    assert found[key("latarnik_ticket_steps_dead", desk="helpdesk")] == 1
    assert found[key("latarnik_ticket_queue_oldest_timestamp_seconds", desk="helpdesk")] == NOW.timestamp()
    observer.queue("helpdesk", 0, None, 0)
    found = series(await text(client, observer))
    assert found[key("latarnik_ticket_queue_length", desk="helpdesk")] == 0
    assert found[key("latarnik_ticket_steps_dead", desk="helpdesk")] == 0
    assert "latarnik_ticket_queue_oldest_timestamp_seconds" not in {name for name, _ in found}


async def test_the_requests_to_each_device_are_counted_and_shown_with_its_status(start: Open, client: ClientSession) -> None:
    observer = await start(context())
    for requests in ({"http": 4, "snmp": 1}, {"http": 1}):
        observer.polled(PollReport(device="room-314", vendor="poly", duration=0.7, requests=requests, failures=[]))
        observer.device_changed(status())
    found = series(await text(client, observer))
    name = status().device.id
    assert name == "room-314"
    assert found[key("latarnik_device_requests_total", device=name, source="http")] == 5
    assert found[key("latarnik_device_requests_total", device=name, source="snmp")] == 1
    assert len([labels for metric, labels in found if metric == "latarnik_device_requests_total"]) == 2


async def test_a_configuration_that_was_not_taken_is_shown_until_one_is(start: Open, client: ClientSession) -> None:
    observer = await start(context())
    shown = [key("latarnik_config_last_reload_successful"), key("latarnik_config_last_reload_success_timestamp_seconds")]
    observer.config_loaded(NOW, successful=True)
    found = series(await text(client, observer))
    assert [found[name] for name in shown] == [1, NOW.timestamp()]
    observer.config_loaded(NOW + timedelta(hours=1), successful=False)
    found = series(await text(client, observer))
    assert [found[name] for name in shown] == [0, NOW.timestamp()]


async def test_reasons_of_desks_do_not_become_series_without_end(start: Open, client: ClientSession) -> None:
    observer = await start(context())
    for i in range(500):
        observer.delivery("helpdesk", f"reason_{i}")
    found = series(await text(client, observer))
    reasons = {k: v for k, v in found.items() if k[0] == "latarnik_delivery_failures_total"}
    assert len(reasons) == 65
    assert sum(reasons.values()) == 500


async def test_refused_readings_are_counted_each_time_and_never_exported(start: Open, client: ClientSession) -> None:
    observer = await start(context())
    for _ in range(2):
        observer.device_changed(status(readings=[Reading(metric="latarnik_device_mood", value=1.0)]))
    found = series(await text(client, observer))
    assert found[key("latarnik_readings_refused_total", reason="undeclared")] == 2
    assert found[key("latarnik_readings_refused_total", reason="duplicate")] == 0
    assert "latarnik_device_mood" not in {name for name, _ in found}


async def test_the_lag_of_the_event_loop_is_measured(start: Open, client: ClientSession) -> None:
    import time

    observer = await start(context())
    gauge = key("latarnik_event_loop_lag_seconds")
    await asyncio.sleep(0)  # the watch has begun to sleep
    time.sleep(0.6)  # noqa: ASYNC251 - holding the loop is what is measured
    assert await eventually(lambda: text(client, observer), lambda page: series(page)[gauge] >= 0.3)


@pytest.mark.parametrize("path", ["/-/healthy", "/-/ready"])
async def test_health_and_readiness_say_why_not(start: Open, client: ClientSession, path: str) -> None:
    good, bad = await start(context()), await start(context(ready="database: not yet open", healthy="scheduler: stands still"))
    assert await text(client, good, path) == "ok\n"
    async with client.get(url(bad, path)) as response:
        assert response.status == 503
        assert await response.text() == {"/-/healthy": "scheduler: stands still\n", "/-/ready": "database: not yet open\n"}[path]


async def test_the_first_page_leads_to_the_others(start: Open, client: ClientSession) -> None:
    observer = await start(context())
    page = await text(client, observer, "/")
    for path in ("/metrics", "/api/v1/devices", "/-/healthy", "/-/ready"):
        assert f'href="{path}"' in page
        await text(client, observer, path)


def protected(response: ClientResponse) -> bool:
    headers = response.headers
    return (
        headers["X-Content-Type-Options"] == "nosniff"
        and headers["X-Frame-Options"] == "DENY"
        and "default-src 'none'" in headers["Content-Security-Policy"]
        and headers["Cache-Control"] == "no-store"
        and headers["Server"] == "latarnik"
        and not [h for h in headers if h.lower().startswith("access-control-")]
    )


@pytest.mark.parametrize("path", ["/", "/metrics", "/api/v1/devices", "/-/healthy", "/-/ready", "/nothing-here"])
async def test_every_answer_has_the_protecting_headers_and_nothing_can_be_written(start: Open, client: ClientSession, path: str) -> None:
    observer = await start(context())
    expected = 404 if path == "/nothing-here" else 200
    async with client.get(url(observer, path), headers={"Origin": "https://elsewhere.example.org"}) as response:
        assert response.status == expected
        assert protected(response)
    async with client.head(url(observer, path)) as response:
        assert (response.status, await response.read()) == (expected, b"")
        assert protected(response)
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        async with client.request(method, url(observer, path), data=b"x") as response:
            assert response.status == (404 if expected == 404 else 405)
            assert protected(response)


async def test_who_comes_when_too_many_pages_are_on_their_way_is_told_to_come_later(
    start: Open, client: ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "MAX_REQUESTS", 0)
    observer = await start(context())
    async with client.get(url(observer, "/metrics")) as response:
        assert response.status == 503
        assert response.headers["Retry-After"] == "1"
        assert protected(response)
    assert await text(client, observer, "/-/healthy") == "ok\n"


async def test_a_client_that_does_not_read_is_cut_off_and_its_place_is_free_again(start: Open, client: ClientSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "PAGE_TIMEOUT", 0.3)
    monkeypatch.setattr(endpoints, "MAX_REQUESTS", 1)
    long = "x" * 400
    devices = [Device(id=f"{i}", vendor="poly", room=long, site=long, serial=long) for i in range(12_000)]  # more than a socket's buffers hold
    observer = await start(context(devices))
    reader, writer = await asyncio.open_connection(*observer.address, limit=1024)
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: example.org\r\n\r\n")

    async def answer() -> int:
        async with client.get(url(observer, "/metrics?name[]=latarnik_polls_total")) as response:
            return response.status

    assert await eventually(answer, lambda code: code == 503)
    assert await eventually(answer, lambda code: code == 200)
    async with asyncio.timeout(5):
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(100_000_000)
    writer.close()


async def test_a_port_that_is_taken_is_a_clear_error_and_nothing_is_left_behind(start: Open) -> None:
    first = await start(context())
    with pytest.raises(LatarnikError, match=rf"cannot listen on 127\.0\.0\.1:{first.address[1]}.*`listen:`"):
        await start(context(port=first.address[1]))
    assert len([t for t in asyncio.all_tasks() if t.get_name() == "event-loop-lag"]) == 1


async def test_a_metric_with_the_name_of_an_own_one_is_an_error_at_start(start: Open) -> None:
    with pytest.raises(ValueError, match="latarnik_build_info"):
        await start(context(metrics=[MetricSpec(name="latarnik_build_info", help="x")]))


async def test_leaving_stops_the_listener() -> None:
    async with PLUGIN.open(context()) as observer:
        assert isinstance(observer, PrometheusObserver)
        address = observer.address
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*address)
    assert not [t for t in asyncio.all_tasks() if t.get_name() == "event-loop-lag"]


async def test_a_device_that_went_down_shows_no_values_on_the_page(start: Open, client: ClientSession) -> None:
    observer = await start(context())
    observer.device_changed(status())
    before = {name for name, _ in series(await text(client, observer))}
    observer.device_changed(status(up=False, fresh=False))
    after = series(await text(client, observer))
    assert {"latarnik_device_temperature_celsius", "latarnik_call_active", "latarnik_device_facet_ok"} <= before - {name for name, _ in after}
    assert after[key("latarnik_device_up", device="room-314")] == 0


def test_times_are_in_utc_whatever_zone_they_come_in() -> None:
    from dataclasses import replace
    from datetime import timezone

    from exporters.prometheus.facts import entry

    warsaw = NOW.astimezone(timezone(timedelta(hours=1)))
    assert entry(replace(status(), last_poll=warsaw))["last_poll"] == "2026-03-02T08:00:00+00:00"
