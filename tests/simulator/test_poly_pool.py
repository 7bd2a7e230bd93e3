"""The session pool of the simulated Poly devices, and how it ends in a hung web interface."""

from __future__ import annotations

import asyncio

import pytest

from simulator.poly import Tuning
from tests.simulator.poly_client import HandClock, a_device, visiting

SMALL = Tuning(max_sessions=10, hang_after=300, hang_logins=3, refuse_for=60, boot_for=180)


@pytest.mark.parametrize("size", [5, 12, 55])
def test_the_pool_has_a_size_the_device_knows(size: int) -> None:
    with pytest.raises(ValueError, match="10 to 50"):
        Tuning(max_sessions=size)


async def test_a_full_pool_refuses_until_an_idle_session_goes() -> None:
    clock = HandClock()
    async with visiting(a_device("x30-3.10", clock=clock, tuning=SMALL)) as visitor:
        for _ in range(10):
            assert (await visitor.another().login()).status == 200
        reply = await visitor.another().login()
        assert (reply.status, reply.json["reason"]) == (403, "SessionMaxActiveSessionsReached")
        clock.turn(601)
        assert (await visitor.login()).status == 200
        assert len(visitor.device.sessions) == 1
        assert visitor.device.counters.max_sessions == 10


async def test_a_session_in_use_does_not_idle_out() -> None:
    clock = HandClock()
    async with visiting(a_device("x70", clock=clock)) as visitor:
        await visitor.login()
        for _ in range(5):
            clock.turn(599)
            assert (await visitor.get("/rest/system")).status == 200
        clock.turn(601)
        assert (await visitor.get("/rest/system")).status == 403


async def test_the_list_shows_panel_web_and_ssh_sessions_together() -> None:
    async with visiting(a_device("x70", panel_address="192.0.2.99")) as visitor:
        await visitor.login()
        async with visitor.shell() as connection, connection.create_process(term_type="vt100", encoding=None) as process:
            await process.stdout.readuntil(b"-> ")
            rows = (await visitor.get("/rest/current/session/sessions")).json["sessionList"]
            assert sorted((r["clientType"], r["location"]) for r in rows) == [("SSH", "127.0.0.1"), ("WEB", "127.0.0.1"), ("WEB", "192.0.2.99")]
            assert len({r["sessionId"] for r in rows}) == 3
            process.stdin.write(b"exit\r\n")
            await process.stdout.read()
        rows = (await visitor.get("/rest/session/sessions")).json["sessionList"]
        assert [r["clientType"] for r in rows] == ["WEB", "WEB"]


async def test_the_creation_time_is_uptime_that_wraps_below_zero_after_25_days() -> None:
    async with visiting(a_device("x70", uptime=1_000_000.0, clock=HandClock())) as visitor:
        assert (await visitor.login()).json["session"]["creationTime"] == 1_000_000
    async with visiting(a_device("x70", uptime=2_200_000.0, clock=HandClock())) as visitor:
        assert (await visitor.login()).json["session"]["creationTime"] == 2_200_000 - 4_294_967


async def test_logins_into_a_pool_that_stays_full_hang_the_web_interface_until_a_reboot() -> None:
    clock = HandClock()
    async with visiting(a_device("x70", clock=clock, tuning=SMALL)) as visitor:
        await visitor.login()
        await visitor.device.switch("sessions_full", True)
        for _ in range(3):
            assert (await visitor.another().login()).json["reason"] == "SessionMaxActiveSessionsReached"
        assert (await visitor.get("/rest/system")).status == 200
        clock.turn(300)
        assert (await visitor.another().login()).status == 403
        assert visitor.device.hung
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await visitor.get("/rest/system")
        async with visitor.shell() as connection:
            assert not connection.is_closed()

        await visitor.device.switch("sessions_full", False)
        assert visitor.device.hung
        visitor.device.reboot()
        clock.turn(180)
        assert (await visitor.another().login()).status == 200


async def test_a_pool_that_had_room_in_between_does_not_hang() -> None:
    clock = HandClock()
    async with visiting(a_device("x70", clock=clock, tuning=SMALL)) as visitor:
        await visitor.device.switch("sessions_full", True)
        for _ in range(3):
            await visitor.another().login()
        await visitor.device.switch("sessions_full", False)
        await visitor.device.switch("sessions_full", True)
        clock.turn(301)
        await visitor.another().login()
        assert not visitor.device.hung


async def test_a_hang_that_is_switched_off_answers_those_who_still_wait() -> None:
    async with visiting(a_device("x70")) as visitor:
        await visitor.device.switch("hang", True)
        waiting = asyncio.create_task(visitor.login())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(waiting), 0.3)
        await visitor.device.switch("hang", False)
        assert (await waiting).status == 200


async def test_a_lost_panel_gives_its_session_back() -> None:
    async with visiting(a_device("x70")) as visitor:
        assert len(visitor.device.sessions) == 1
        await visitor.device.switch("tc8_lost", True)
        assert len(visitor.device.sessions) == 0
        await visitor.device.switch("tc8_lost", False)
        assert len(visitor.device.sessions) == 1


async def test_without_a_free_session_the_command_line_closes_after_the_login() -> None:
    async with visiting(a_device("x70", tuning=SMALL)) as visitor:
        await visitor.device.switch("sessions_full", True)
        async with visitor.shell() as connection, connection.create_process(term_type="vt100", encoding=None) as process:
            assert await process.stdout.read() == b"error: maximum number of sessions reached\r\n"
        assert len(visitor.device.sessions) == 10
