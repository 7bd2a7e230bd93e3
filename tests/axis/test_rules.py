from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from agent.diagnosis.history import remember
from agent.model import Device, FacetOutcome, FacetStatus, Fault, Healthy, History, Judgement, Severity, Snapshot
from agent.ports import FacetData
from collectors.axis import faults as codes
from collectors.axis import faults_events, faults_health, parse, parse_snmp, parse_storage, rules
from collectors.axis.faults import FAULTS
from collectors.axis.parse import Timed
from collectors.axis.settings import AxisSettings
from tests.axis import samples
from tests.axis.doubles import NOW, entry

DEVICE = entry()


def snapshot(minutes: float = 0, **facets: FacetData) -> Snapshot:
    """What a poll makes of these answers."""
    at = NOW + timedelta(minutes=minutes)
    outcomes = {name: FacetOutcome(status=FacetStatus.OK, source="snmp" if name.startswith("snmp") else "http", at=at) for name in facets}
    answers = list(facets.values())
    facts: dict[str, str] = {}
    for data in answers:
        facts |= data.facts
    return Snapshot(
        device="gate-2",
        at=at,
        duration=0.1,
        reachable=True,
        readings=tuple(r for data in answers for r in data.readings),
        components=tuple(c for data in answers for c in data.components),
        facets=outcomes,
        facts=facts,
    )


def judge(seen: Snapshot, history: History | None = None, device: Device = DEVICE) -> list[Judgement]:
    return [j for rule in rules.RULES for j in rule(seen, history or History(), device)]


def after(*polls: Snapshot, device: Device = DEVICE) -> History:
    """What is remembered after these polls, as the agent remembers it."""
    history = History()
    for seen in polls:
        history = remember(history, seen, judge(seen, history, device))
    return history


def faults(judgements: Iterable[Judgement]) -> dict[str, Severity]:
    return {f"{j.code}/{j.component}".rstrip("/"): j.severity for j in judgements if isinstance(j, Fault)}


def healthy(judgements: Iterable[Judgement]) -> set[str]:
    return {f"{j.code}/{j.component}".rstrip("/") for j in judgements if isinstance(j, Healthy)}


def ready(minutes: float = 0, **changes: Any) -> FacetData:
    return parse.readiness(Timed(payload=samples.readiness(**changes), at=NOW + timedelta(minutes=minutes)))


def storage(*found: str) -> FacetData:
    return parse_storage.disks(samples.disks(*found))


CARD, LOST_CARD = samples.disk(), samples.disk(status="disconnected")


# --- all of it --------------------------------------------------------------------------------------------------------


def test_nothing_is_judged_of_a_device_that_said_nothing() -> None:
    assert judge(Snapshot(device="gate-2", at=NOW, duration=0.0, reachable=False)) == []


def test_a_device_in_good_order_has_no_fault_and_everything_looked_at_is_healthy() -> None:
    seen = snapshot(
        readiness=ready(),
        temperatures=parse.temperatures(samples.TEMPERATURES.replace("Fan Failure", "Stopped")),
        temperature_limits=parse.temperature_limits(samples.LIMITS),
        storage=storage(CARD, samples.EMPTY_SHARE),
        storage_config=parse_storage.storage_config(samples.STORAGE_CONFIG),
        storage_health=parse_storage.disk_health(samples.health()),
        firmware=parse.firmware_status(samples.firmware()),
        snmp_health=parse_snmp.video_mib(samples.WALK),
    )
    judgements = judge(seen)
    assert faults(judgements) == {}
    assert {"axis.not_ready", "axis.needs_setup", "axis.crashed", "axis.firmware.pending_commit", "axis.fan.failed/F0", "axis.heater.failed/H0"} <= healthy(
        judgements
    )
    assert {"axis.temperature.high/Main", "axis.temperature.low/CPU", "axis.storage.failed/SD_DISK", "axis.storage.worn/SD_DISK"} <= healthy(judgements)
    assert "axis.storage.failed/NetworkShare" not in healthy(judgements)
    assert "axis.power_supply.failed/supply internal.1" in healthy(judgements)
    assert faults(judge(replace(seen, at=NOW + timedelta(minutes=1)), after(seen))) == {}


