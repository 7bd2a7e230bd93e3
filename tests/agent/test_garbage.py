"""The collector's policy: what stays is frozen, what is young is collected, all of it seldom."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from agent import garbage as policy
from agent.garbage import FREEZE_EVERY, IDLE_WITHIN, LOOK_EVERY, garbage


class Knot:
    """Keeps itself alive."""

    def __init__(self) -> None:
        self.me = self


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Iterator[Clock]:
    threshold = gc.get_threshold()
    yield Clock()
    assert gc.get_threshold() == threshold
    assert gc.get_freeze_count() == 0


def test_what_is_there_at_the_start_is_not_visited_again(clock: Clock) -> None:
    kept = [Knot() for _ in range(10)]
    with garbage(clock):
        assert gc.get_freeze_count() > 10
        assert not any(item is kept[0] for item in gc.get_objects())


def test_python_starts_no_whole_collection(clock: Clock) -> None:
    before = gc.get_stats()[2]["collections"]
    with garbage(clock):
        started = gc.get_stats()[2]["collections"]
        hoard = [[n] for n in range(400_000)]
        assert gc.get_stats()[2]["collections"] == started == before + 1
        assert gc.get_stats()[1]["collections"] > 0
    del hoard


def test_the_cycles_of_finished_polls_are_collected(clock: Clock) -> None:
    with garbage(clock) as running:
        knots = [weakref.ref(Knot()) for _ in range(50)]
        for _ in range(FREEZE_EVERY):
            running.polled()
        assert not any(knot() for knot in knots)


def test_what_survived_is_frozen_and_freed_by_its_count_all_the_same(clock: Clock) -> None:
    with garbage(clock) as running:
        answer = Knot()
        answer.me = None  # type: ignore[assignment]
        gone = weakref.ref(answer)
        for _ in range(FREEZE_EVERY):
            running.polled()
        assert not any(item is answer for item in gc.get_objects())
        del answer
        assert gone() is None


def test_a_cycle_that_was_frozen_alive_is_found_by_the_hourly_look(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "SMALL", 10_000_000)
    with garbage(clock) as running:
        knot = Knot()
        gone = weakref.ref(knot)
        for _ in range(FREEZE_EVERY):
            running.polled()
        del knot
        gc.collect()
        assert gone() is not None
        running.look(busy=False)
        assert gone() is not None, "too early"
        clock.now = LOOK_EVERY
        running.look(busy=True)
        assert gone() is not None, "a poll runs"
        clock.now = LOOK_EVERY + IDLE_WITHIN
        running.look(busy=True)
        assert gone() is None


def test_a_large_program_is_looked_through_only_when_it_has_grown(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "SMALL", 0)
    with garbage(clock) as running:
        knot = Knot()
        gone = weakref.ref(knot)
        for _ in range(FREEZE_EVERY):
            running.polled()
        del knot
        for hour in range(1, 4):
            clock.now = hour * LOOK_EVERY
            running.look(busy=False)
        assert gone() is not None
        hoard = [[n] for n in range(gc.get_freeze_count())]
        for _ in range(FREEZE_EVERY):
            running.polled()
        clock.now = 5 * LOOK_EVERY
        running.look(busy=False)
        assert gone() is None
    del hoard
