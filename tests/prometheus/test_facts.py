from __future__ import annotations

import pytest

from agent.model import FacetStatus, IncidentState, Reading, Severity
from agent.ports import DeviceStatus
from exporters.prometheus.exposition import Exposition
from exporters.prometheus.facts import entry, health, readings
from tests.prometheus.samples import CATALOGUE, NOW, TICKET, device, incident, status
from tests.prometheus.test_exposition import Series, key, of

AGENTS_OWN = {
    "latarnik_device_info",
    "latarnik_device_up",
    "latarnik_device_last_poll_timestamp_seconds",
    "latarnik_device_last_success_timestamp_seconds",
    "latarnik_device_reboots_total",
    "latarnik_device_health",
    "latarnik_device_authentication_blocked",
    "latarnik_device_contract_expiry_timestamp_seconds",
}


def shown(*statuses: DeviceStatus) -> Series:
    exposition = Exposition(CATALOGUE)
    for each in statuses:
        assert not exposition.update(each.device.id, readings(each))
    return of(exposition)


def test_everything_a_healthy_device_says_is_shown_and_nothing_is_refused() -> None:
    found = shown(status())
    d = "room-314"
    info = {"vendor": "poly", "model": "Studio X50", "serial": "8LROOM-314", "firmware": "4.3.1", "hardware": "", "mac": "", "parent": ""}
    assert found[key("latarnik_device_info", device=d, **info, site="krakow-hq", room="3.14", name="Sala 3.14", contract="hezo-7")] == 1
    assert found[key("latarnik_device_up", device=d)] == 1
    assert found[key("latarnik_device_temperature_celsius", device=d, sensor="housing")] == -3
    assert found[key("latarnik_device_poll_duration_seconds", device=d)] == 0.75
    assert found[key("latarnik_device_last_success_timestamp_seconds", device=d)] == NOW.timestamp()
    assert found[key("latarnik_device_reboots_total", device=d)] == 2
    assert found[key("latarnik_device_health", device=d, state="ok")] == 1
    assert found[key("latarnik_device_contract_expiry_timestamp_seconds", device=d, contract="hezo-7", plan="partner-plus")] == 1861920000 + 86400
    assert {dict(labels)["facet"] for name, labels in found if name == "latarnik_device_facet_ok"} == {"system"}


def test_the_values_of_a_device_that_missed_its_polls_vanish_and_up_and_identity_stay() -> None:
    found = shown(status(up=False, fresh=False))
    assert {name for name, _ in found} == AGENTS_OWN
    assert found[key("latarnik_device_up", device="room-314")] == 0
    assert found[key("latarnik_device_health", device="room-314", state="unknown")] == 1
    (info,) = [dict(labels) for name, labels in found if name == "latarnik_device_info"]
    assert (info["serial"], info["firmware"]) == ("8LROOM-314", "4.3.1")


def test_before_the_first_poll_there_is_no_up() -> None:
    assert "latarnik_device_up" not in {name for name, _ in shown(status(up=None, fresh=False))}


def test_a_part_that_hangs_on_another_device_has_its_own_lines() -> None:
    found = shown(status(), status(device("e70-314", parent="room-314")))
    (info,) = [dict(labels) for name, labels in found if name == "latarnik_device_info" and ("device", "e70-314") in labels]
    assert info["parent"] == "room-314"


def test_faults_and_tickets_are_shown_while_they_last() -> None:
    found = shown(status(incidents=[incident(component="SD_DISK"), incident(code="axis.x", state=IncidentState.SUSPECTED)], tickets=[TICKET]))
    faults = [(dict(labels), value) for (name, labels), value in found.items() if name == "latarnik_device_fault_active"]
    assert faults == [({"device": "room-314", "code": "poly.status.down", "severity": "critical", "component": "SD_DISK", "cause": ""}, 1)]
    assert found[key("latarnik_device_fault_since_timestamp_seconds", device="room-314", code="poly.status.down", component="SD_DISK")] == NOW.timestamp()
    ticket = key("latarnik_ticket_opened_timestamp_seconds", device="room-314", case="c-1", desk="helpdesk", ticket="4711", severity="critical")
    assert found[ticket] == NOW.timestamp()