def test_every_fault_that_a_rule_can_yield_is_declared_and_every_declared_one_has_both_languages() -> None:
    declared = {spec.code for spec in FAULTS}
    named = {value for module in (codes, faults_events, faults_health) for name, value in vars(module).items() if name.isupper() and isinstance(value, str)}
    assert declared == named
    for spec in FAULTS:
        assert spec.title.en
        assert spec.title.pl
        assert spec.title.pl != spec.title.en
        assert spec.advice.pl != spec.advice.en


# --- starting ---------------------------------------------------------------------------------------------------------


def test_a_device_that_is_not_ready_is_a_fault_and_its_parts_are_not_judged_meanwhile() -> None:
    seen = snapshot(
        readiness=ready(systemready="no"),
        temperatures=parse.temperatures(samples.TEMPERATURES.replace("41.25", "95")),
        temperature_limits=parse.temperature_limits(samples.LIMITS),
        storage=storage(samples.disk(status="failed")),
        storage_health=parse_storage.disk_health(samples.health(wear="99")),
    )
    judgements = judge(seen)
    assert faults(judgements) == {"axis.not_ready": Severity.CRITICAL}
    assert healthy(judgements) == {"axis.needs_setup"}


def test_a_device_reset_to_factory_default_needs_setup() -> None:
    assert faults(judge(snapshot(readiness=ready(needsetup="yes")))) == {"axis.needs_setup": Severity.CRITICAL}


def test_another_boot_id_is_a_restart_and_the_same_one_is_none() -> None:
    first = snapshot(readiness=ready())
    assert faults(judge(snapshot(1, readiness=ready(1, uptime="86460")), after(first))) == {}
    assert faults(judge(snapshot(1, readiness=ready(1, uptime="20", bootid="aaaa")), after(first))) == {"device.rebooted": Severity.INFO}


def test_the_boot_id_decides_against_the_uptime() -> None:
    masked = ready(uptime="0", bootid="00000000-0000-0000-0000-000000000000")
    again = ready(10, uptime="0", bootid="00000000-0000-0000-0000-000000000000")
    assert faults(judge(snapshot(10, readiness=again), after(snapshot(readiness=masked)))) == {}


@pytest.mark.parametrize(("minutes", "uptime", "restarted"), [(1, "86460", False), (1, "86455", False), (10, "30", True), (200, "11900", True), (2, "0", True)])
def test_without_a_boot_id_the_uptime_tells(minutes: float, uptime: str, *, restarted: bool) -> None:
    first = snapshot(readiness=ready(bootid=None))
    later = snapshot(minutes, readiness=ready(minutes, bootid=None, uptime=uptime))
    assert ("device.rebooted" in faults(judge(later, after(first)))) is restarted


def test_a_10_12_device_tells_restarts_over_snmp_and_a_counter_that_wraps_is_none() -> None:
    def system(minutes: float, ticks: int) -> Snapshot:
        told = {**samples.SYSTEM, parse_snmp.SYS_UPTIME: ticks}
        return snapshot(minutes, snmp_system=parse_snmp.system(Timed(payload=told, at=NOW + timedelta(minutes=minutes))))

    assert faults(judge(system(5, 30_000), after(system(0, 2**32 - 100)))) == {}
    assert faults(judge(system(5, 30_000), after(system(0, 8_640_000)))) == {"device.rebooted": Severity.INFO}


def test_no_restart_is_claimed_at_the_first_poll() -> None:
    assert "device.rebooted" not in faults(judge(snapshot(readiness=ready())))
    assert "device.rebooted" not in healthy(judge(snapshot(readiness=ready())))


