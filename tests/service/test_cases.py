"""From a case to the steps of its desks."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model import Artifact, Desk, StepKind, StepState
from agent.service.cases import PARCEL, Office, parcels, plan_step
from config.plans import Plan
from tests.tickets.samples import CASE, OPENED, WRITTEN, ZONE

FILE = Artifact(name="x", media_type="text/plain", path=Path("x"), size=0, sha256="0" * 64, collected_at=OPENED)
OFFICE = Office(language="en", timezone=ZONE)
PLAN = Plan.model_validate({"name": {"en": "Five Lamps", "pl": "Pięć Lamp"}})


def files(*sizes: int) -> tuple[Artifact, ...]:
    return tuple(replace(FILE, name=f"{n}.log", size=size) for n, size in enumerate(sizes))


@given(sizes=st.lists(st.integers(0, 30), max_size=20), limit=st.integers(1, 40))
def test_parcels_hold_every_file_once_and_in_order_and_only_one_that_is_alone_is_over_the_limit(sizes: list[int], limit: int) -> None:
    given_files = files(*sizes)
    found = parcels(given_files, limit)
    assert tuple(file for parcel in found for file in parcel) == given_files
    assert all(found)
    for parcel in found:
        assert sum(file.size for file in parcel) <= limit or len(parcel) == 1
    for parcel, following in pairwise(found):
        assert sum(file.size for file in (*parcel, following[0])) > limit, "a parcel ends only where the next file does not fit"


def test_seven_small_files_are_one_parcel_and_a_big_one_goes_alone() -> None:
    assert parcels(()) == ()
    assert parcels(files(*[1000] * 7)) == (files(*[1000] * 7),)
    small, big, last = files(0, PARCEL + 1, 0)
    assert parcels((small, big, last)) == ((small,), (big,), (last,))
    assert len(parcels(files(PARCEL - 1, 1, 1))) == 2


@pytest.mark.parametrize(("language", "name"), [("pl", "Pięć Lamp"), ("en", "Five Lamps")])
def test_a_step_names_the_plan_as_people_call_it_in_the_language_of_the_desk(language: str, name: str) -> None:
    desk = Desk(name="helpdesk", type="folder", language=language)
    step = plan_step(CASE, desk, StepKind.CREATE, 1, PLAN, OFFICE, at=WRITTEN).step
    assert (step.draft.fields["plan"], step.draft.fields["plan_name"]) == ("partner-poly-plus", name)
    assert f": {name}\n" in step.draft.body
    assert "partner-poly-plus" not in step.draft.body


def test_a_case_without_a_plan_has_no_name_of_one() -> None:
    step = plan_step(replace(CASE, plan=""), Desk(name="helpdesk", type="folder"), StepKind.CREATE, 1, PLAN, OFFICE, at=WRITTEN).step
    assert step.draft.fields["plan_name"] == ""
    assert "Five Lamps" not in step.draft.body


def test_an_attachment_brings_its_files_and_speaks_of_them_alone() -> None:
    first, second, third = files(10, 20, 30)
    case = replace(CASE, evidence=(first, second, third))
    planned = plan_step(case, Desk(name="vendor", type="mail", role="vendor"), StepKind.ATTACH, 2, PLAN, OFFICE, at=WRITTEN, artifacts=(first, third))
    step = planned.step
    assert planned.state is StepState.PENDING, "the first message holds the later ones back"
    assert step.artifacts == (first, third)
    assert [file["name"] for file in step.draft.fields["attached"]] == ["0.log", "2.log"]
    assert [file["name"] for file in step.draft.fields["evidence"]] == ["0.log", "1.log", "2.log"]
    assert "1.log" not in step.draft.body
