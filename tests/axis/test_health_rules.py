"""What the readings beside storage, heat and firmware mean: each fault when it is there, health when it is looked at, nothing when it cannot be known."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import BadPayload
from agent.model import FacetOutcome, FacetStatus, Fault, History, Reading, Severity, Snapshot
from agent.ports import FacetData
from collectors.axis import facets as table
from collectors.axis import parse_apps, parse_devices, parse_network, parse_power, parse_snmp, rules
from collectors.axis.faults import FAULTS, SHOWN_BY
from collectors.axis.faults_health import HEALTH_FAULTS, HEALTH_SHOWN_BY
from collectors.axis.rules_health import HEALTH_RULES
from collectors.axis.settings import AxisSettings
from tests.axis import health_samples as h
from tests.axis import samples
from tests.axis.doubles import NOW, entry
from tests.axis.test_health_parsers import JSON, JSON_PARSERS
from tests.axis.test_rules import after, faults, healthy, judge, ready, snapshot

RECORDER = entry(settings=AxisSettings(recorder="192.0.2.50"))
CASING, VIDEO, AUDIO = (f"{parse_snmp.VIDEO_MIB}.{column}" for column in ("6.1.3", "4.1.2", "5.1.2"))


def walk(**rows: int) -> FacetData:
    of = {"casing": CASING, "video": VIDEO, "audio": AUDIO}
    return parse_snmp.video_mib([(f"{of[name]}.1", value) for name, value in rows.items()])


def starting() -> FacetData:
    return ready(systemready="no")


# --- power and clock --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, set()),
        ({"powerRequested": 25.5}, {"axis.power.insufficient"}),
        ({"psePoeClass": 2, "lldpPoeClass": -1, "powerRequested": "12.9"}, {"axis.power.insufficient"}),
        ({"psePoeClass": 2, "lldpPoeClass": 3}, set()),
        ({"powerRequested": 129}, set()),
        ({"powerRequested": 12950}, set()),
        ({"powerRequested": 60, "usage": {"maxPower": 3.9}}, set()),
        ({"psePoeClass": -1, "lldpPoeClass": -1, "powerRequested": 71}, set()),
        ({"usage": {"currentPower": 30, "maxPower": 9}}, set()),
    ],
)
def test_power_is_short_only_where_the_device_asks_for_more_than_its_class_gives(changes: dict[str, Any], expected: set[str]) -> None:
    assert set(faults(judge(snapshot(power=parse_power.power(h.power(**changes)))))) == expected


def test_what_the_device_does_not_know_of_its_power_is_neither_fault_nor_health() -> None:
    assert judge(snapshot(power=parse_power.power(h.POWER_UNKNOWN))) == []


def test_a_clock_is_judged_where_a_server_keeps_it() -> None:
    assert {"axis.clock.unsynced", "axis.clock.off"} <= healthy(judge(snapshot(clock=parse_power.clock(h.ntp()))))
    assert judge(snapshot(clock=parse_power.clock(h.ntp(enabled=False, synced=False, timeOffset=9000)))) == []
    assert set(faults(judge(snapshot(clock=parse_power.clock(h.ntp(synced=False)))))) == {"axis.clock.unsynced"}
    assert set(faults(judge(snapshot(clock=parse_power.clock(h.ntp(timeOffset="-95.5")))))) == {"axis.clock.off"}
    assert judge(snapshot(readiness=starting(), clock=parse_power.clock(h.ntp(synced=False)))) == judge(snapshot(readiness=starting()))


def test_one_time_server_that_is_gone_is_one_cause() -> None:
    judged = [j for j in judge(snapshot(clock=parse_power.clock(h.ntp(synced=False)))) if isinstance(j, Fault)]
    assert [j.shared for j in judged] == ["ntp:time.example.org"]
    judged = [j for j in judge(snapshot(mqtt=parse_network.mqtt(h.mqtt("active", "Not connected")))) if isinstance(j, Fault)]
    assert [(j.code, j.shared) for j in judged] == [("axis.mqtt.disconnected", "mqtt:broker.example.org")]


# --- parts ------------------------------------------------------------------------------------------------------------


def test_a_light_with_an_error_is_a_fault_of_that_light() -> None:
    assert "axis.light.failed/light led0" in healthy(judge(snapshot(lights=parse_devices.lights(h.lights()))))
    judged = judge(snapshot(lights=parse_devices.lights(h.lights(error=True, errorInfo="driver"))))
    assert faults(judged) == {"axis.light.failed/light led0": Severity.CRITICAL}
    assert judge(snapshot(lights=parse_devices.lights(h.lights(error="odd")))) == []


def test_an_input_without_a_signal_is_missed_only_once_it_had_one() -> None:
    assert judge(snapshot(snmp_health=walk(video=2, audio=2))) == []
    history = after(snapshot(snmp_health=walk(video=1, audio=1)))
    lost = judge(snapshot(1, snmp_health=walk(video=2, audio=2)), history)
    assert faults(lost) == {"axis.video.lost/1": Severity.CRITICAL, "axis.audio.lost/1": Severity.WARNING}
    assert faults(judge(snapshot(1, snmp_health=walk(video=3)), history)) == {}


def test_an_open_casing_is_a_fault_at_once() -> None:
    assert healthy(judge(snapshot(snmp_health=walk(casing=1)))) == {"axis.casing.open/casing 1"}
    assert set(faults(judge(snapshot(snmp_health=walk(casing=2))))) == {"axis.casing.open/casing 1"}


def test_a_self_test_is_judged_by_its_answer_unless_the_event_stream_told_of_a_newer_one() -> None:
    failed = {"data": {"siren": {"result": "Failed"}}}
    assert set(faults(judge(snapshot(siren=parse_devices.siren(failed))))) == {"axis.self_test.failed/siren and light"}
    told = FacetData(facts={"event.self_test.siren and light": f"{NOW.timestamp():.0f} passed"})
    assert faults(judge(snapshot(siren=parse_devices.siren(failed), stream=told))) == {}


def test_a_siren_in_maintenance_is_a_fault() -> None:
    running = {"data": {"running": True, "supported": True}}
    assert set(faults(judge(snapshot(siren_maintenance=parse_devices.siren_maintenance(running))))) == {"axis.siren.maintenance"}
    assert healthy(judge(snapshot(siren_maintenance=parse_devices.siren_maintenance(h.MAINTENANCE)))) == {"axis.siren.maintenance"}


def test_a_supervised_line_that_is_cut_is_the_fault_that_the_event_stream_tells() -> None:
    told = parse_devices.ports(h.ports(supervised=True, tampered=True))
    assert set(faults(judge(snapshot(ports=told)))) == {"axis.io.line_tampered/0"}


# --- applications and picture -----------------------------------------------------------------------------------------


def apps(*found: str) -> FacetData:
    return parse_apps.applications(h.applications(*found))


def test_an_application_is_missed_once_it_ran() -> None:
    stopped = snapshot(1, applications=apps(h.application("vmd", "Stopped"), h.application("guard", "Stopped")))
    assert judge(stopped) == []
    history = after(snapshot(applications=apps(h.application("vmd"), h.application("guard", "Stopped"))))
    assert set(faults(judge(stopped, history))) == {"axis.application.stopped/application vmd"}
    assert judge(snapshot(1, applications=apps(h.application("vmd", "Idle"))), history) == []
    assert judge(snapshot(1, applications=apps()), history) == []


def test_an_application_that_the_site_expects_is_missed_from_the_first_poll_on() -> None:
    device = entry(settings=AxisSettings(expect_apps=["vmd", "gone"]))
    judged = judge(snapshot(applications=apps(h.application("vmd", "Stopped"))), device=device)
    assert set(faults(judged)) == {"axis.application.stopped/application vmd", "axis.application.stopped/application gone"}
    assert judge(snapshot(), device=device) == []


def test_an_analysis_that_ran_and_answers_503_has_stopped() -> None:
    history = after(snapshot(image_health=parse_apps.image_health(h.IMAGE)))
    judged = judge(snapshot(1, image_health=parse_apps.image_health(None)), history)
    assert set(faults(judged)) == {"axis.application.stopped/application AXISImageHealthAnalytics"}
    assert judge(snapshot(image_health=parse_apps.image_health(None))) == []


@pytest.mark.parametrize(("days", "expected"), [(31, False), (29, True), (-2, True)])
def test_a_licence_and_a_certificate_are_told_of_thirty_days_ahead(days: int, expected: bool) -> None:
    date = (NOW + timedelta(days=days, hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    judged = judge(
        snapshot(
            applications=apps(h.application(License="Valid", LicenseExpirationDate=date)),
            certificates=parse_network.certificates({"data": [{"alias": "own", "validTo": date}]}),
        )
    )
    keys = {"axis.application.license/application vmd", "axis.certificate.expiring/own"}
    assert (set(faults(judged)) == keys) is expected
    assert (keys <= healthy(judged)) is not expected


def test_a_certificate_that_is_another_one_than_before_is_told_once() -> None:
    def shown(minutes: float, sha256: str) -> Snapshot:
        return snapshot(minutes, certificate=FacetData(facts={"certificate.https": sha256}))

    assert judge(shown(0, "aa")) == []
    history = after(shown(0, "aa"), shown(1, "aa"))
    assert healthy(judge(shown(2, "aa"), history)) == {"axis.certificate.changed"}
    assert faults(judge(shown(2, "bb"), history)) == {"axis.certificate.changed": Severity.INFO}
    assert faults(judge(shown(3, "bb"), after(shown(0, "aa"), shown(2, "bb")))) == {}


def test_a_bad_picture_is_a_fault_of_its_kind() -> None:
    judged = judge(snapshot(image_health=parse_apps.image_health({"data": {"block": True, "blur": False}})))
    assert set(faults(judged)) == {"axis.picture.bad/blocked"}
    assert "axis.picture.bad/blurred" in healthy(judged)


# --- network ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("link", "mode", "expected"),
    [
        (True, "100baseT_full", {"healthy"}),
        (True, "10baseT_full", {"fault"}),
        (True, "100 half", {"fault"}),
        (False, "10baseT_half", set()),
        (True, "auto", set()),
        (None, "1000baseT_full", {"healthy"}),
    ],
)
def test_a_link_is_judged_by_the_mode_it_names(link: object, mode: str, expected: set[str]) -> None:
    judged = judge(snapshot(network=parse_network.network(h.network(link, mode))))
    assert {"fault" if isinstance(j, Fault) else "healthy" for j in judged} == expected


def test_a_sip_account_is_missed_only_once_it_was_registered() -> None:
    gone = parse_devices.sip({"SIPAccountStatus": [{"Id": "sip_account_0", "Status": "NotRegistered"}]})
    assert judge(snapshot(sip=gone)) == []
    history = after(snapshot(sip=parse_devices.sip(h.SIP)))
    assert set(faults(judge(snapshot(1, sip=gone), history))) == {"axis.sip.unregistered/sip_account_0"}


# --- the recorder -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([], {"fault"}),
        ([h.stream()], {"healthy"}),
        ([h.stream("paused")], {"fault"}),
        ([h.stream(where="192.0.2.77")], {"fault"}),
        ([h.stream(where="192.0.2.77"), h.stream()], {"healthy"}),
        ([h.stream("wondering")], set()),
        ([{"state": "playing"}], set()),
    ],
)
def test_the_recorder_is_missed_only_where_every_stream_can_be_read(found: list[dict[str, Any]], expected: set[str]) -> None:
    seen = snapshot(streams=parse_apps.streams(h.streams(*found)))
    judged = judge(seen, device=RECORDER)
    assert {"fault" if isinstance(j, Fault) else "healthy" for j in judged} == expected
    assert judge(seen) == []


@pytest.mark.parametrize(("accessed", "expected"), [("no", {"fault"}), ("yes", {"healthy"}), (None, set())])
def test_without_the_list_of_streams_the_event_stream_tells_whether_anybody_takes_the_picture(accessed: str | None, expected: set[str]) -> None:
    told = FacetData(facts={} if accessed is None else {"state.live_stream.1": accessed})
    judged = judge(snapshot(stream=told), device=RECORDER)
    assert {"fault" if isinstance(j, Fault) else "healthy" for j in judged} == expected


# --- all of them ------------------------------------------------------------------------------------------------------


def test_a_device_in_good_order_has_no_fault_of_these_and_while_it_starts_its_parts_are_not_judged() -> None:
    answers: dict[str, Any] = {
        "power": parse_power.power(h.power()),
        "clock": parse_power.clock(h.ntp()),
        "lights": parse_devices.lights(h.lights()),
        "siren": parse_devices.siren(h.SIREN),
        "network": parse_network.network(h.network()),
        "mqtt": parse_network.mqtt(h.mqtt()),
        "applications": apps(h.application()),
        "image_health": parse_apps.image_health(h.IMAGE),
        "sip": parse_devices.sip(h.SIP),
        "streams": parse_apps.streams(h.streams(h.stream())),
        "snmp_health": parse_snmp.video_mib(samples.WALK),
    }
    judged = judge(snapshot(readiness=ready(), **answers), device=RECORDER)
    assert faults(judged) == {}
    assert {code for code in HEALTH_SHOWN_BY if any(key.startswith(code) for key in healthy(judged))} >= {
        "axis.power.insufficient",
        "axis.clock.off",
        "axis.light.failed",
        "axis.self_test.failed",
        "axis.network.slow",
        "axis.mqtt.disconnected",
        "axis.application.stopped",
        "axis.picture.bad",
        "axis.sip.unregistered",
        "axis.recorder.no_stream",
    }
    bad: dict[str, Any] = {"lights": parse_devices.lights(h.lights(error=True)), "snmp_health": walk(casing=2)}
    assert set(faults(judge(snapshot(readiness=starting(), **bad)))) == {"axis.not_ready"}


def test_readings_without_a_value_are_not_judged() -> None:
    metrics = ("latarnik_axis_power_requested_watts", "latarnik_device_clock_offset_seconds", "latarnik_axis_certificate_expiry_timestamp_seconds")
    readings = tuple(Reading(metric=name, labels=("x",)) for name in metrics)
    at = {"x": FacetOutcome(status=FacetStatus.OK, source="http", at=NOW)}
    seen = Snapshot(device="gate-2", at=NOW, duration=0.1, reachable=True, readings=readings, facets=at)
    assert [j for rule in HEALTH_RULES for j in rule(seen, History(), entry())] == []


def test_each_fault_names_facets_of_the_table_that_show_it() -> None:
    names = {facet.name for facet in table.FACETS}
    assert {spec.code for spec in HEALTH_FAULTS} <= set(HEALTH_SHOWN_BY)
    assert {name for shown in HEALTH_SHOWN_BY.values() for name in shown} <= names
    assert set(HEALTH_SHOWN_BY) <= set(SHOWN_BY)
    assert {spec.code for spec in HEALTH_FAULTS} <= {spec.code for spec in FAULTS}
    assert set(HEALTH_RULES) <= set(rules.RULES)


@given(data=st.lists(JSON, min_size=1, max_size=4), names=st.dictionaries(st.sampled_from(h.NAMES), JSON, max_size=5))
def test_whatever_a_device_answers_the_rules_judge_it_or_say_nothing(data: list[object], names: dict[str, Any]) -> None:
    answers: dict[str, FacetData] = {}
    for raw in (*data, {"data": names}, {"data": {"items": [names], "client": names, "devices": [names], "streams": [names]}}):
        for number, parser in enumerate(JSON_PARSERS):
            try:
                answers[f"facet {number}"] = parser(raw)
            except BadPayload:
                continue
    everything: dict[str, Any] = answers
    seen = snapshot(**everything)
    first = judge(seen, device=RECORDER)
    judge(snapshot(1, **everything), after(seen, device=RECORDER), device=RECORDER)
    assert all(len(j.summary) < 500 for j in first if isinstance(j, Fault))
