"""Streams of what devices say by themselves: when one is opened, and when again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import CollectError, LoginBlocked, NotSupported, Reason, Unreachable
from agent.model import Device
from agent.polling.streams import FIRST, LACKING_AGAIN, LIVED, LOCKED_OUT, LONGEST, Reach, follow, pause
from agent.ports import Listener, Signal
from tests.support.clock import TurnedClock

CAMERA = Device(id="cam", vendor="axis", host="127.0.0.9")


class Ear:
    def __init__(self) -> None:
        self.said: list[str] = []

    def opened(self) -> None:
        self.said.append("opened")

    def heard(self, signals: Sequence[Signal]) -> None:
        self.said.extend(s.key for s in signals)

    def closed(self) -> None:
        self.said.append("closed")


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


class Following:
    """One followed device whose streams end as the test says."""

    def __init__(self, *ends: BaseException | None, lives: float = 0.0, ear: Ear | None = None) -> None:
        self.clock, self.reach, self.ear = TurnedClock(), Reach(), ear or Ear()
        self.opened = 0
        self._ends, self._lives = list(ends), lives

    async def listen(self, listener: Listener) -> None:
        self.opened += 1
        listener.opened()
        if self._lives:
            await self.clock.sleep(self._lives)
        end = self._ends.pop(0) if self._ends else None
        if end is not None:
            raise end

    def __enter__(self) -> Self:
        self._task = asyncio.get_running_loop().create_task(follow(CAMERA, self.listen, self.ear, self.reach, self.clock, lambda: 0.0))
        return self

    def __exit__(self, *_: object) -> None:
        self._task.cancel()

    async def turn(self, seconds: float) -> None:
        self.clock.turn(seconds)
        await settle()


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


def test_no_stream_is_opened_before_a_poll_has_reached_the_device() -> None:
    async def test() -> None:
        with Following() as one:
            await one.turn(3600)
            assert one.opened == 0
            one.reach.note(reachable=True)
            await settle()
            assert one.opened == 1

    run(test)


def test_a_stream_that_ends_is_opened_again_later_and_later() -> None:
    async def test() -> None:
        with Following() as one:
            one.reach.note(reachable=True)
            await settle()
            waits = []
            for _ in range(12):
                seen, waited = one.opened, 0.0
                while one.opened == seen:
                    await one.turn(1.0)
                    waited += 1.0
                waits.append(waited)
        assert waits[:4] == [FIRST, 2 * FIRST, 4 * FIRST, 8 * FIRST]
        assert waits[-3:] == [LONGEST] * 3

    run(test)


def test_one_that_lived_begins_with_the_first_pause_again() -> None:
    async def test() -> None:
        with Following(lives=LIVED) as one:
            one.reach.note(reachable=True)
            await settle()
            for times in range(2, 8):
                await one.turn(LIVED)
                await one.turn(FIRST)
                assert one.opened == times

    run(test)


def test_none_is_opened_to_a_device_that_left_until_it_is_back() -> None:
    async def test() -> None:
        with Following(Unreachable(Reason.RESET, "gone", sent=True)) as one:
            one.reach.note(reachable=True)
            await settle()
            one.reach.note(reachable=False)
            await one.turn(7 * 86_400)
            assert one.opened == 1
            one.reach.note(reachable=True)
            await settle()
            assert one.opened == 2

    run(test)


@pytest.mark.parametrize(
    ("end", "wait"),
    [
        (NotSupported("no such path"), LACKING_AGAIN),
        (LoginBlocked(Reason.AUTH_BLOCKED, "refused earlier"), LOCKED_OUT),
        (CollectError(Reason.AUTH, "no"), LOCKED_OUT),
    ],
)
def test_what_only_time_or_a_person_can_mend_is_not_asked_for_soon(end: CollectError, wait: float) -> None:
    async def test() -> None:
        with Following(end) as one:
            one.reach.note(reachable=True)
            await settle()
            await one.turn(wait - 1)
            assert one.opened == 1
            await one.turn(1)
            assert one.opened == 2

    run(test)


def test_a_bug_in_a_stream_costs_that_stream_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        with Following(ZeroDivisionError()) as one:
            one.reach.note(reachable=True)
            await settle()
            await one.turn(FIRST)
            assert one.opened == 2
            assert one.ear.said == ["opened", "closed", "opened", "closed"]

    run(test)


def test_however_it_ends_the_listener_hears_that_it_is_over() -> None:
    async def test() -> None:
        with Following(lives=1e6) as one:
            one.reach.note(reachable=True)
            await settle()
            assert one.ear.said == ["opened"]
        await settle()
        assert one.ear.said == ["opened", "closed"]

    run(test)


def test_a_stream_ends_when_a_poll_does_not_reach_the_device_and_another_tells_all_anew() -> None:
    """What it said is forgotten then, and a device says only once what lasts."""

    async def test() -> None:
        with Following(lives=1e6) as one:
            one.reach.note(reachable=True)
            await settle()
            assert one.ear.said == ["opened"]
            one.reach.note(reachable=False)
            one.reach.note(reachable=False)
            one.reach.note(reachable=True)
            await settle()
            assert one.ear.said == ["opened", "closed"]
            await one.turn(FIRST)
            assert one.ear.said == ["opened", "closed", "opened"]

    run(test)


def test_a_bug_in_the_ear_ends_no_more_than_that_stream() -> None:
    class Deaf(Ear):
        def closed(self) -> None:
            super().closed()
            raise ZeroDivisionError

    async def test() -> None:
        ear = Deaf()
        with Following(ear=ear) as one:
            one.reach.note(reachable=True)
            await settle()
            await one.turn(FIRST)
            assert ear.said == ["opened", "closed", "opened", "closed"]

    run(test)


@given(st.integers(1, 10_000), st.sampled_from(Reason), st.floats(0, 1))
def test_a_pause_is_never_short_nor_endless(failures: int, reason: Reason, shorten: float) -> None:
    assert FIRST / 2 <= pause(failures, reason, shorten) <= LACKING_AGAIN
