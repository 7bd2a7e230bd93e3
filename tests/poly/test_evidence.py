"""Files for a case, against the simulated codec."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import CollectError, NotSupported, Reason
from agent.ports import EvidenceItem
from collectors.poly import PLUGIN
from collectors.poly.evidence import check_tar, scrub_config, scrub_json
from simulator.poly import Tuning
from tests.poly.room import Room, room

ITEMS = {item.name: item for item in PLUGIN.evidence}


async def fetch(one: Room, item: EvidenceItem) -> bytes:
    async with one.collector.open(one.device) as visit:
        return b"".join([piece async for piece in item.fetch(visit.client)])


@pytest.mark.parametrize("profile", ["x30-3.10", "x30", "x50-tc8", "g7500-e70"])
async def test_the_log_bundle_is_a_tar_with_the_devices_lines(tmp_path: Path, profile: str) -> None:
    async with room(tmp_path, profile, tuning=Tuning(log_bytes=300_000, log_seconds=0.1)) as one:
        body = await fetch(one, ITEMS["poly-logs.tar"])
        assert check_tar(body[:512]) == ""
        with tarfile.open(fileobj=io.BytesIO(body)) as archive:
            assert archive.getnames()


async def test_a_log_bundle_beyond_the_limit_is_given_up(tmp_path: Path) -> None:
    async with room(tmp_path, settings={"log_bundle_limit": 1 << 20}, tuning=Tuning(log_bytes=3_000_000, log_seconds=0.1)) as one:
        with pytest.raises(CollectError) as raised:
            await fetch(one, ITEMS["poly-logs.tar"])
        assert raised.value.reason is Reason.TOO_LARGE
        assert (await one.look()).ok("system")
        assert one.ours == 1


async def test_an_interface_without_logs_says_so(tmp_path: Path) -> None:
    async with room(tmp_path, tuning=Tuning(missing=frozenset({"/system/logs"}))) as one:
        with pytest.raises(NotSupported):
            await fetch(one, ITEMS["poly-logs.tar"])


async def test_the_session_list_names_clients_and_no_id_and_no_user(tmp_path: Path) -> None:
    async with room(tmp_path) as one:
        await one.look()
        item = ITEMS["poly-sessions.json"]
        raw = await fetch(one, item)
        assert item.scrub is not None
        clean = json.loads(item.scrub(raw))
        assert {row["sessionId"] for row in clean["sessionList"]} == {"***"}
        assert {row["userId"] for row in clean["sessionList"]} == {"***"}
        assert all(row["location"] for row in clean["sessionList"])
        ids = [row["sessionId"] for row in json.loads(raw)["sessionList"]]
        assert not [i for i in ids if i.encode() in item.scrub(raw)]


async def test_the_settings_export_holds_no_secret(tmp_path: Path) -> None:
    async with room(tmp_path) as one:
        raw = await fetch(one, ITEMS["poly-config.xml"])
        spiked = raw.replace(b"<ALL", b"<ALL\n    prov.login.password=\"jawne-1\"\n    snmp.community='jawne-2'")
        clean = scrub_config(spiked + b"<x.secret.key>jawne-3</x.secret.key>")
        assert b"jawne" not in clean
        assert b'upgrade.auto.timeFrame.startTime="01:00"' in clean
        assert b"REMOVED_SECURE_CONTENT" not in clean


async def test_ping_and_route_are_asked_only_towards_a_gateway_that_is_set(tmp_path: Path) -> None:
    async with room(tmp_path) as one:
        with pytest.raises(NotSupported, match="gateway"):
            await fetch(one, ITEMS["poly-ping.json"])
        assert one.sim.box.counters.requests["POST", "/rest/system/network/ping"] == 0
    async with room(tmp_path / "set", settings={"gateway": "192.0.2.1"}) as one:
        assert json.loads(await fetch(one, ITEMS["poly-ping.json"]))["icmpReachable"] is True
        assert json.loads(await fetch(one, ITEMS["poly-traceroute.json"]))["totalHops"] == 2


def test_what_is_no_tar_is_refused() -> None:
    assert check_tar(gzip.compress(b"x")) == ""
    assert check_tar(b"\0" * 257 + b"ustar" + b"\0" * 200) == ""
    assert "instead" in check_tar(b"<html>no</html>")
    assert "instead" in check_tar(b'{"error":1}')
    assert check_tar(b"\x7fELF")
    assert check_tar(b"")


@given(st.binary(max_size=200))
def test_scrubbing_never_raises_and_withholds_what_it_cannot_read(body: bytes) -> None:
    scrub_config(body)
    clean = scrub_json(body)
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        assert clean.startswith(b"(withheld")


@given(st.text(min_size=6, max_size=20, alphabet="abcdefgh0123456789"))
def test_a_secret_anywhere_in_json_is_masked(secret: str) -> None:
    body = json.dumps({"a": [{"sessionId": secret, "nested": {"adminPassword": secret, "rest": 1}}], "userId": secret}).encode()
    assert secret.encode() not in scrub_json(body)


def test_an_answer_that_is_nested_beyond_reason_is_withheld() -> None:
    assert scrub_json(b'{"a":' * 900 + b"1" + b"}" * 900).startswith(b"(withheld: ")
