"""Deadlines, completeness and entitlement under the plans of the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from agent.model import Artifact, Case, Check, CheckAnswer, Component, Contract, Fault, Identity, Severity, Text
from agent.service.completeness import MISSING, advisable, missing, reported_serial, sentence
from agent.service.deadlines import deadlines
from agent.service.plans import plan_of, software
from config.load import load
from config.plans import Plan

WARSAW = ZoneInfo("Europe/Warsaw")


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Plan]:
    path = tmp_path_factory.mktemp("plans") / "latarnik.yaml"
    path.write_text("site: {name: hq}\ndevices: []\n", encoding="utf-8")
    return load(path, vendors={}, desks={}).plans


def warsaw(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=WARSAW)


CONTRACT = Contract(id="c", plan="hezo-plus", number="HZ/1", starts=date(2026, 1, 1), ends=date(2026, 12, 31), purchased=date(2026, 1, 1))
CASE = Case(
    id="hq-2026-1",
    incident="i",
    key="a/poly.status.down",
    device="a",
    site="hq",
    room="1",
    opened_at=warsaw("2026-11-20 16:30"),
    fault=Fault(code="poly.status.down", severity=Severity.CRITICAL, summary="down"),
    title=Text("t", "t"),
    advice=Text("a", "a"),
    identity=Identity(vendor="poly", serial="S1", model="Studio X30", firmware="4.1"),
    contract=CONTRACT,
    plan="hezo-plus",
)


# --- deadlines ---


def due(plan: Plan, events: Mapping[str, datetime]) -> dict[str, datetime | None]:
    return {deadline.name: deadline.due for deadline in deadlines(plan, events)}


def test_before_anything_happened_no_clock_runs_and_each_says_what_starts_it(plans: Mapping[str, Plan]) -> None:
    for plan in plans.values():
        for deadline in deadlines(plan, {"opened": warsaw("2026-11-20 16:30")}):
            assert deadline.due is None
            assert deadline.starts_when.en
            assert deadline.starts_when.pl


def test_hezo_plus_reacts_within_a_business_hour_of_sending(plans: Mapping[str, Plan]) -> None:
    found = due(plans["hezo-plus"], {"sent": warsaw("2026-11-20 16:30")})
    assert found == {"reaction": warsaw("2026-11-23 09:30"), "delivery": None, "return": None}


def test_hezo_plus_delivers_on_the_business_day_after_acceptance(plans: Mapping[str, Plan]) -> None:
    events = {"sent": warsaw("2026-12-23 10:00"), "accepted": warsaw("2026-12-23 16:40"), "received": warsaw("2026-12-28 11:00")}
    found = due(plans["hezo-plus"], events)
    assert found["delivery"] == warsaw("2026-12-28 17:00")
    assert found["return"] == warsaw("2027-01-05 00:00")


def test_partner_poly_plus_reacts_within_an_hour_at_night_and_keeps_shipping_and_delivery_apart(plans: Mapping[str, Plan]) -> None:
    events = {"sent": warsaw("2026-12-24 23:30"), "diagnosed": warsaw("2026-12-23 09:00"), "accepted": warsaw("2026-12-28 09:00")}
    assert due(plans["partner-poly-plus"], events) == {
        "reaction": warsaw("2026-12-25 00:30"),
        "shipping": warsaw("2026-12-28 17:00"),
        "delivery": warsaw("2026-12-29 17:00"),
        "return": None,
    }


def test_an_hour_around_the_clock_is_an_hour_when_the_clocks_change(plans: Mapping[str, Plan]) -> None:
    sent = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert due(plans["partner-poly-plus"], {"sent": sent})["reaction"] == sent + timedelta(hours=1)


def test_calendar_days_end_at_midnight_in_warsaw_also_over_a_clock_change(plans: Mapping[str, Plan]) -> None:
    found = due(plans["partner-poly-plus"], {"received": warsaw("2026-10-23 10:00")})
    assert found["return"] == datetime(2026, 10, 28, 23, 0, tzinfo=UTC)


def test_the_warranties_count_days_from_acceptance(plans: Mapping[str, Plan]) -> None:
    accepted = {"accepted": warsaw("2026-11-02 10:00")}
    assert due(plans["standard-warranty"], accepted)["repair"] == warsaw("2026-12-03 00:00")
    assert due(plans["warranty-extension"], accepted)["repair"] == warsaw("2026-11-10 00:00")


def test_axis_promises_no_times(plans: Mapping[str, Plan]) -> None:
    assert deadlines(plans["axis-warranty"], {"sent": warsaw("2026-11-20 16:30")}) == ()


# --- completeness ---

BLOCKED: list[tuple[str, Case, tuple[str, ...]]] = [
    ("complete", CASE, ()),
    ("no serial", replace(CASE, identity=replace(CASE.identity, serial="")), ("serial",)),
    ("a blank serial", replace(CASE, identity=replace(CASE.identity, serial="  ")), ("serial",)),
    ("no number", replace(CASE, contract=replace(CONTRACT, number=" ")), ("contract_number",)),
    ("no contract", replace(CASE, contract=None), ("contract_number",)),
    ("neither", replace(CASE, identity=Identity(), contract=None), ("serial", "contract_number")),
    ("the last day is valid", replace(CASE, opened_at=warsaw("2026-12-31 23:59")), ()),
    ("ended", replace(CASE, opened_at=warsaw("2027-01-01 00:00")), ("contract_expired",)),
    ("the first day is valid", replace(CASE, opened_at=warsaw("2026-01-01 00:00")), ()),
    ("not started", replace(CASE, opened_at=warsaw("2025-12-31 23:59")), ("contract_not_started",)),
    ("dates not known", replace(CASE, contract=replace(CONTRACT, starts=None, ends=None), opened_at=warsaw("2040-01-01 00:00")), ()),
]


@pytest.mark.parametrize(("name", "case", "words"), BLOCKED)
@pytest.mark.parametrize("plan", ["hezo-plus", "partner-poly-plus", "poly-plus", "standard-warranty", "warranty-extension", "none"])
def test_a_vendors_desk_waits_for_what_the_vendor_asks(plans: Mapping[str, Plan], plan: str, name: str, case: Case, words: tuple[str, ...]) -> None:
    assert missing(case, plans[plan], "vendor") == words


@pytest.mark.parametrize(("name", "case", "words"), BLOCKED)
def test_an_internal_desk_waits_for_nothing(plans: Mapping[str, Plan], name: str, case: Case, words: tuple[str, ...]) -> None:
    assert missing(case, plans["hezo-plus"], "internal") == ()
    assert missing(case, None, "internal") == ()


def test_without_a_known_plan_a_vendors_desk_gets_nothing() -> None:
    assert missing(CASE, None, "vendor") == ("plan",)


def test_axis_wants_the_serial_and_a_proof_of_purchase_only_when_asked(plans: Mapping[str, Plan]) -> None:
    plan = plans["axis-warranty"]
    bare = replace(CASE, contract=None)
    assert missing(bare, plan, "vendor") == ()
    assert missing(replace(bare, identity=Identity()), plan, "vendor") == ("serial",)
    assert missing(bare, plan, "vendor", asked=("proof_of_purchase",)) == ("proof_of_purchase",)
    proven = replace(CASE, contract=replace(CONTRACT, proof_of_purchase="FV/12/2026"))
    assert missing(proven, plan, "vendor", asked=("proof_of_purchase",)) == ()


def test_the_serial_is_that_of_the_part_that_broke(plans: Mapping[str, Plan]) -> None:
    part = Component(kind="camera", key="E1", serial="E1", model="Studio E70")
    case = replace(CASE, fault=replace(CASE.fault, part=part), identity=Identity(model="Studio X52"))
    assert reported_serial(case) == "E1"
    assert missing(case, plans["hezo-plus"], "vendor") == ()
    assert "model_not_covered" not in advisable(case, plans["hezo-plus"])
    assert reported_serial(CASE) == "S1"


def test_what_would_make_a_report_better_holds_nothing_up(plans: Mapping[str, Plan]) -> None:
    case = replace(
        CASE,
        identity=replace(CASE.identity, model="Studio X52", firmware=""),
        checklist=(Check(id="reset", question=Text("q", "q"), answer=CheckAnswer.NOT_CHECKED),),
    )
    assert advisable(case, plans["hezo-plus"]) == ("contact", "firmware", "logs_or_reason", "checklist", "address", "model_not_covered")
    assert missing(case, plans["hezo-plus"], "vendor") == ()
    artifact = Artifact(name="log", media_type="text/plain", path=Path("x"), size=1, sha256="0", collected_at=case.opened_at)
    whole = replace(
        CASE,
        evidence=(artifact,),
        contract=replace(CONTRACT, contact_email="a@example.org", address="x"),
        checklist=(Check(id="reset", question=Text("q", "q"), answer=CheckAnswer.NOT_CHECKED, detail=Text("nobody can see it", "nikt")),),
    )
    assert advisable(whole, plans["hezo-plus"]) == ()
    assert "logs_or_reason" not in advisable(replace(whole, evidence=(), evidence_note="the device does not answer"), plans["hezo-plus"])


def test_every_word_has_a_sentence_in_both_languages(plans: Mapping[str, Plan]) -> None:
    used = {word for plan in plans.values() for word in (*plan.requires, *plan.asks_for)} - {"contract_valid"}
    assert used <= set(MISSING)
    for language in ("pl", "en"):
        said = sentence(("serial", "contract_number"), language)
        assert MISSING["serial"][language] in said
        assert MISSING["contract_number"][language] in said
    assert sentence((), "pl") == ""


# --- which plan, which software ---


def test_a_device_falls_under_its_contracts_plan_else_its_vendors_else_none(plans: Mapping[str, Plan]) -> None:
    assert plan_of(CONTRACT, "poly", plans) == "hezo-plus"
    assert plan_of(None, "axis", plans) == "axis-warranty"
    assert plan_of(Contract(id="c"), "axis", plans) == "axis-warranty"
    assert plan_of(None, "poly", plans) == "none"


@pytest.mark.parametrize(("model", "covered"), [("Poly Studio X30", True), ("Studio E70", True), ("Studio X52", False), ("G7500", False), ("", None)])
def test_hezo_plus_covers_the_models_on_its_list(plans: Mapping[str, Plan], model: str, covered: bool | None) -> None:
    assert plans["hezo-plus"].covers(model) is covered
    assert plans["partner-poly-plus"].covers(model) is True


def test_patches_of_a_warranty_end_after_ninety_days(plans: Mapping[str, Plan]) -> None:
    plan = plans["standard-warranty"]
    assert "are included until 2026-04-01" in software(plan, CONTRACT, date(2026, 4, 1)).en
    assert "were included until 2026-04-01" in software(plan, CONTRACT, date(2026, 4, 2)).en
    assert "not known" in software(plan, None, date(2026, 4, 2)).en
    assert "new versions" in software(plans["poly-plus"], CONTRACT, date(2026, 4, 2)).en
    assert "new versions" not in software(plans["hezo-plus"], CONTRACT, date(2026, 4, 2)).en
    assert software(plans["axis-warranty"], None, date(2026, 4, 2)) == Text("", "")