def test_three_restarts_within_a_day_are_a_fault_and_two_are_not() -> None:
    polls = [snapshot(60 * n, readiness=ready(60 * n, bootid=f"boot-{n}")) for n in range(4)]
    assert "device.rebooting" not in faults(judge(polls[2], after(*polls[:2])))
    assert faults(judge(polls[3], after(*polls[:3])))["device.rebooting"] is Severity.CRITICAL
    late = snapshot(60 * 30, readiness=ready(60 * 30, bootid="boot-3"))
    assert "device.rebooting" in healthy(judge(late, after(*polls)))


@pytest.mark.parametrize(("source", "fault"), [("crash", True), ("Crash", True), ("power-on", False)])
def test_a_crash_is_what_the_device_calls_one(source: str, *, fault: bool) -> None:
    judgements = judge(snapshot(firmware=parse.firmware_status(samples.firmware(resetSource=source))))
    assert ("axis.crashed" in faults(judgements)) is fault
    assert ("axis.crashed" in healthy(judgements)) is not fault


def test_a_device_that_answers_and_names_no_cause_of_its_start_did_not_crash_and_one_that_does_not_answer_is_not_judged() -> None:
    """Devices send the field only where it applies; without a judgement the fault of an earlier crash would never end."""
    judgements = judge(snapshot(firmware=parse.firmware_status(samples.firmware(resetSource=None, isCommited=None))))
    assert judgements == [Healthy(code="axis.crashed")]
    assert judge(snapshot(), after(snapshot(firmware=parse.firmware_status(samples.firmware(resetSource="crash"))))) == []


def test_an_upgrade_that_is_not_committed_is_no_ticket() -> None:
    assert faults(judge(snapshot(firmware=parse.firmware_status(samples.firmware(isCommited=False))))) == {"axis.firmware.pending_commit": Severity.WARNING}
    assert not next(spec for spec in FAULTS if spec.code == "axis.firmware.pending_commit").ticket


# --- temperatures, fans, heaters, power -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("degrees", "expected"),
    [
        ("79.9", {}),
        ("80.0", {"axis.temperature.high/Main": Severity.CRITICAL}),
        ("95", {"axis.temperature.high/Main": Severity.CRITICAL}),
        ("-40", {"axis.temperature.low/Main": Severity.WARNING}),
        ("-39.5", {}),
        ("999", {}),
    ],
)
def test_a_temperature_is_judged_by_the_devices_own_limit(degrees: str, expected: dict[str, Severity]) -> None:
    text = f"Sensor.S0.Name=Main\nSensor.S0.Celsius={degrees}\n"
    seen = snapshot(temperatures=parse.temperatures(text), temperature_limits=parse.temperature_limits(samples.LIMITS))
    assert faults(judge(seen)) == expected


def test_a_sensor_without_limits_is_not_judged() -> None:
    assert judge(snapshot(temperatures=parse.temperatures("Sensor.S0.Name=Main\nSensor.S0.Celsius=120\n"))) == []


def test_a_broken_fan_and_a_broken_heater_with_their_parts() -> None:
    text = "Fan.F0.Status=Fan Failure\nFan.F1.Status=Stopped\nHeater.H0.Status=Heater Failure\n"
    judgements = judge(snapshot(temperatures=parse.temperatures(text)))
    assert faults(judgements) == {"axis.fan.failed/F0": Severity.CRITICAL, "axis.heater.failed/H0": Severity.WARNING}
    fan = next(j for j in judgements if isinstance(j, Fault) and j.code == "axis.fan.failed")
    assert fan.part is not None
    assert fan.part.state == "failed"
    assert fan.proof[0].raw == "Fan Failure"


def walk(*changes: tuple[str, int]) -> FacetData:
    rows = dict(samples.WALK) | {f"{samples.MIB}.{column}": value for column, value in changes}
    return parse_snmp.video_mib(list(rows.items()))


def test_over_snmp_alone_supplies_fans_and_sensors_are_judged() -> None:
    seen = snapshot(snmp_health=walk(("1.1.3.2.1", 2), ("2.1.3.2.1", 2), ("3.1.3.1.3", 2), ("3.1.3.1.4", 3), ("3.1.4.1.4", 96)))
    assert faults(judge(seen)) == {
        "axis.power_supply.failed/supply internal.1": Severity.CRITICAL,
        "axis.fan.failed/fan housing.1": Severity.CRITICAL,
        "axis.temperature.sensor_failed/sensor common.3": Severity.WARNING,
        "axis.temperature.high/sensor common.4": Severity.CRITICAL,
    }


