"""The client can only read: proven against every method, path and body that could be thought of."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import NotSupported
from collectors.poly import PLUGIN
from collectors.poly.client import COMMANDS, CONFIG, DEVICES, PING, QUESTIONS, READS, PolyClient, permitted
from simulator.poly import Tuning
from tests.poly.room import room

CHANGING = [
    ("POST", "/rest/system/reboot", {"action": "reboot"}),
    ("POST", "/rest/system/resetsettings", {}),
    ("POST", "/rest/current/system/mode", {"enabledapps": ["Poly"]}),
    ("POST", "/rest/config", {"vars": [{"name": "a", "value": "b"}]}),
    ("POST", "/rest/config", {"names": ["a"], "vars": []}),
    ("POST", "/rest/config", {"names": [{"name": "a", "value": "b"}]}),
    ("POST", "/rest/audio/muted", True),
    ("PUT", "/rest/system", {}),
    ("DELETE", "/rest/session", None),
    ("POST", "/rest/session", {}),
    ("GET", "/rest/system/reboot", None),
    ("GET", "/rest/system/../system/reboot", None),
    ("POST", DEVICES, {"deviceState": "PAIRED", "action": "unpair"}),
    ("POST", PING, {"destination": ["192.0.2.1"]}),
]
METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "get"]


@pytest.mark.parametrize(("method", "path", "body"), CHANGING)
def test_what_changes_a_device_is_not_permitted(method: str, path: str, body: Any) -> None:
    assert not permitted(method, path, body)


@given(
    st.sampled_from(METHODS), st.one_of(st.text(max_size=40), st.sampled_from(sorted({*READS, *QUESTIONS}))), st.dictionaries(st.text(max_size=12), st.none())
)
def test_only_the_tables_pairs_are_permitted(method: str, path: str, body: dict[str, None]) -> None:
    assert not permitted(method, path, body)
    assert permitted(method, path) == ((method == "GET" and path in READS) or (method == "POST" and path == DEVICES))


def test_reading_settings_by_name_is_permitted() -> None:
    assert permitted("POST", CONFIG, {"names": ["system.network.hostname"]})


async def test_a_forbidden_request_never_reaches_the_wire(tmp_path: Path) -> None:
    async with room(tmp_path) as one, one.collector.open(one.device) as visit:
        client = visit.client
        assert isinstance(client, PolyClient)
        with pytest.raises(ValueError, match="not in the table"):
            await client.get("/rest/system/reboot")
        with pytest.raises(ValueError, match="not in the table"):
            await client.post("/rest/system/reboot", {"action": "reboot"})
        with pytest.raises(ValueError, match="not in the table"):
            await client.command("reboot now")
        with pytest.raises(ValueError, match="not in the table"):
            await anext(client.stream("/rest/system/reboot", limit=1, timeout=1.0))
        assert not one.sim.box.counters.requests
        assert one.ports.traffic.connections == 0


def test_no_other_module_of_the_vendor_talks_to_a_device() -> None:
    """The client asks, the session sends it beside its own login and logout, and the collector knocks with a GET of the web page."""
    folder = Path(__file__).parents[2] / "collectors" / "poly"
    speaking = set()
    for file in folder.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("request", "stream", "shell"):
                speaking.add(file.stem)
    assert speaking == {"client", "session", "evidence", "collector"}
    assert (folder / "collector.py").read_text().count('.request("GET", "/", account="")') == 1
    session = (folder / "session.py").read_text()
    assert session.count('"POST"') == session.count('"DELETE"') == 1
    assert '"PUT"' not in session
    assert not COMMANDS & {"reboot now", "resetsystem", "hangup all"}


async def test_a_whole_life_with_evidence_changes_nothing_on_the_device(tmp_path: Path) -> None:
    async with room(tmp_path, "g7500-e70", settings={"gateway": "192.0.2.1"}, tuning=Tuning(log_seconds=0.1)) as one:
        await one.look()
        for item in PLUGIN.evidence:
            async with one.collector.open(one.device) as visit:
                assert b"".join([piece async for piece in item.fetch(visit.client)])
        assert one.sim.box.counters.changes == []
        assert one.ours == 1


async def test_an_interface_that_is_not_there_is_not_supported(tmp_path: Path) -> None:
    async with room(tmp_path, "x50-tc8") as one, one.collector.open(one.device) as visit:
        assert isinstance(visit.client, PolyClient)
        with pytest.raises(NotSupported):
            await visit.client.get("/rest/calendar")
