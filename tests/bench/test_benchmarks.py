"""The benchmarks measure what they say: both sides do the same, readings are compared, and a side that does less is found out."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from gufo.snmp import SnmpVersion
from gufo.snmp.aio import SnmpSession
from yarl import URL

from agent.app import find_house
from bench import hostile, peers, poll, scrape
from bench.__main__ import PLAN, table
from bench.neutral import HOSTS, Neutral, neutral
from bench.product import hashed, readings_of
from bench.recording import COMMUNITY, Recording, record
from bench.rounds import Figure, Ratio, alternate, keep
from bench.site import write_site
from bench.subject import subject
from tests.support.hostile.run import every


@pytest.fixture(scope="module")
def camera() -> Recording:
    return asyncio.run(record("axis", find_house()))


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{user}:{password}".encode()).decode()}


def ask(port: int, method: str, target: str, **more: Any) -> tuple[int, bytes]:
    async def one() -> tuple[int, bytes]:
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, URL(f"https://{HOSTS[0]}:{port}{target}", encoded=True), ssl=False, **more) as response,
        ):
            return response.status, await response.read()

    return asyncio.run(one())


@pytest.fixture(scope="module")
def servers(camera: Recording, tmp_path_factory: pytest.TempPathFactory) -> Any:
    with neutral(tmp_path_factory.mktemp("neutral") / "servers", camera, ("one", "two")) as running:
        yield running


def test_the_neutral_server_gives_what_the_simulated_device_gave(camera: Recording, servers: Neutral) -> None:
    port = servers.sides["one"].https
    account = basic(camera.user, camera.password)
    for played in camera.played:
        status, body = ask(port, played.method, played.target, data=b"x" * played.size if played.method == "POST" else None, headers=account)
        assert status == played.status, played.target
        assert status == 404 or body == played.body, played.target
    assert ask(port, "GET", "/nowhere")[0] == 404


def test_the_neutral_server_wants_an_account_where_the_device_did(camera: Recording, servers: Neutral) -> None:
    guarded = [p for p in camera.played if p.guarded and p.method == "GET" and p.status == 200]
    assert guarded
    for played in guarded:
        assert ask(servers.sides["one"].https, "GET", played.target)[0] == 401
        wrong = basic(camera.user, "wrong")
        assert ask(servers.sides["one"].https, "GET", played.target, headers=wrong)[0] == 401


def test_each_side_is_counted_by_itself(camera: Recording, servers: Neutral) -> None:
    played = next(p for p in camera.played if not p.guarded)
    servers.mark("one")
    servers.mark("two")
    for _ in range(3):
        ask(servers.sides["two"].https, played.method, played.target, data=b"x" * played.size)
    counted = servers.counted("two", 3)
    assert (counted.requests, counted.connections, counted.handshakes, counted.refused) == (3, 3, 3, 0)
    assert counted.received > 3 * played.size
    assert counted.sent > 3 * len(played.body)
    assert servers.counted("one", 0).requests == 0


def test_the_responder_answers_as_the_simulated_agent_does_and_counts(camera: Recording, servers: Neutral) -> None:
    async def questions() -> tuple[dict[str, Any], list[tuple[str, Any]], list[tuple[str, Any]]]:
        session = SnmpSession(HOSTS[0], servers.sides["one"].snmp, community=COMMUNITY, version=SnmpVersion.v2c, timeout=5)
        found = await session.get_many(["1.3.6.1.2.1.1.1.0", "1.3.6.1.2.1.1.99.0", "1.3.6.1.2.1.2.2.1.6.2"])
        bulk = [row async for row in session.getbulk("1.3.6.1.4.1.368.4.1", max_repetitions=7)]
        single = [row async for row in session.getnext("1.3.6.1.4.1.368.4.1")]
        return found, bulk, single

    servers.mark("one")
    found, bulk, single = asyncio.run(questions())
    below = [oid for oid, _ in camera.objects if oid[:9] == (1, 3, 6, 1, 4, 1, 368, 4, 1)]
    assert set(found) == {"1.3.6.1.2.1.1.1.0", "1.3.6.1.2.1.2.2.1.6.2"}
    assert [oid for oid, _ in bulk] == [".".join(map(str, oid)) for oid in below]
    assert bulk == single
    counted = servers.counted("one", 0)
    assert counted.datagrams == 1 + -(-(len(below) + 1) // 7) + len(below) + 1
    assert counted.snmp_received > 0 < counted.snmp_sent


@pytest.mark.parametrize("vendor", ["axis", "poly"])
def test_both_sides_of_a_cycle_do_the_same_and_the_readings_are_whole(vendor: str) -> None:
    rows, raw = poll.measure(vendor, rounds=1, devices=4, times=2, rate=20.0)
    assert len(rows) == 2
    for how in ("saturated", "paced"):
        (block,) = raw[how]
        did = block["latarnik"]["counted"]
        assert poll.same_work(did, block["floor"]["counted"])
        assert did["connections"] == did["handshakes"] == 1
        assert did["requests"] == sum(isinstance(step, str) for step in raw["plan"])
        assert did["datagrams"] == (2 if vendor == "axis" else 0)
        assert len(block["latarnik"]["sha256"]) == 64


def test_a_poll_that_skips_something_is_found_out(camera: Recording, tmp_path: Path) -> None:
    expected = poll.lines_of(camera)
    with neutral(tmp_path / "servers", replace(camera, objects=camera.objects[:30]), ("latarnik",)) as servers:
        config = write_site(tmp_path / "site", camera, servers.sides["latarnik"], 2, interval=300.0)
        with subject("bench.product", tmp_path, "product", str(config)) as product:
            product.ask("polls", ahead=3600.0)
            found = product.ask("check", expected=expected)
    assert found["good"] == 0
    assert any("temperature_sensor_ok" in line for line in found["odd"])


def test_a_side_that_asks_less_is_found_out() -> None:
    did = {"requests": 3.0, "handshakes": 1.0, "sent": 1894.0, "snmp_sent": 563.99}
    assert poll.same_work(did, {**did, "snmp_sent": 564.0})
    assert not poll.same_work(did, {**did, "requests": 2.99})
    assert not poll.same_work(did, {**did, "handshakes": 0.5})
    assert not poll.same_work(did, {**did, "sent": 1800.0})


def test_the_exporters_are_asked_for_the_same(camera: Recording) -> None:
    row, raw = peers.measure(rounds=1, devices=4, times=2)
    (block,) = raw["rounds"]
    ours, theirs = block["latarnik"]["counted"], block["peers"]["counted"]
    assert ours["requests"] == theirs["requests"] == 3
    assert (ours["handshakes"], theirs["handshakes"]) == (1, 3)
    assert ours["datagrams"] == theirs["datagrams"] == 2
    assert row.what.endswith("1 snmp_exporter scrape")


def test_both_pages_hold_the_same_series() -> None:
    _, raw = scrape.measure(devices=30, rounds=1)
    ours, theirs = raw["series"]["latarnik"], raw["series"]["prometheus_client"]
    assert ours == theirs
    assert ours[0] == 30 * 40


def test_a_page_of_other_values_has_another_hash() -> None:
    assert scrape.series_hash(b"# HELP a b\na 1\n") == scrape.series_hash(b"a 1.0\n")
    assert scrape.series_hash(b"a 1\n") != scrape.series_hash(b"a 2\n")
    page = '# TYPE m gauge\nm{device="d",state="on"} 1\nm{device="d",state="off"} 0\n'
    assert readings_of(page, frozenset({"m"})) == {"d": {json.dumps(["m", ["state=on"], 1.0])}}
    assert hashed({"a", "b"}) == hashed({"b", "a"}) != hashed({"a"})


def test_rounds_go_a_b_b_a() -> None:
    order: list[str] = []

    def side(name: str) -> dict[str, Any]:
        order.append(name)
        return {"cpu": 1.0, "cycles": 2}

    assert len(alternate(3, lambda: side("a"), lambda: side("b"))) == 3
    assert order == ["a", "b", "b", "a", "a", "b"]


def test_a_missed_must_is_said_in_every_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("LATARNIK_BENCH_RESULTS", str(tmp_path))
    slow = Ratio(what="slow", rounds=(1.0, 3.0, 2.0), must=1.5, aim=1.2)
    keep("x", [slow, Figure(what="known", value=2.5, unit="ms")], {"rounds": []})
    told = json.loads((tmp_path / "x.json").read_text())
    assert [row["what"] for row in told["rows"]] == ["slow", "known"]
    assert (told["rows"][0]["median"], told["rows"][0]["low"], told["rows"][0]["high"]) == (2.0, 1.0, 3.0)
    assert "MISSED" in capsys.readouterr().out
    assert "**must missed**" in table([(told, row) for row in told["rows"]])
    assert replace(slow, rounds=(1.1,)).verdict == "aim"
    assert replace(slow, rounds=(1.4,)).verdict == "must"


def test_every_benchmark_is_part_of_make_bench() -> None:
    modules = {path.stem for path in Path("bench").glob("*.py") if "def measure(" in path.read_text()}
    assert modules == {name for name, _, _ in PLAN}


def test_a_crowd_of_hostile_devices_has_every_behaviour_and_names_of_its_own() -> None:
    devices = hostile.crowd(1000, floods=True)
    assert len({device["id"] for device in devices}) == 1000
    kinds = {(device["vendor"], device["behaviour"]) for device in devices}
    assert kinds == {(device["vendor"], device["behaviour"]) for device in every()}
    assert {device["where"] for device in devices if device["behaviour"] == "drip-body"} == {"some", "all"}


def test_a_crowd_without_floods_still_answers_nonsense_hangs_resets_and_half_closes() -> None:
    kinds = {device["behaviour"] for device in hostile.crowd(1000, floods=False)}
    assert {"silence", "half-closed", "reset-in-body", "reset-handshake", "no-http", "json-deep", "xml-wide", "drip-body", "wrong-type", "snmp-junk"} <= kinds
    assert not kinds & {"gzip-bomb", "endless-body", "snmp-flood"}


def test_polls_that_came_late_show_as_gaps() -> None:
    found = hostile.Cadence(gaps=(60.0, 60.1, 59.9, 140.0), lost=0, memory=1, lag=0.0, cpu=1.0, met=0).told()
    assert (found["median"], found["longest"], found["hundredth"]) == (60.05, 140.0, 140.0)
