"""The recorded Studio X30 through the real client. Runs where LATARNIK_RECORDINGS names the folder of recordings, which are not ours to keep."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.diagnosis.history import remember
from agent.model import Device, Fault, History, TlsMode, TlsPolicy
from agent.polling.poller import poll
from agent.polling.state import Cadence, PollState
from collectors.poly import PLUGIN
from collectors.poly.collector import start
from tests.poly.room import CountingGuard, credential, services_in
from tests.replay.poly_replay import PASSWORD, Replay, bodies, serve_replay
from tests.support.clock import TurnedClock

RECORDINGS = os.environ.get("LATARNIK_RECORDINGS", "")


@pytest.mark.skipif(not RECORDINGS, reason="LATARNIK_RECORDINGS is not set")
async def test_the_recorded_x30_is_recognised_and_has_no_fault(tmp_path: Path) -> None:
    clock = TurnedClock()
    replay = Replay(recorded=bodies(Path(RECORDINGS) / "poly" / "x30_3.12.0"), monotonic=clock.monotonic)
    async with serve_replay(replay) as port, start(services_in(tmp_path, clock, CountingGuard(clock))) as collector:
        device = Device(
            id="x30",
            vendor="poly",
            host="127.0.0.1",
            port=port,
            ssh_port=1,
            credentials={"http": credential(PASSWORD)},
            tls=TlsPolicy(mode=TlsMode.INSECURE),
        )
        state, history = PollState(), History()
        for _ in range(2):
            clock.turn(60.0)
            snapshot, _ = await poll(device, PLUGIN, collector, state, Cadence(interval=60.0), clock)
            judgements = tuple(j for rule in PLUGIN.rules for j in rule(snapshot, history, device))
            history = remember(history, snapshot, judgements)
            identity = snapshot.identity
            assert (identity.model, identity.firmware, identity.serial) == ("StudioX30", "3.12.0", "8L200353429AFC")
            assert identity.mac == "00:e0:db:53:42:9a"
            assert [j for j in judgements if isinstance(j, Fault)] == []
            assert snapshot.in_use is False
            assert not [name for name, o in snapshot.facets.items() if o.status.value not in ("ok", "unsupported")]
        panel = snapshot.component("8L200150A267FD")
        assert panel is not None
        assert (panel.kind, panel.firmware, panel.state) == ("touch_panel", "3.12.0-210716", "ok")
        assert [p for m, p in replay.log if m == "POST"].count("/rest/session") == 1
        assert len(replay.sessions) == 1
    assert not replay.sessions
