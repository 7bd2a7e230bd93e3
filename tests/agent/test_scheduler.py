"""The timer: even spread, and a clock that is set moves nothing."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from apscheduler.job import Job
from hypothesis import given
from hypothesis import strategies as st

from agent.polling.scheduler import Every

WALL = datetime(2026, 3, 4, 9, 0, tzinfo=UTC)


def at(monkeypatch: pytest.MonkeyPatch, monotonic: float) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: monotonic)


def test_turns_are_an_interval_apart_from_the_start_on(monkeypatch: pytest.MonkeyPatch) -> None:
    every = Every(60.0, start=1000.0)
    at(monkeypatch, 990.0)
    assert every.get_next_fire_time(None, WALL) == WALL + timedelta(seconds=10)
    at(monkeypatch, 1000.0)
    assert every.get_next_fire_time(WALL, WALL) == WALL + timedelta(seconds=60)


@pytest.mark.parametrize("late", [-0.2, 0.0, 0.3, 29.0])
def test_a_turn_that_comes_early_or_late_moves_no_later_one(monkeypatch: pytest.MonkeyPatch, late: float) -> None:
    at(monkeypatch, 1060.0 + late)
    following = Every(60.0, start=1000.0).get_next_fire_time(WALL, WALL)
    assert (following - WALL).total_seconds() == pytest.approx(60.0 - late)


@given(elapsed=st.floats(0, 1e6), interval=st.floats(1, 3600), jump=st.floats(-1e9, 1e9))
def test_however_the_wall_clock_jumps_the_next_turn_is_at_most_one_and_a_half_intervals_away(elapsed: float, interval: float, jump: float) -> None:
    with pytest.MonkeyPatch.context() as patch:
        at(patch, 1000.0 + elapsed)
        now = WALL + timedelta(seconds=elapsed + jump)
        wait = (Every(interval, start=1000.0).get_next_fire_time(now, now) - now).total_seconds()
    assert interval * 0.499 <= wait <= interval * 1.501


def test_a_clock_that_is_set_forward_by_decades_makes_up_for_one_turn_and_not_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a battery starts in 1970 and is set right by its time server: the loop stood still over 1.8 thousand million turns of a second."""
    at(monkeypatch, 1000.0)
    job = Job.__new__(Job)
    job.trigger, job.next_run_time = Every(1.0, start=1000.0), datetime(1970, 1, 1, tzinfo=UTC)
    assert job._get_run_times(WALL) == [datetime(1970, 1, 1, tzinfo=UTC)]
