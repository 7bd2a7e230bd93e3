"""What holds for every answer, also for those nobody thought of."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.catalogue import READING_METRICS
from agent.errors import BadPayload
from agent.model import Reading
from agent.ports import FacetData
from collectors.poly import cli, parse
from collectors.poly import metrics as m
from collectors.poly.login import judge
from collectors.poly.use import UseAnswers, use
from collectors.transport import HttpAnswer
from tests.poly import samples as s

SPECS = {spec.name: spec for spec in (*READING_METRICS, *m.METRICS)}
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _system(text: str) -> FacetData:
    return parse.system(parse.Timed(text=text, at=s.AT))


def _mode(text: str) -> FacetData:
    return use(UseAnswers(mode=text, conferences="[]", apps_state="[]"))


def _calls(text: str) -> FacetData:
    return use(UseAnswers(conferences=text, apps=text))


def _meetings(text: str) -> FacetData:
    return use(UseAnswers(conferences="[]", apps_state=text))


def _shell(text: str) -> FacetData:
    return cli.ssh_status(cli.CliStatus(status=text, calls=text))


PARSERS: dict[str, tuple[Callable[[str], FacetData], Any]] = {
    "system": (_system, s.SYSTEM),
    "status": (parse.status, s.STATUS),
    "peripherals": (parse.peripherals, s.DEVICES),
    "audio": (parse.audio, s.AUDIO),
    "microphones": (parse.microphones, s.MICROPHONES),
    "cameras": (parse.cameras, s.CAMERAS),
    "apps": (parse.apps, s.APPS),
    "sip": (parse.sip_servers, [{"address": "192.0.2.64", "model": "", "state": "UP", "version": ""}]),
    "gatekeepers": (parse.gatekeepers, [{"address": "192.0.2.64", "model": "", "state": "DOWN", "version": ""}]),
    "calendar": (parse.calendar, {"status": "ONLINE"}),
    "sessions": (parse.sessions, s.SESSIONS),
    "mode": (_mode, {"activePersona": "Poly", "appPersona": "Poly", "app": "com.poly.polylauncher"}),
    "calls": (_calls, [s.PENDING, {"id": "0", "isActive": True, "connections": [{"state": "CONNECTED"}], "packageName": "x"}]),
    "meetings": (_meetings, [{"appPackageName": "us.zoom.zoompresence", "inMeeting": False}]),
}
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(["NA", "", 10**400, "\ud800", -1, 1e308]),
)
TREES = st.recursive(ODD, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=6), inner, max_size=4)), max_leaves=12)


def well_formed(data: FacetData) -> None:
    """Readings fit their declaration, keys are unique, and all of it can be written as UTF-8."""
    for reading in data.readings:
        spec = SPECS[reading.metric]
        assert len(reading.labels) == len(spec.labels)
        assert (reading.value is None) == bool(spec.states)
        assert not spec.states or reading.state in (*spec.states, "unknown")
        assert reading.value is None or abs(reading.value) < float("inf")
    assert len({(r.metric, r.labels) for r in data.readings}) == len(data.readings)
    assert len({c.key for c in data.components}) == len(data.components)
    repr(data).encode("utf-8")
    "".join(str(x) for r in data.readings for x in (*r.labels, r.raw)).encode("utf-8")


@pytest.mark.parametrize("name", PARSERS)
@QUICK
@given(text=st.one_of(st.text(max_size=200), TREES.map(json.dumps)))
def test_garbage_is_a_bad_payload_or_a_well_formed_answer(name: str, text: str) -> None:
    try:
        data = PARSERS[name][0](text)
    except BadPayload:
        return
    well_formed(data)


@pytest.mark.parametrize("name", PARSERS)
@QUICK
@given(data=st.data())
def test_an_answer_with_any_value_replaced_is_read_or_a_bad_payload(name: str, data: st.DataObject) -> None:
    parser, sample = PARSERS[name]
    spoiled = json.loads(json.dumps(sample))
    rows = spoiled if isinstance(spoiled, list) else [spoiled]
    row = data.draw(st.sampled_from(rows))
    row[data.draw(st.sampled_from(sorted(row)))] = data.draw(TREES)
    try:
        found = parser(json.dumps(spoiled))
    except BadPayload:
        # A row list in place of the session list makes no sense; nothing else that is one value may take the whole answer with it.
        assert name == "sessions"
        return
    well_formed(found)


def _kept(before: FacetData, after: FacetData, gone: set[str]) -> None:
    """All readings but those of the metrics that hang on the dropped key."""
    assert {r for r in before.readings if r.metric not in gone} == {r for r in after.readings if r.metric not in gone}


HANGS_ON = {
    "state": {m.STATE, m.READY},
    "lanStatus": {m.LINK_UP, m.LINK_SPEED, m.LAN_FULL_DUPLEX},
    "uptime": {m.BOOT},
    "systemTime": {m.CLOCK_OFFSET},
    "rebootNeeded": {m.REBOOT_NEEDED},
    "timeServerState": {m.TIME_SERVER_UP},
}


@pytest.mark.parametrize("key", sorted(s.SYSTEM))
def test_a_missing_key_of_the_system_answer_costs_only_what_hangs_on_it(key: str) -> None:
    whole = _system(s.text(s.SYSTEM))
    partial = _system(s.text({k: v for k, v in s.SYSTEM.items() if k != key}))
    _kept(whole, partial, HANGS_ON.get(key, set()))
    if key not in ("serialNumber", "model", "softwareVersion", "hardwareVersion", "systemName"):
        assert partial.identity == whole.identity


@QUICK
@given(data=st.data())
def test_a_key_that_identifies_nothing_can_be_dropped_from_a_part_without_touching_the_others(data: st.DataObject) -> None:
    index = data.draw(st.integers(1, len(s.DEVICES) - 1))
    key = data.draw(st.sampled_from(sorted(set(s.PANEL_ROW) - {"serialNumber", "uid"})))
    rows = [dict(row) for row in s.DEVICES]
    del rows[index][key]
    whole, partial = parse.peripherals(s.text(s.DEVICES)), parse.peripherals(s.text(rows))
    touched = rows[index]["serialNumber"] or rows[index]["uid"]
    assert [c for c in whole.components if c.key != touched] == [c for c in partial.components if c.key != touched]
    assert {c.key for c in whole.components} == {c.key for c in partial.components}


@QUICK
@given(order=st.permutations(s.STATUS), drop=st.integers(0, len(s.STATUS) - 1))
def test_the_order_of_rows_means_nothing_and_a_missing_row_costs_only_itself(order: list[Any], drop: int) -> None:
    whole = {r.labels: r for r in parse.status(s.text(s.STATUS)).readings if r.metric == m.STATUS}
    partial = {r.labels: r for r in parse.status(s.text(order[:drop] + order[drop + 1 :])).readings if r.metric == m.STATUS}
    assert len(partial) == len(whole) - 1
    assert all(whole[labels] == reading for labels, reading in partial.items())


@QUICK
@given(text=st.text(max_size=300))
def test_the_command_lines_answers_are_read_or_a_bad_payload(text: str) -> None:
    for parser in (cli.ssh_identity, _shell):
        for body in (text, text + "\nstatus end\n", s.WHOAMI + text):
            try:
                well_formed(parser(body))
            except BadPayload:
                continue


@QUICK
@given(status=st.integers(100, 599), body=st.one_of(st.binary(max_size=200), TREES.map(lambda v: json.dumps(v).encode())))
def test_every_answer_to_a_login_has_a_verdict_and_only_an_explicit_one_is_a_refusal(status: int, body: bytes) -> None:
    entry = judge(HttpAnswer(status=status, body=body))
    explicit = b"Session" in body or b"success" in body or status == 401
    assert entry.verdict.name != "REFUSED" or explicit
    assert entry.session_id == "" or entry.verdict.name == "IN"


def test_a_reading_of_each_parser_is_there_at_all() -> None:
    for name, (parser, sample) in PARSERS.items():
        if name == "microphones":
            continue
        data = parser(s.text(sample))
        assert data.readings, name
        assert all(isinstance(r, Reading) for r in data.readings)
