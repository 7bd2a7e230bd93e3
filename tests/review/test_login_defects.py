"""Defects of logging in, one test each."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from aiohttp import web

from agent.diagnosis.rules import login_refused
from agent.errors import CollectError, LoginBlocked, LoginRefused, Reason, Unreachable
from agent.model import Device, FacetStatus, History, Secret, SnmpCredential
from agent.polling.guard import PassingGuard, StoredGuard
from agent.ports import Services, SystemClock
from agent.store.database import open_store
from collectors.transport import open_transports
from simulator.axis import product
from simulator.axis.device import AxisDevice
from simulator.fleet import SNMP_USER
from simulator.listener import serve
from simulator.snmp.agent import Access
from tests.agent.test_poller import Toy, facet
from tests.poly.room import room
from tests.transport.fakes import WRONG, Fakes, device
from tests.transport.web import Digest, site


async def test_a_challenge_that_is_not_taken_up_frees_the_way_for_the_next_attempt(tmp_path: Path) -> None:
    """A device that says `stale` and now offers a weaker scheme: nothing more is sent, and later visits must not wait for ever."""
    weak = Digest(algorithm="SHA-256", lifetime=0)

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("Authorization"):
            return web.Response(status=401, headers={"WWW-Authenticate": 'Digest realm="x", nonce="n2", algorithm=MD5, qop="auth", stale=true'})
        return weak.challenge()

    fakes = Fakes()
    with open_store(tmp_path) as store:
        services = Services(guard=StoredGuard(store, SystemClock()), trust=fakes.trust, vault=fakes.vault, memory=fakes.memory, clock=SystemClock(), timeout=5)
        async with site(handler) as served, open_transports(services) as transports:
            camera = device(served.port, scheme="http")
            for _ in range(2):
                async with asyncio.timeout(3), transports.http(camera) as http:
                    with pytest.raises(CollectError):
                        await http.request("GET", "/a")
        del served


async def test_a_device_that_is_slow_to_refuse_is_not_sent_a_wrong_password_at_every_poll(tmp_path: Path) -> None:
    """Many devices delay the answer to a failed login on purpose; the login is counted there all the same (promise 1)."""
    challenge = Digest()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("Authorization"):
            await asyncio.sleep(0.6)
        return challenge.challenge()

    fakes = Fakes()
    with open_store(tmp_path) as store:
        services = Services(
            guard=StoredGuard(store, SystemClock()), trust=fakes.trust, vault=fakes.vault, memory=fakes.memory, clock=SystemClock(), timeout=0.2
        )
        async with site(handler) as served, open_transports(services) as transports:
            for _ in range(6):
                async with transports.http(device(served.port, scheme="http", credential=WRONG)) as http:
                    with pytest.raises(CollectError):
                        await http.request("GET", "/a")
            assert len(served.authorized) == 1


@pytest.mark.parametrize("reason", [Reason.AUTH_BLOCKED, Reason.AUTH_WAITS])
async def test_a_device_that_is_kept_out_on_one_way_and_silent_on_another_is_asked_without_a_login_before_it_is_called_down(reason: Reason) -> None:
    toy = Toy(facet("web"), facet("snmp", source="snmp"))
    toy.answers = {"web": LoginBlocked(reason, "held back"), "snmp": Unreachable(Reason.TIMEOUT, "filtered")}
    assert (await toy.poll()).reachable
    assert toy.asked == ["web", "snmp", "knock"]


async def test_a_held_back_credential_is_shown_as_such_and_the_room_is_not_down(tmp_path: Path) -> None:
    async with room(tmp_path) as one:
        credential = one.device.http_credential()
        assert credential is not None
        await one.guard.before("elsewhere", credential, "http")
        await one.guard.refused("elsewhere", credential, "http", "401")
        shown = await one.look()
        assert shown.reachable
        failed = {outcome.reason for outcome in shown.facets.values() if outcome.status is FacetStatus.FAILED}
        assert failed == {Reason.AUTH_WAITS}
        assert one.sim.box.counters.logins_refused == one.sim.box.counters.logins_ok == Counter()
        assert list(login_refused(shown, History(), one.device)) == []


async def test_a_room_whose_web_interface_is_off_and_whose_login_is_held_back_is_not_down(tmp_path: Path) -> None:
    async with room(tmp_path) as one:
        credential = one.device.http_credential()
        assert credential is not None
        await one.sim.switch("web_off", True)
        await one.guard.before("elsewhere", credential, "http")
        await one.guard.refused("elsewhere", credential, "http", "401")
        assert (await one.look()).reachable
        assert one.sim.box.counters.logins_refused == one.sim.box.counters.logins_ok == Counter()


async def test_a_wrong_snmp_key_reaches_the_device_once() -> None:
    """pysnmp repeats a request that the device has refused."""
    camera = AxisDevice(name="camera", address="127.82.0.1", product=product.DOME_11, snmp=Access(users=(SNMP_USER,)), clock=SystemClock())
    fakes = Fakes()
    services = Services(guard=PassingGuard(), trust=fakes.trust, vault=fakes.vault, memory=fakes.memory, clock=SystemClock(), timeout=5)
    async with serve([camera]) as ports, open_transports(services) as transports:
        wrong = SnmpCredential(
            name="snmp",
            snmp_version=3,
            user=SNMP_USER.name,
            auth="sha256",
            auth_key=Secret("Nieprawda-1"),
            priv="aes128",
            priv_key=Secret(SNMP_USER.priv_password),
        )
        entry = Device(id="camera", vendor="axis", host=camera.address, snmp_port=ports.snmp, credentials={"snmp": wrong})
        for _ in range(2):
            async with transports.snmp(entry) as snmp:
                with pytest.raises((LoginRefused, LoginBlocked)):
                    await snmp.get(["1.3.6.1.2.1.1.1.0"])
    assert camera.agent.counted["wrong_digest"] == 1
