"""Defects between a rule and its incident, one test each: recoveries that never come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from agent.diagnosis.evaluate import evaluate
from agent.model import Component, Device, FacetOutcome, FacetStatus, Fault, FaultSpec, Healthy, History, Incident, Judgement, Severity, Snapshot, Text
from collectors.poly.rules import peripheral_missing
from collectors.poly.settings import PolySettings
from tests.support.clock import TurnedClock

CODEC = Device(id="codec", vendor="toy", host="192.0.2.7")
CAMERA = Device(id="codec-cam", vendor="toy", parent="codec", model="E70")
SPEC = FaultSpec(code="toy.missing", severity=Severity.CRITICAL, title=Text("x", "x"), advice=Text("x", "x"), hold=0, hits=1, clear=0, misses=1)


def declared(snapshot: Snapshot, history: History, device: Device) -> Iterator[Judgement]:
    """As the Poly rule does with `expect: [{model: E70}]`: the declared part's key is its model, the seen one's its serial."""
    if any("E70" in part.model for part in snapshot.components):
        yield Healthy(code="toy.missing", component="E70")
    else:
        part = Component(kind="part", key="E70", model="E70", state="missing", removable=True)
        yield Fault(code="toy.missing", component="E70", severity=Severity.CRITICAL, summary="not in the list", part=part)


def test_a_declared_part_that_is_a_device_of_its_own_recovers_when_it_is_plugged_in() -> None:
    clock = TurnedClock()
    history: History = History()
    found: Mapping[str, Incident] = {}
    plugged_in = Component(kind="camera", key="SER1", serial="SER1", model="Studio E70", state="ok", removable=True)
    for components in ((), (), (plugged_in,), (plugged_in,)):
        snapshot = Snapshot(device="codec", at=clock.now(), duration=0, reachable=True, components=components)
        done = evaluate(
            snapshot,
            history,
            found,
            device=CODEC,
            children=(CAMERA,),
            rules=(declared,),
            spec_of=lambda code: SPEC,
            new_id=lambda: "i",
        )
        history, found = done.history, done.incidents
        clock.turn(60)
    assert not [key for key in found if "toy.missing" in key], "it stands there, and its fault is still open"


def test_a_part_that_the_vendor_replaced_is_not_missing_for_ever() -> None:
    """The E70 that broke was sent back; the new one has another serial number. Nothing makes the agent forget the old one."""
    clock = TurnedClock()
    old = Component(kind="camera", key="OLD1", serial="OLD1", model="Studio E70", state="ok", removable=True)
    new = replace(old, key="NEW1", serial="NEW1")
    codec = Device(id="codec", vendor="poly", host="192.0.2.7", settings=PolySettings())
    facets = {
        "peripherals": FacetOutcome(status=FacetStatus.OK, source="http", at=clock.now()),
        "system": FacetOutcome(status=FacetStatus.UNSUPPORTED, source="http", at=clock.now()),
    }
    history: History = History()
    found: Mapping[str, Incident] = {}
    for components in (*[(old,)] * 3, *[()] * 3, *[(new,)] * 60):
        snapshot = Snapshot(device="codec", at=clock.now(), duration=0, reachable=True, components=components, facets=facets)
        done = evaluate(
            snapshot,
            history,
            found,
            device=codec,
            children=(),
            rules=(peripheral_missing,),
            spec_of=lambda code: SPEC,
            new_id=lambda: "i",
        )
        history, found = done.history, done.incidents
        clock.turn(60)
    assert not [key for key in found if key.endswith("/OLD1")], "an hour after the new one was plugged in"
