"""Answers of devices that are well, or that say too little: none of them may be made a fault, and none of them health."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agent.errors import BadPayload, CollectError, Forbidden, NotSupported
from agent.model import FacetOutcome, FacetStatus, Fault
from agent.ports import FacetData
from collectors.axis import events, parse_apps, parse_devices, parse_network, parse_power
from collectors.axis.client import json_error
from collectors.axis.settings import AxisSettings
from tests.axis import health_samples as h
from tests.axis.doubles import NOW, entry
from tests.axis.test_health_parsers import values
from tests.axis.test_health_rules import RECORDER
from tests.axis.test_rules import after, faults, healthy, judge, snapshot

# --- errors in a 200 --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("2004", NotSupported),
        ("2001", Forbidden),
        (2004.0, NotSupported),
        ("404", NotSupported),
        ([2004], CollectError),
        ({}, CollectError),
        (None, CollectError),
    ],
)
def test_the_code_of_an_error_may_be_a_text_and_may_be_anything(code: object, kind: type[CollectError]) -> None:
    assert type(json_error("/x", "m", {"error": {"code": code}})) is kind


@pytest.mark.parametrize(("code", "kind"), [('"2001"', Forbidden), ('"2004"', NotSupported), ("[]", CollectError), ("{}", CollectError)])
def test_the_code_of_a_refused_wish_for_events_may_be_a_text_and_may_be_anything(code: str, kind: type[CollectError]) -> None:
    with pytest.raises(CollectError) as refused:
        events.acknowledged(f'{{"error": {{"code": {code}}}}}')
    assert type(refused.value) is kind


# --- clock ------------------------------------------------------------------------------------------------------------

NO_SERVER: list[dict[str, Any]] = [
    {"serversSource": "DHCP", "staticServers": [], "advertisedServers": []},
    {"serversSource": "static", "staticServers": ["0.0.0.0"], "advertisedServers": []},
    {"staticServers": [""]},
    {"serversSource": "DHCP", "staticServers": ["time.example.org"], "advertisedServers": []},
]


@pytest.mark.parametrize("servers", NO_SERVER)
def test_a_clock_without_a_server_is_missed_only_once_it_was_synchronised(servers: dict[str, Any]) -> None:
    alone = parse_power.clock(h.ntp(synced=False, **servers))
    assert faults(judge(snapshot(clock=alone))) == {}
    history = after(snapshot(clock=parse_power.clock(h.ntp())))
    assert set(faults(judge(snapshot(1, clock=alone), history))) == {"axis.clock.unsynced"}


def test_a_clock_of_which_it_is_not_known_whether_it_should_be_kept_is_missed_only_once_it_was() -> None:
    told = parse_power.clock({"data": {"configuration": {"enabled": False, "staticServers": ["time.example.org"]}, "status": {"synced": False}}})
    assert faults(judge(snapshot(clock_config=told))) == {}


def test_a_clock_that_is_not_synchronised_has_no_offset_that_would_be_health() -> None:
    assert "axis.clock.off" not in healthy(judge(snapshot(clock=parse_power.clock(h.ntp(synced=False, timeOffset=0)))))


def test_the_server_named_is_the_one_in_use() -> None:
    told = h.ntp(serversSource="DHCP", staticServers=["old.example.org"], advertisedServers=["192.0.2.9"])
    assert parse_power.clock(told).facts["ntp.server"] == "192.0.2.9"
    told = h.ntp(serversSource="static", staticServers=["own.example.org"], advertisedServers=["192.0.2.9"])
    assert parse_power.clock(told).facts["ntp.server"] == "own.example.org"


# --- network ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("link", [None, "unknown", "", {}])
def test_an_interface_that_may_have_no_link_is_not_slow(link: object) -> None:
    assert faults(judge(snapshot(network=parse_network.network(h.network(link, "10baseT_half"))))) == {}


# --- applications -----------------------------------------------------------------------------------------------------


def test_a_licence_that_ended_is_told_of_an_application_that_should_run_alone() -> None:
    ended = {"License": "Invalid", "LicenseExpirationDate": "2020-01-31"}
    trial = parse_apps.applications(h.applications(h.application("trial", "Stopped", **ended)))
    assert faults(judge(snapshot(applications=trial))) == {}
    assert "axis.application.license/application trial" in faults(
        judge(snapshot(applications=trial), device=entry(settings=AxisSettings(expect_apps=["trial"])))
    )
    history = after(snapshot(applications=parse_apps.applications(h.applications(h.application("trial")))))
    assert "axis.application.license/application trial" in faults(judge(snapshot(1, applications=trial), history))
    for status in ("Running", "Idle"):
        used = parse_apps.applications(h.applications(h.application("used", status, **ended)))
        assert "axis.application.license/application used" in faults(judge(snapshot(applications=used)))


# --- picture ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("under", ["capabilities", "supported", "features", "settings", "config", "configuration", "enabled", "enabledDetections"])
def test_what_the_analysis_can_do_or_is_set_to_is_no_trouble_of_the_picture(under: str) -> None:
    data = parse_apps.image_health({"data": {"blur": False, under: {"blocked": True, "blur": True}}})
    assert values(data, "latarnik_axis_picture_trouble") == {("blurred",): 0.0}


@pytest.mark.parametrize("off", [{"enabled": False, "detected": True}, {"enabled": "no", "state": "active"}])
def test_a_check_that_is_switched_off_says_nothing(off: dict[str, Any]) -> None:
    data = parse_apps.image_health({"data": {"blocked": False, "blur": off}})
    assert values(data, "latarnik_axis_picture_trouble") == {("blocked",): 0.0}


# --- recorder ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["239.192.1.1", "ff3e::8000:1", "127.0.0.1", "::1", "0.0.0.0", "::"])
def test_a_stream_to_a_group_or_through_a_tunnel_may_be_the_recorders(where: str) -> None:
    judged = judge(snapshot(streams=parse_apps.streams(h.streams(h.stream(where=where)))), device=RECORDER)
    assert not any(isinstance(j, Fault) for j in judged)


# --- what it offers ---------------------------------------------------------------------------------------------------


def test_an_interface_under_the_path_of_another_is_none() -> None:
    told = {"apis": {"cert": {"v1": {"rest_api": "/config/rest/factory-default/v1"}}, "lldp": {"v1": {"rest_api": "/config/rest/lldp/v1"}}}}
    assert parse_devices.rest_paths(told) == {"lldp": "/config/rest/lldp/v1"}


# --- events -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("health", "expected"), [("1", []), ("0", [0.0]), ("-2", [])])
def test_an_alert_of_a_card_that_passes_its_own_check_is_no_failed_check(health: str, expected: list[float]) -> None:
    heard = events.Event(topic="Storage/Alert", source={"disk_id": "SD_DISK"}, data={"alert": "1", "overall_health": health, "wear": "95"})
    told = events.BY_NAME[heard.topic].means(heard)
    assert [r.value for r in told.readings if r.metric == "latarnik_axis_storage_self_check_ok"] == expected


@pytest.mark.parametrize("status", [FacetStatus.FAILED, FacetStatus.STALE])
def test_while_the_list_of_streams_cannot_be_had_anybody_elses_look_is_not_the_recorders(status: FacetStatus) -> None:
    seen = snapshot(stream=FacetData(facts={"state.live_stream.1": "yes"}))
    seen = replace(seen, facets={"streams": FacetOutcome(status=status, source="http", at=NOW)})
    assert judge(seen, device=RECORDER) == []


def test_an_error_of_the_siren_interface_is_no_failed_test() -> None:
    with pytest.raises(BadPayload):
        parse_devices.siren({"data": {"result": "error", "message": "no test was run"}})