def test_over_snmp_a_cold_sensor_out_of_its_limits_is_too_cold() -> None:
    assert faults(judge(snapshot(snmp_health=walk(("3.1.3.1.3", 3), ("3.1.4.1.3", -45))))) == {"axis.temperature.low/sensor common.3": Severity.WARNING}


def test_what_http_shows_is_not_said_again_by_snmp() -> None:
    text = "Fan.F0.Status=Fan Failure\nSensor.S0.Name=Main\nSensor.S0.Celsius=96\n"
    snmp = walk(("2.1.3.2.1", 2), ("3.1.3.1.3", 3), ("3.1.4.1.3", 96))
    both = snapshot(temperatures=parse.temperatures(text), temperature_limits=parse.temperature_limits(samples.LIMITS), snmp_health=snmp)
    assert faults(judge(both)) == {"axis.fan.failed/F0": Severity.CRITICAL, "axis.temperature.high/Main": Severity.CRITICAL}


def test_snmp_does_not_take_over_what_http_once_judged() -> None:
    good = snapshot(
        temperatures=parse.temperatures(samples.TEMPERATURES.replace("Fan Failure", "Running")), temperature_limits=parse.temperature_limits(samples.LIMITS)
    )
    assert faults(judge(snapshot(5, snmp_health=walk(("2.1.3.2.1", 2), ("3.1.3.1.3", 3), ("3.1.4.1.3", 96))), after(good))) == {}


# --- storage ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slot", [samples.EMPTY_SLOT, samples.EMPTY_SHARE, samples.disk(status="connected"), samples.disk(status=None), LOST_CARD])
def test_a_slot_that_never_held_a_working_medium_is_not_missed(slot: str) -> None:
    seen = snapshot(storage=storage(slot), storage_config=parse_storage.storage_config(samples.STORAGE_CONFIG))
    assert judge(seen) == []
    assert judge(snapshot(5, storage=storage(slot)), after(seen)) == []


def test_a_failed_disk_is_a_fault_also_at_the_first_poll() -> None:
    assert faults(judge(snapshot(storage=storage(samples.disk(status="failed"))))) == {"axis.storage.failed/SD_DISK": Severity.CRITICAL}


@pytest.mark.parametrize("status", ["disconnected", "connected", "wrong passphrase"])
def test_a_disk_that_worked_before_is_missed(status: str) -> None:
    judgements = judge(snapshot(5, storage=storage(samples.disk(status=status))), after(snapshot(storage=storage(CARD))))
    assert faults(judgements) == {"axis.storage.failed/SD_DISK": Severity.CRITICAL}
    lost = next(j for j in judgements if isinstance(j, Fault))
    assert lost.part is not None
    assert lost.part.state == "missing"
    assert "worked before" in lost.summary
    assert status in lost.summary


def test_a_disk_that_worked_before_and_is_no_longer_listed_is_missed() -> None:
    assert faults(judge(snapshot(5, storage=storage(samples.EMPTY_SHARE)), after(snapshot(storage=storage(CARD))))) == {
        "axis.storage.failed/SD_DISK": Severity.CRITICAL
    }


def test_a_disk_is_not_missed_while_the_device_does_not_answer_about_it() -> None:
    assert judge(snapshot(5, readiness=ready(5, bootid=None, uptime=None)), after(snapshot(storage=storage(CARD)))) == [
        Healthy(code="axis.not_ready"),
        Healthy(code="axis.needs_setup"),
    ]


def test_a_disk_that_somebody_switched_off_is_not_missed() -> None:
    off = parse_storage.storage_config(samples.STORAGE_CONFIG.replace("S0.Enabled=yes", "S0.Enabled=no"))
    assert judge(snapshot(5, storage=storage(LOST_CARD), storage_config=off), after(snapshot(storage=storage(CARD)))) == []


