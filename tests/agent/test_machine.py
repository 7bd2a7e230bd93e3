"""The incident machine: hold, clear, one incident a key, first sight, recovery and return."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from agent.diagnosis.machine import REOPEN_WINDOW, Change, Judged, Turn, advance, expire
from agent.model import Fault, FaultSpec, Healthy, Incident, IncidentState, Severity, Text

T0 = datetime(2026, 3, 4, 9, 0, tzinfo=UTC)
SPEC = FaultSpec(code="x.broken", severity=Severity.CRITICAL, title=Text("t", "t"), advice=Text("a", "a"), hold=120, hits=2, clear=300, misses=3)
KEY = "cam/x.broken/SD"
BAD = Judged(device="cam", judgement=Fault(code="x.broken", component="SD", severity=Severity.CRITICAL, summary="broken"))
GOOD = Judged(device="cam", judgement=Healthy(code="x.broken", component="SD"))


class Run:
    """A series of polls of one device."""

    def __init__(self, spec: FaultSpec = SPEC, *, healthy_before: bool = True) -> None:
        self.spec = spec
        self.incidents: dict[str, Incident] = {}
        self.now = T0
        self.healthy = healthy_before
        self.ids = itertools.count()
        self.turns: list[Turn] = []

    def poll(self, *judged: Judged, after: float = 60.0) -> list[Change]:
        changes = advance(
            self.incidents,
            judged,
            spec_of=lambda _: self.spec,
            was_healthy=lambda _: self.healthy,
            now=self.now,
            new_id=lambda: f"i{next(self.ids)}",
        )
        for change in changes:
            self.turns.append(change.turn)
            if change.incident.state is IncidentState.CLOSED:
                self.incidents.pop(change.incident.key, None)
            else:
                self.incidents[change.incident.key] = change.incident
        self.now += timedelta(seconds=after)
        return changes

    def case(self) -> None:
        self.incidents[KEY] = replace(self.incidents[KEY], state=IncidentState.CASED, case="c1")

    @property
    def state(self) -> str:
        return self.incidents[KEY].state.value if KEY in self.incidents else "none"


def test_a_fault_counts_only_after_its_hold_and_its_hits() -> None:
    run = Run()
    states = []
    for _ in range(4):
        run.poll(BAD)
        states.append(run.state)
    assert states == ["suspected", "suspected", "confirmed", "confirmed"]
    assert run.turns == [Turn.SUSPECTED, Turn.SEEN, Turn.CONFIRMED, Turn.SEEN]


def test_a_fault_without_hold_counts_at_once() -> None:
    run = Run(replace(SPEC, hold=0, hits=1))
    run.poll(BAD)
    assert run.state == "confirmed"


def test_a_suspicion_ends_with_the_first_healthy_poll() -> None:
    run = Run()
    run.poll(BAD)
    run.poll(GOOD)
    assert run.state == "none"
    assert run.turns[-1] is Turn.DROPPED


def test_silence_is_neither_sickness_nor_health() -> None:
    run = Run()
    run.poll(BAD)
    before = run.incidents[KEY]
    assert run.poll() == []
    assert run.incidents[KEY] is before


def test_a_cased_fault_recovers_after_its_clear_time_and_its_misses() -> None:
    run = Run()
    for _ in range(3):
        run.poll(BAD)
    run.case()
    states = []
    for _ in range(7):
        run.poll(GOOD)
        states.append(run.state)
    assert states == ["cased"] * 5 + ["recovered"] * 2
    assert run.incidents[KEY].recovered_at == T0 + timedelta(seconds=180)


def test_a_fault_that_flickers_does_not_recover() -> None:
    run = Run()
    for _ in range(3):
        run.poll(BAD)
    run.case()
    for _ in range(20):
        run.poll(GOOD)
        run.poll(GOOD)
        run.poll(BAD)
    assert run.state == "cased"


def test_a_return_within_the_window_opens_the_same_incident_again_but_not_at_one_bad_poll() -> None:
    run = Run()
    for _ in range(3):
        run.poll(BAD)
    run.case()
    for _ in range(7):
        run.poll(GOOD)
    run.poll(BAD)
    assert run.state == "recovered"
    run.poll(GOOD)
    for _ in range(3):
        run.poll(BAD)
    assert run.state == "cased"
    assert run.incidents[KEY].id == "i0"
    assert run.incidents[KEY].case == "c1"
    assert run.turns[-1] is Turn.RETURNED


def test_a_recovered_incident_closes_after_the_window() -> None:
    run = Run()
    for _ in range(3):
        run.poll(BAD)
    run.case()
    for _ in range(7):
        run.poll(GOOD)
    assert expire(run.incidents.values(), run.now) == []
    (change,) = expire(run.incidents.values(), run.now + REOPEN_WINDOW)
    assert change.incident.state is IncidentState.CLOSED


def test_what_was_never_seen_healthy_is_first_sight() -> None:
    run = Run(healthy_before=False)
    run.poll(BAD)
    assert run.incidents[KEY].first_sight
    assert not _first(Run(healthy_before=True)).first_sight


def _first(run: Run) -> Incident:
    run.poll(BAD)
    return run.incidents[KEY]


def test_of_two_judgements_of_one_key_the_fault_counts() -> None:
    run = Run(replace(SPEC, hold=0, hits=1))
    run.poll(GOOD, BAD, GOOD)
    assert run.state == "confirmed"


def test_a_site_may_set_the_severity() -> None:
    run = Run(replace(SPEC, severity_override=Severity.INFO))
    run.poll(BAD)
    assert run.incidents[KEY].fault.severity is Severity.INFO


@given(st.lists(st.sampled_from(["bad", "good", "none"]), max_size=60), st.floats(0, 600), st.integers(1, 4))
def test_whatever_comes_one_key_has_at_most_one_open_incident_and_every_end_had_its_evidence(words: list[str], hold: float, hits: int) -> None:
    run = Run(replace(SPEC, hold=hold, hits=hits))
    seen_ids: set[str] = set()
    for word in words:
        before = run.state
        run.poll(*{"bad": [BAD], "good": [GOOD], "none": []}[word])
        if run.state == "confirmed" and before != "cased":
            assert run.incidents[KEY].hits >= hits
            run.case()
        if word == "none":
            assert run.state == before
        if before == "cased" and run.state == "recovered":
            assert word == "good"
        if KEY in run.incidents:
            seen_ids.add(run.incidents[KEY].id)
        assert len(run.incidents) <= 1
    assert len(seen_ids) <= words.count("bad")


def test_a_clock_that_is_set_back_holds_up_no_suspicion() -> None:
    """What was first seen tomorrow would have to last until then."""
    run = Run()
    run.poll(BAD)
    run.now -= timedelta(days=1)
    for _ in range(3):
        run.poll(BAD)
    assert run.state == "confirmed"


def test_a_clock_that_is_set_forward_confirms_no_suspicion_that_has_not_lasted() -> None:
    run = Run()
    run.poll(BAD)
    run.now += timedelta(days=1)
    run.poll(BAD)
    assert run.state == "suspected"


def test_a_clock_that_is_set_back_holds_up_no_recovery_and_no_return() -> None:
    run = Run()
    for _ in range(3):
        run.poll(BAD)
    run.case()
    run.poll(GOOD)
    run.now -= timedelta(days=1)
    for _ in range(6):
        run.poll(GOOD)
    assert run.state == "recovered"
    run.poll(BAD)
    run.now -= timedelta(days=1)
    for _ in range(3):
        run.poll(BAD)
    assert run.state == "cased"
