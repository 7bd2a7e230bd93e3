"""Values whose construction is made quick are in all else what `dataclass` makes of them."""

from __future__ import annotations

import copy
import inspect
import pickle
from dataclasses import FrozenInstanceError, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from agent.model import FacetOutcome, Healthy, History, Identity, Reading, Snapshot
from agent.model.quick import quick
from agent.model.reading import UNNAMED, Component
from agent.ports import DeviceStatus, FacetData, PollReport
from agent.redact import Mask, spellings

QUICK = (Reading, Component, Identity, FacetOutcome, Snapshot, History, Healthy, FacetData, DeviceStatus, PollReport)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    name: str
    size: int = 3
    tags: list[str] = field(default_factory=list)


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Quick:
    name: str
    size: int = 3
    tags: list[str] = field(default_factory=list)


def test_a_quick_value_has_the_fields_defaults_and_errors_of_a_plain_one() -> None:
    assert repr(Quick(name="a")) == repr(Plain(name="a")).replace("Plain", "Quick")
    assert Quick(name="a", size=4, tags=["x"]) == replace(Quick(name="a"), size=4, tags=["x"]) != Quick(name="a")
    assert Quick(name="a").tags is not Quick(name="a").tags
    assert list(inspect.signature(Quick).parameters) == list(inspect.signature(Plain).parameters)
    wrongs: tuple[dict[str, Any], ...] = ({}, {"name": "a", "colour": "red"})
    for wrong in wrongs:
        with pytest.raises(TypeError, match=r"__init__\(\)"):
            Quick(**wrong)
    with pytest.raises(TypeError):
        Quick("a")  # type: ignore[call-arg]


@pytest.mark.parametrize("made", QUICK, ids=lambda made: made.__name__)
def test_every_field_of_a_quick_value_is_set_where_it_belongs_and_stays(made: type[object]) -> None:
    names = list(inspect.signature(made).parameters)
    given = {name: f"the {name}" for name in names}
    value = made(**given)
    assert {name: getattr(value, name) for name in names} == given
    assert copy.deepcopy(value) == value == pickle.loads(pickle.dumps(value))
    with pytest.raises(FrozenInstanceError):
        setattr(value, names[0], "other")


def test_the_readings_of_a_snapshot_are_found_by_metric_and_are_no_part_of_its_value() -> None:
    first, other, second = Reading(metric="a", value=1.0), Reading(metric="b", value=1.0), Reading(metric="a", value=2.0)
    snapshot = Snapshot(device="d", at=datetime(2026, 3, 4, tzinfo=UTC), duration=0.1, reachable=True, readings=(first, other, second))
    same = replace(snapshot)
    assert list(snapshot.of("a")) == [first, second]
    assert list(snapshot.of("c")) == []
    assert snapshot == same
    assert list(replace(snapshot, readings=(other,)).of("a")) == []


def test_gaps_of_an_identity_are_filled_and_nothing_else() -> None:
    known = Identity(serial="1", model="M")
    assert UNNAMED.filled_from(known) == known.filled_from(UNNAMED) == known.filled_from(Identity()) == known
    assert Identity(serial="2", name="gate").filled_from(known) == Identity(serial="2", name="gate", model="M")


@pytest.mark.parametrize("secret", ["latarnia-1", "pa ss&wö<rd>/+", "~~~???>>>", 'quo"te\\back'])
def test_every_spelling_of_a_secret_is_found_though_only_the_shortest_are_looked_for(secret: str) -> None:
    mask = Mask.of([(secret, "root")])
    assert set(mask.telling) <= set(mask.forbidden)
    assert all(mask.finds(f"x{spelling.decode()}y") for spelling in spellings(secret, "root"))
    assert not mask.finds("an ordinary word")
