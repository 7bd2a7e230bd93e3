"""The event stream's own bookkeeping, with a device that says what it likes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

from agent.ports import Signal, SystemClock
from collectors.axis.client import AxisClient
from collectors.axis.stream import AGED, FLOOD, listen
from tests.axis.test_events import frame

SOURCES = 1000
assert AGED < SOURCES < FLOOD


class Ear:
    def __init__(self) -> None:
        self.said: list[Signal] = []

    def opened(self) -> None: ...

    def heard(self, signals: Sequence[Signal]) -> None:
        self.said.extend(signals)

    def closed(self) -> None: ...


class Socket:
    def __init__(self, frames: Sequence[str]) -> None:
        self._frames = iter(frames)

    async def send(self, text: str) -> None: ...

    def __aiter__(self) -> Socket:
        return self

    async def __anext__(self) -> str:
        for told in self._frames:
            return told
        raise StopAsyncIteration


def client(frames: Sequence[str]) -> AxisClient:
    @asynccontextmanager
    async def websocket(*_: Any, **__: Any) -> AsyncIterator[Socket]:
        yield Socket(frames)

    async def text(_: str) -> str:
        return "token"

    made = SimpleNamespace(text=text, http=SimpleNamespace(websocket=websocket), clock=SystemClock(), device=SimpleNamespace(id="cam"))
    return cast("AxisClient", made)


def mode(source: str, day: str) -> str:
    return frame("tns1:VideoSource/tnsaxis:DayNightVision", {"VideoSourceConfigurationToken": source}, {"day": day})


async def test_of_a_device_that_makes_up_sources_without_end_no_more_than_some_are_remembered() -> None:
    since: dict[str, tuple[str, float]] = {}
    ear = Ear()
    await listen(client([mode(str(n), "1") for n in range(SOURCES)]), ear, since)
    assert len(ear.said) == SOURCES
    assert len(since) == AGED


async def test_since_when_a_state_lasts_is_kept_from_stream_to_stream() -> None:
    since: dict[str, tuple[str, float]] = {}
    first, second = Ear(), Ear()
    await listen(client([mode("0", "1")]), first, since)
    since["state.day.0"] = ("yes", 1.0)
    await listen(client([mode("0", "1"), mode("0", "0")]), second, since)
    assert second.said[0].data.facts["state.day.0"] == "yes 1"
    assert second.said[1].data.facts["state.day.0"].startswith("no ")
    assert second.said[1].data.facts["state.day.0"] != "no 1"
