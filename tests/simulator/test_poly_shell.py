"""The command line of the simulated Poly devices."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncssh
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.poly import VideoOs, commands
from tests.simulator.poly_client import HandClock, Visitor, a_device, visiting


async def _typed(visitor: Visitor, *lines: bytes) -> list[bytes]:
    """What the shell prints to the login and to each line, prompts left out."""
    async with visitor.shell() as connection, connection.create_process(term_type="vt100", encoding=None) as process:
        answers = [await process.stdout.readuntil(b"-> ")]
        for line in lines:
            process.stdin.write(line)
            answers.append(await process.stdout.readuntil(b"-> "))
        return [a.removesuffix(b"-> ") for a in answers]


async def test_the_banner_is_whoami_and_ends_with_the_snmp_line() -> None:
    async with visiting(a_device("x70", serial="8L2412ABCDEFFE", clock=HandClock())) as visitor:
        banner, again = await _typed(visitor, b"whoami\r\n")
    assert again == b"whoami\r\n" + banner
    assert b"Serial Number: 8L2412ABCDEFFE\r\n" in banner
    assert banner.endswith(b"SNMP Enabled: False\r\n")


@pytest.mark.parametrize(("profile", "end"), [("x30", b"\r\r\n"), ("x70", b"\r\n")])
async def test_older_firmware_ends_its_lines_with_two_returns(profile: str, end: bytes) -> None:
    async with visiting(a_device(profile)) as visitor:
        _, answer = await _typed(visitor, b"volume get\r\n")
        assert answer == b"volume get\r\n" + b"volume 42" + end


async def test_status_lists_the_subsystems_and_says_where_it_ends() -> None:
    async with visiting(a_device("g7500-e70")) as visitor:
        await visitor.device.switch("sip_down", True)
        _, answer = await _typed(visitor, b"status\r")
        lines = answer.decode().splitlines()
        assert lines[-1] == "status end"
        assert {"inacall offline", "sipserver offline", "ipnetwork online", "microphones online", "logthreshold offline"} <= set(lines)


async def test_each_way_to_end_a_line_runs_it_once() -> None:
    async with visiting(a_device("x70")) as visitor:
        for end in (b"\r", b"\n", b"\r\n"):
            _, first, second = await _typed(visitor, b"serialnum" + end, b"version" + end)
            assert first.count(b"serialnum") == 2
            assert second.endswith(b"version 4.6.2-462041\r\n")


def _told(device: VideoOs, line: str) -> tuple[str, ...]:
    return commands.answer(device.box, line).lines


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("systemname get", 'systemname "Studio"'),
        ("systemsetting get model", "systemsetting model StudioX70"),
        ("systemsetting get modelcamera1", "systemsetting modelcamera1 BUILT_IN_2.0"),
        ("uptime get", "1 Day, 1 Hours, 1 Minutes, 5 Seconds."),
        ("ipaddress get", "ipaddress 127.71.0.1"),
        ("callinfo all", "system is not in a call"),
        ("getcallstate", "system is not in a call"),
        ("netstats", "system is not in a call"),
        ("mute near get", "mute near off"),
        ("provisionserverstatus get", "provisionserverstatus inactive"),
        ("notify sysalerts", "notify sysalerts success"),
        ("frobnicate", "error: command not found"),
        ("callinfo", "error: command needs more parameters to execute successfully"),
        ("callinfo some", "error: command has illegal parameters"),
        ("notify weather", "error: command has illegal parameters"),
        ("gendial 1", "error: this command is not supported"),
    ],
)
def test_commands_answer_in_the_familys_words(line: str, answer: str) -> None:
    device = a_device("x70", room_name="Studio", uptime=90_065.0, clock=HandClock())
    assert _told(device, line) == (answer,)


async def test_in_a_call_the_call_and_its_streams_are_shown() -> None:
    device = a_device("g7500-e70")
    await device.switch("in_call", True)
    info = _told(device, "callinfo all")
    assert (info[0], info[-1]) == ("callinfo begin", "callinfo end")
    assert ":connected:notmuted:outgoing:videocall" in info[1]
    assert _told(device, "netstats")[0] == "call:0 txrate:1920 K rxrate:1920 K pktloss:0 %pktloss:0.0 %"
    assert "inacall online" in _told(device, "status")


@given(st.one_of(st.text(), st.lists(st.sampled_from([*commands._COMMANDS, "get", "set", "near", "all", "7", "on"])).map(" ".join)))
def test_no_line_whatever_breaks_the_shell(line: str) -> None:
    reply = commands.answer(a_device("x70").box, line)
    assert all(isinstance(text, str) for text in reply.lines)
    assert reply.reboots is False or reply.changes is True


async def test_a_changing_command_is_counted_and_a_reading_one_is_not() -> None:
    async with visiting(a_device("x70")) as visitor:
        await _typed(visitor, b"whoami\r\n", b"mute near get\r\n")
        assert visitor.device.counters.changes == []
        await _typed(visitor, b"mute near on\r\n", b"hangup all\r\n")
        assert visitor.device.counters.changes == ["ssh mute near on", "ssh hangup all"]


@pytest.mark.parametrize("line", [b"reboot now\r\n", b"resetsystem\r\n"])
async def test_a_reboot_from_the_shell_is_counted_and_cuts_the_connection(line: bytes) -> None:
    async with visiting(a_device("x70")) as visitor:
        with pytest.raises((asyncio.IncompleteReadError, asyncssh.ConnectionLost)):
            await _typed(visitor, line)
        assert visitor.device.counters.reboots == 1
        assert visitor.device.counters.changes == [f"ssh {line.decode().strip()}"]
        assert not visitor.device.powered


@pytest.mark.parametrize("options", [{"command": "whoami"}, {"command": "whoami", "term_type": "vt100"}, {}])
async def test_only_an_interactive_shell_on_a_terminal_is_given(options: dict[str, Any]) -> None:
    async with visiting(a_device("x70")) as visitor, visitor.shell() as connection:
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.create_process(**options)


async def test_the_idle_time_of_the_pool_ends_a_shell_too() -> None:
    clock = HandClock()
    async with (
        visiting(a_device("x30-3.10", clock=clock)) as visitor,
        visitor.shell() as connection,
        connection.create_process(term_type="vt100", encoding=None) as process,
    ):
        await process.stdout.readuntil(b"-> ")
        clock.turn(601)
        assert len(visitor.device.sessions) == 0
        assert await process.stdout.read() == b""


async def test_the_command_line_stays_when_the_web_is_off_and_can_be_switched_off_itself() -> None:
    async with visiting(a_device("x70")) as visitor:
        await visitor.device.switch("web_off", True)
        banner = (await _typed(visitor))[0]
        assert b"HTTP Enabled: False" in banner
    async with visiting(a_device("x70", ssh_enabled=False)) as visitor:
        with pytest.raises(OSError):
            async with visitor.shell():
                pass
