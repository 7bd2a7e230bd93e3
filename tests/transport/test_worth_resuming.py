"""A TLS session is only asked for where the device takes it up: reading one costs more than it brings elsewhere."""

from __future__ import annotations

from typing import Any

import pytest

from collectors.transport.resumption import BARREN_FOR, FAILURES, TlsSessions


class Session:
    has_ticket = True
    id = b"1"


class Connection:
    """A connection after its first answer. Counts how often its session was read."""

    def __init__(self, session: object = None, *, reused: bool = False) -> None:
        self._session = session
        self.session_reused = reused
        self.reads = 0

    @property
    def session(self) -> Any:
        self.reads += 1
        return self._session

    def version(self) -> str:
        return "TLSv1.3"


def test_a_device_without_tickets_is_looked_at_once_a_day() -> None:
    sessions = TlsSessions()
    first, second, third = (Connection() for _ in range(3))
    sessions.keep("gate", "aa", first, 0.0, offered=False)  # type: ignore[arg-type]
    sessions.keep("gate", "aa", second, BARREN_FOR - 1, offered=False)  # type: ignore[arg-type]
    sessions.keep("gate", "aa", third, BARREN_FOR, offered=False)  # type: ignore[arg-type]
    assert (first.reads, second.reads, third.reads) == (1, 0, 1)
    assert sessions.offer("gate", "aa", 1.0) is None


@pytest.mark.parametrize("reused", [True, False])
def test_a_device_that_takes_up_none_is_offered_none_for_a_day(reused: bool) -> None:
    sessions = TlsSessions()
    sessions.keep("gate", "aa", Connection(Session()), 0.0, offered=False)  # type: ignore[arg-type]
    for visit in range(1, FAILURES + 1):
        assert sessions.offer("gate", "aa", float(visit)) is not None
        sessions.keep("gate", "aa", Connection(Session(), reused=reused), float(visit), offered=True)  # type: ignore[arg-type]
    assert (sessions.offer("gate", "aa", 10.0) is not None) is reused
    later = Connection(Session())
    sessions.keep("gate", "aa", later, BARREN_FOR + 10, offered=False)  # type: ignore[arg-type]
    assert later.reads == 1
    assert sessions.offer("gate", "aa", BARREN_FOR + 11) is not None


def test_one_that_is_taken_up_now_and_then_is_offered_on() -> None:
    sessions = TlsSessions()
    sessions.keep("gate", "aa", Connection(Session()), 0.0, offered=False)  # type: ignore[arg-type]
    for visit in range(1, 10):
        assert sessions.offer("gate", "aa", float(visit)) is not None
        sessions.keep("gate", "aa", Connection(Session(), reused=visit % FAILURES == 0), float(visit), offered=True)  # type: ignore[arg-type]
