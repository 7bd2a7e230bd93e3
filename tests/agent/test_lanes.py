"""Places for polls and transfers: who hangs holds up nobody else, and comes to its turn all the same."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from agent.model import Device
from agent.polling.lanes import TRANSFERS, Lane, Lanes, Transfers, poll_lanes
from agent.polling.scheduler import spread
from exporters.prometheus.own import OwnMetrics
from tests.support.clock import TurnedClock

INTERVAL = 60
HANG = 90.0
QUICK = 0.4


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(8):
        await asyncio.sleep(0)


@pytest.mark.promise(7)
async def test_a_hundred_devices_that_hang_do_not_hold_up_five_hundred_good_ones() -> None:
    clock = TurnedClock()
    lanes = poll_lanes(100, 10.0, clock)
    polls: Counter[str] = Counter()
    waited: dict[str, float] = {}
    most = 0

    async def poll(device: str) -> None:
        asked = clock.monotonic()
        async with lanes.place(device):
            waited[device] = max(waited.get(device, 0.0), clock.monotonic() - asked)
            await clock.sleep(HANG if device.startswith("hung") else QUICK)
            polls[device] += 1

    devices = [f"hung-{n}" for n in range(100)] + [f"good-{n}" for n in range(500)]
    due = {device: spread(device, 10.0) for device in devices}
    running: set[asyncio.Task[None]] = set()
    minutes = 30
    for tick in range(minutes * INTERVAL * 2):
        now = tick / 2
        for device in devices:
            if now >= due[device]:
                due[device] += INTERVAL
                if device not in lanes:
                    running.add(task := asyncio.create_task(poll(device)))
                    task.add_done_callback(running.discard)
        lanes.sweep()
        await settle()
        most = max(most, sum(held for held, _ in lanes.lengths().values()))
        clock.turn(0.5)
        await settle()
    good = {device: polls[device] for device in devices if device.startswith("good")}
    assert set(good.values()) == {minutes}
    assert max(waited[device] for device in good) < INTERVAL / 2
    hung = [polls[device] for device in devices if device.startswith("hung")]
    assert min(hung) >= minutes * INTERVAL / HANG * 20 / 100 - 2, "each comes to its turn in the slow lane"
    assert max(hung) - min(hung) <= 1
    assert most <= 200
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def test_who_was_late_waits_in_the_slow_lane_until_it_is_quick_again() -> None:
    clock = TurnedClock()
    lanes = Lanes(fast=1, slow=1, spare=1, patience=5.0, clock=clock)

    async def lane_of(device: str, lasting: float) -> Lane:
        async with lanes.place(device):
            (found,) = [lane for lane, (running, _) in lanes.lengths().items() if running]
            clock.turn(lasting)
            return found

    assert [await lane_of("a", lasting) for lasting in (6.0, 5.0, 1.0, 1.0)] == [Lane.FAST, Lane.SLOW, Lane.SLOW, Lane.FAST]


async def test_what_turns_out_late_gives_its_fast_place_back_while_it_runs() -> None:
    clock = TurnedClock()
    lanes = Lanes(fast=1, slow=1, spare=1, patience=5.0, clock=clock)
    order: list[str] = []

    async def work(name: str, hold: asyncio.Event) -> None:
        async with lanes.place(name):
            order.append(name)
            await hold.wait()

    never, at_once = asyncio.Event(), asyncio.Event()
    at_once.set()
    tasks = [asyncio.create_task(work("hung", never)), asyncio.create_task(work("good", at_once)), asyncio.create_task(work("hung too", never))]
    await settle()
    lanes.sweep()
    assert order == ["hung"]
    clock.turn(5.0)
    lanes.sweep()
    await settle()
    assert order == ["hung", "good", "hung too"]
    clock.turn(5.0)
    lanes.sweep()
    assert lanes.lengths() == {Lane.FAST: (1, 0), Lane.SLOW: (1, 0)}, "no place is spare: it stays where it is"
    never.set()
    await asyncio.gather(*tasks)
    assert lanes.lengths() == {Lane.FAST: (0, 0), Lane.SLOW: (0, 0)}


@pytest.mark.parametrize("when", ["while it waits", "as its turn comes"])
async def test_one_that_is_cancelled_leaves_its_place_to_the_next(when: str) -> None:
    lanes = Lanes(fast=1, slow=1, spare=1, patience=5.0, clock=TurnedClock())
    reached: list[str] = []

    async def work(name: str) -> None:
        async with lanes.place(name):
            reached.append(name)

    async with lanes.place("first"):
        second, third = asyncio.create_task(work("second")), asyncio.create_task(work("third"))
        await settle()
        if when == "while it waits":
            second.cancel()
            await settle()
    second.cancel()
    await asyncio.gather(second, third, return_exceptions=True)
    assert reached == ["third"]
    assert all(length == (0, 0) for length in lanes.lengths().values())


async def test_where_all_are_late_because_the_machine_is_half_of_the_fast_places_serve_them_too() -> None:
    clock = TurnedClock()
    lanes = Lanes(fast=8, slow=2, spare=0, patience=5.0, clock=clock)
    together = 0

    async def work(name: str) -> None:
        nonlocal together
        async with lanes.place(name):
            together = max(together, sum(running for running, _ in lanes.lengths().values()))
            await clock.sleep(5.0)

    for expected in (8, 6):
        together = 0
        tasks = [asyncio.create_task(work(f"d{n}")) for n in range(30)]
        while not all(task.done() for task in tasks):
            await settle()
            clock.turn(1.0)
        assert together == expected
    async with lanes.place("quick"):
        assert lanes.lengths()[Lane.FAST] == (1, 0)


async def test_nobody_is_in_a_lane_twice() -> None:
    lanes = Lanes(fast=2, slow=1, spare=1, patience=5.0, clock=TurnedClock())
    async with lanes.place("a"):
        assert "a" in lanes
        with pytest.raises(ValueError, match="already"):
            async with lanes.place("a"):
                pass
    assert "a" not in lanes


def test_there_is_a_place_in_each_lane_however_few_there_are() -> None:
    for concurrency, fast, slow in ((1, 1, 1), (2, 1, 1), (10, 8, 2), (100, 80, 20)):
        lanes = poll_lanes(concurrency, 10.0, TurnedClock())
        assert [line.places for line in lanes._lines.values()] == [fast, slow]


async def test_files_are_fetched_one_at_a_time_from_a_device_and_a_few_at_a_time_from_a_site() -> None:
    clock = TurnedClock()
    transfers = Transfers(clock)
    running: Counter[str] = Counter()
    most: Counter[str] = Counter()
    done: list[str] = []

    async def fetch(device: Device, *, hang: bool = False) -> None:
        async with transfers.turn(device):
            for key in (device.id, device.site):
                running[key] += 1
                most[key] = max(most[key], running[key])
            await clock.sleep(1000.0 if hang else 10.0)
            for key in (device.id, device.site):
                running[key] -= 1
            done.append(device.id)

    def device(name: str, site: str) -> Device:
        return Device(id=name, vendor="toy", host="127.0.0.1", site=site)

    hung = [device(f"hung-{n}", "here") for n in range(4)]
    good = [device(f"good-{n}", "here") for n in range(6)]
    tasks = {asyncio.create_task(fetch(d, hang=True)) for d in hung}
    tasks |= {asyncio.create_task(fetch(d)) for d in (*good, *good, device("elsewhere", "there"))}
    while not all(task.done() for task in tasks):
        await settle()
        clock.turn(1.0)
        transfers.sweep()
    assert done[0] == "elsewhere"
    assert TRANSFERS <= most["here"] <= TRANSFERS + 2
    assert all(most[d.id] == 1 for d in (*hung, *good))
    assert Counter(done) == Counter({d.id: 1 for d in hung} | {d.id: 2 for d in good} | {"elsewhere": 1})


def test_the_length_of_each_lane_is_a_metric() -> None:
    own = OwnMetrics((), ())
    lanes = poll_lanes(100, 10.0, TurnedClock())
    for lane, (running, waiting) in lanes.lengths().items():
        own.lane(lane, running, waiting)
    own.lane(Lane.SLOW, 2, 3)
    page = own.page(openmetrics=False).decode()
    assert 'latarnik_poll_lane_length{lane="fast",state="running"} 0.0\n' in page
    assert 'latarnik_poll_lane_length{lane="slow",state="waiting"} 3.0\n' in page
