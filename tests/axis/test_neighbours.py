"""The switch port in words: of whatever shape the answer has, and nothing where it is not understood."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.axis.neighbours import switch_port

NEIGHBOURS, ROOT = "/config/rest/lldp/v1/neighbors", "/config/rest/lldp/v1"
FLAT = {"systemName": "switch-1", "portId": "Gi1/0/7", "portDescription": "hall", "chassisId": "02:00:5E:10:00:01", "ttl": 120}


def english(answers: Any) -> str:
    said = switch_port(json.dumps(answers).encode())
    return said.en if said is not None else ""


@pytest.mark.parametrize(
    "answers",
    [
        {NEIGHBOURS: {"status": "success", "data": [FLAT]}},
        {NEIGHBOURS: {"status": "success", "data": {"eth0": FLAT}}},
        {ROOT: {"status": "success", "data": {"activated": True, "neighbors": [FLAT]}}},
        {ROOT: {"data": {"Neighbours": {"eth0": [FLAT]}}}},
        {NEIGHBOURS: {"data": [FLAT]}, ROOT: {"data": {"neighbors": [FLAT]}}},
        {
            NEIGHBOURS: [
                {"SYSTEM_NAME": "switch-1", "port-id": {"type": "ifname", "value": "Gi1/0/7"}, "port_desc": "hall", "Chassis-ID": {"id": "02:00:5E:10:00:01"}}
            ]
        },
    ],
)
def test_switch_port_and_chassis_are_found_wherever_they_stand_and_named_once(answers: Any) -> None:
    assert english(answers) == "The device hangs on: switch switch-1, port Gi1/0/7 (hall), chassis 02:00:5E:10:00:01 (it says so, by LLDP)."


def test_both_languages_say_the_same() -> None:
    said = switch_port(json.dumps({NEIGHBOURS: [FLAT]}).encode())
    assert said is not None
    for word in ("switch-1", "Gi1/0/7", "02:00:5E:10:00:01"):
        assert word in said.pl
    assert "przełącznik" in said.pl


def test_what_the_device_says_of_itself_is_no_neighbour() -> None:
    own = {"systemName": "camera", "portId": "eth0", "chassisId": "02:00:5E:10:00:99"}
    assert english({ROOT: {"data": {"activated": True, "local": own, **own}}}) == ""
    assert "camera" not in english({ROOT: {"data": {"neighbors": [{"local": own, **FLAT}]}}})


@pytest.mark.parametrize(
    "answers", [{}, [], "x", None, {NEIGHBOURS: {"data": []}}, {NEIGHBOURS: {"data": [{"ttl": 120}]}}, {ROOT: {"data": {"activated": False}}}]
)
def test_nothing_is_said_where_nothing_is_told(answers: Any) -> None:
    assert english(answers) == ""


def test_what_a_device_sends_stays_short() -> None:
    many = [{**FLAT, "portId": f"{n}" * 5000} for n in range(5000)]
    assert len(english({NEIGHBOURS: many})) < 1500


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["neighbors", "portId", "systemName", "chassisId", "x", "value", NEIGHBOURS]), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(answers=json_values)
def test_any_answer_is_words_or_nothing(answers: Any) -> None:
    said = switch_port(json.dumps(answers).encode())
    assert said is None or "\n" not in said.en + said.pl


@given(body=st.binary(max_size=200))
def test_any_bytes_are_words_or_nothing(body: bytes) -> None:
    switch_port(body)