def test_a_share_that_somebody_set_up_is_missed_at_the_first_poll() -> None:
    config = parse_storage.storage_config(samples.STORAGE_CONFIG.replace("=NetworkShare:", "=NetworkShare:N0"))
    seen = snapshot(storage=storage(samples.EMPTY_SLOT, samples.EMPTY_SHARE), storage_config=config)
    assert faults(judge(seen)) == {"axis.storage.failed/NetworkShare": Severity.CRITICAL}


def test_a_disk_whose_encryption_is_set_up_is_missed_when_it_cannot_be_read() -> None:
    seen = snapshot(storage=storage(samples.disk(status="no passphrase", encryptionenabled="true")))
    assert faults(judge(seen)) == {"axis.storage.failed/SD_DISK": Severity.CRITICAL}


@pytest.mark.parametrize("listed", [(samples.EMPTY_SLOT,), ()])
def test_a_disk_that_the_configuration_expects_is_missed_at_the_first_poll(listed: tuple[str, ...]) -> None:
    device = entry(settings=AxisSettings(expect_storage=["SD_DISK"]))
    assert faults(judge(snapshot(storage=storage(*listed)), device=device)) == {"axis.storage.failed/SD_DISK": Severity.CRITICAL}


def test_a_disruption_over_snmp_is_a_fault_only_for_a_disk_that_worked_before() -> None:
    lost = snapshot(5, snmp_health=walk())
    assert "axis.storage.failed/SD_DISK" not in faults(judge(lost))
    for before in (snapshot(snmp_health=walk(("8.1.3.1", 1))), snapshot(storage=storage(CARD))):
        assert faults(judge(lost, after(before))) == {"axis.storage.failed/SD_DISK": Severity.CRITICAL}


def test_where_http_tells_of_storage_snmp_is_not_asked() -> None:
    assert faults(judge(snapshot(5, storage=storage(CARD), snmp_health=walk()), after(snapshot(storage=storage(CARD))))) == {}


def test_storage_that_snmp_does_not_name_is_not_confused_with_storage_that_http_named() -> None:
    unnamed = FacetData(facts={"snmp.storage.storage 1": "2"})
    worked = FacetData(facts={"snmp.storage.storage 1": "1"})
    assert faults(judge(snapshot(5, snmp_health=unnamed), after(snapshot(snmp_health=worked)))) == {"axis.storage.failed/storage 1": Severity.CRITICAL}
    assert faults(judge(snapshot(5, snmp_health=unnamed), after(snapshot(snmp_health=worked), snapshot(1, storage=storage(CARD))))) == {}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"wear": "89"}, {}),
        ({"wear": "90"}, {"axis.storage.worn/SD_DISK": Severity.WARNING}),
        ({"wear": "103"}, {"axis.storage.worn/SD_DISK": Severity.CRITICAL}),
    ],
)
def test_wear(changes: dict[str, str], expected: dict[str, Severity]) -> None:
    judgements = judge(snapshot(storage_health=parse_storage.disk_health(samples.health(**changes))))
    assert faults(judgements) == expected
    assert healthy(judgements) == (set() if expected else {"axis.storage.worn/SD_DISK"})


def test_a_card_that_says_nothing_of_its_wear_is_not_judged() -> None:
    assert judge(snapshot(storage_health=parse_storage.disk_health(samples.health(wear="-1", overallhealth="-1")))) == []


def test_a_disk_that_fails_its_own_check_has_the_key_of_one_that_failed_and_a_broken_disk_is_not_worn_too() -> None:
    failing = parse_storage.disk_health(samples.health(overallhealth="0", wear="99"))
    assert faults(judge(snapshot(storage=storage(CARD), storage_health=parse_storage.disk_health(samples.health(overallhealth="0"))))) == {
        "axis.storage.failed/SD_DISK": Severity.CRITICAL
    }
    assert faults(judge(snapshot(storage=storage(samples.disk(status="failed")), storage_health=failing))) == {"axis.storage.failed/SD_DISK": Severity.CRITICAL}