def test_a_login_that_is_blocked_is_shown() -> None:
    assert shown(status(blocked=True))[key("latarnik_device_authentication_blocked", device="room-314")] == 1


OK, FAILED, STALE, MISSING = FacetStatus.OK, FacetStatus.FAILED, FacetStatus.STALE, FacetStatus.UNSUPPORTED
INFO, WARNING, CRITICAL = (incident(code=f"x.{s}", severity=s) for s in Severity)


@pytest.mark.parametrize(
    ("what", "word"),
    [
        (status(), "ok"),
        (status(incidents=[INFO]), "ok"),
        (status(incidents=[INFO, WARNING]), "warning"),
        (status(incidents=[WARNING, CRITICAL]), "critical"),
        (status(up=False, fresh=False, incidents=[CRITICAL]), "critical"),
        (status(up=False, fresh=False), "unknown"),
        (status(up=False), "unknown"),
        (status(up=None, fresh=False), "unknown"),
        (status(facets={"a": OK, "b": FAILED}), "unknown"),
        (status(facets={"a": OK, "b": STALE}), "unknown"),
        (status(facets={"a": OK, "b": MISSING}), "ok"),
        (status(facets={"a": MISSING}), "unknown"),
        (status(facets={}), "unknown"),
        (status(facets={"a": FAILED}, incidents=[WARNING]), "warning"),
        (status(incidents=[incident(state=IncidentState.RECOVERED)]), "ok"),
        (status(incidents=[incident(state=IncidentState.SUSPECTED)]), "ok"),
    ],
)
def test_health_is_the_worst_fault_and_never_ok_where_something_could_not_be_seen(what: DeviceStatus, word: str) -> None:
    assert health(what) == word


def test_a_failed_part_of_the_poll_is_zero_and_a_stale_one_too() -> None:
    found = shown(status(facets={"a": OK, "b": FAILED, "c": STALE, "d": MISSING}))
    assert {dict(labels)["facet"]: v for (name, labels), v in found.items() if name == "latarnik_device_facet_ok"} == {"a": 1, "b": 0, "c": 0}


def test_the_entry_of_the_list_says_what_a_table_needs() -> None:
    found = entry(status(incidents=[incident(component="SD_DISK")], tickets=[TICKET]))
    assert found == {
        "id": "room-314",
        "vendor": "poly",
        "site": "krakow-hq",
        "room": "3.14",
        "parent": "",
        "name": "Sala 3.14",
        "model": "Studio X50",
        "serial": "8LROOM-314",
        "firmware": "4.3.1",
        "up": True,
        "last_poll": "2026-03-02T08:00:00+00:00",
        "last_success": "2026-03-02T08:00:00+00:00",
        "health": "critical",
        "login_blocked": False,
        "in_use": False,
        "facets": {"system": "ok", "wifi": "unsupported"},
        "faults": [
            {
                "code": "poly.status.down",
                "severity": "critical",
                "component": "SD_DISK",
                "summary": "It is broken",
                "since": "2026-03-02T08:00:00+00:00",
                "state": "cased",
                "first_sight": False,
                "incident": "i-poly.status.down",
                "cause": "",
                "part_of": "",
                "devices": 1,
            }
        ],
        "tickets": [{"case": "c-1", "desk": "helpdesk", "ref": "4711", "url": "https://rt.example.org/4711"}],
    }


def test_a_reading_of_an_undeclared_metric_is_found_out() -> None:
    exposition = Exposition(CATALOGUE)
    bad = status(readings=[Reading(metric="latarnik_device_mood", value=1.0)])
    assert [(r.metric, r.reason) for r in exposition.update("room-314", readings(bad))] == [("latarnik_device_mood", "undeclared")]
