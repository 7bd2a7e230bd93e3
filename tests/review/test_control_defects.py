"""Defects of the door for the command line, one test each."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agent.control import SOCKET, ControlError, ask_daemon, serve_control


async def test_a_command_that_is_still_running_does_not_hold_up_the_stop(tmp_path: Path) -> None:
    """systemd waits 60 s, in which running polls must end and sessions be given back."""
    began = asyncio.Event()

    async def endless(_target: str) -> dict[str, Any]:
        began.set()
        await asyncio.sleep(9)
        return {}

    async with serve_control(tmp_path, {"poll": endless}):
        asking = asyncio.create_task(ask_daemon(tmp_path, "poll", "x"))
        await began.wait()
        left = time.monotonic()
    assert time.monotonic() - left < 5
    with pytest.raises(ControlError):
        await asking


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff"])
async def test_nonsense_at_the_door_is_a_clear_refusal(tmp_path: Path, body: bytes) -> None:
    async def command(target: str) -> dict[str, Any]:
        return {"target": target}

    async with (
        serve_control(tmp_path, {"poll": command}),
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(path=str(tmp_path / SOCKET))) as session,
        session.post("http://daemon/poll", data=body) as answer,
    ):
        assert answer.status == 400


async def test_a_bug_behind_the_door_is_told_as_one(tmp_path: Path) -> None:
    """Not as 'the daemon does not answer; is this the user it runs as?', which sends a person the wrong way."""

    async def broken(_target: str) -> dict[str, Any]:
        raise AssertionError("a bug")

    async with serve_control(tmp_path, {"poll": broken}):
        with pytest.raises(ControlError) as caught:
            await ask_daemon(tmp_path, "poll", "x")
    assert "does not answer" not in str(caught.value)
