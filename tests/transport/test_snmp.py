"""One contract for both SNMP engines, against net-snmp's agent, our simulator's, and agents that misbehave on purpose."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.errors import BadPayload, CollectError, Forbidden, LoginBlocked, LoginRefused, Reason, Unreachable
from agent.model import Secret, SnmpCredential
from collectors.transport import SnmpConnection, Transports, open_transports
from collectors.transport.snmp import checked_oid
from simulator.snmp import ber as simulated_ber
from simulator.snmp.agent import Access, Agent, Tamper
from simulator.snmp.mib import Mib, scalar
from simulator.snmp.usm import Auth, Priv, User
from tests.transport.ber import Request, Responder, integer, response, start_responder, tlv
from tests.transport.fakes import Fakes, device
from tests.transport.snmpd import SNMPD, free_udp_port, snmpd

SYSTEM = "1.3.6.1.2.1.1"
DESCR, OBJECT_ID, UPTIME, NAME = f"{SYSTEM}.1.0", f"{SYSTEM}.2.0", f"{SYSTEM}.3.0", f"{SYSTEM}.5.0"
NOWHERE = "1.3.6.1.2.1.99.1.0"
LOOPBACK = "1.3.6.1.2.1.4.20.1.1.127.0.0.1"


def v2(version: int = 2, community: str = "public") -> SnmpCredential:
    return SnmpCredential(name="snmp-ro", snmp_version=version, community=Secret(community), version=f"c{version}{community}")


def v3(user: str = "monitor", auth: str = "sha256", priv: str = "aes128", *, auth_key: str = "authauth1", priv_key: str = "privpriv1") -> SnmpCredential:
    return SnmpCredential(
        name="snmp-v3", snmp_version=3, user=user, auth=auth, auth_key=Secret(auth_key), priv=priv, priv_key=Secret(priv_key), version=f"{user}{auth_key}{priv}"
    )


EVERY = [
    pytest.param(v2(1), id="v1"),
    pytest.param(v2(2), id="v2c"),
    pytest.param(v3(), id="v3-sha256-aes128"),
    pytest.param(v3("strong", "sha512", "aes256"), id="v3-sha512-aes256"),
    pytest.param(v3("short", "sha1", "aes256"), id="v3-sha1-aes256"),
    pytest.param(v3("old", "md5", "des"), id="v3-md5-des"),
    pytest.param(v3("signed", "sha1", ""), id="v3-sha1"),
    pytest.param(v3("open", "", ""), id="v3-open"),
]
ENGINES = [pytest.param(v2(2), id="v2c"), pytest.param(v3(), id="v3")]
needs_snmpd = pytest.mark.skipif(SNMPD is None, reason="net-snmp's snmpd is not installed")


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with snmpd(tmp_path_factory.mktemp("snmpd"), free_udp_port()) as port:
        yield port


@asynccontextmanager
async def visit(fakes: Fakes, port: int, credential: SnmpCredential | None, timeout: float = 4.0, **changes: object) -> AsyncIterator[SnmpConnection]:
    async with open_transports(fakes.services(timeout)) as transports, transports.snmp(device(port, credential=credential, **changes)) as snmp:  # type: ignore[arg-type] # passed on
        yield snmp


# --- the contract, against net-snmp ---


@needs_snmpd
@pytest.mark.parametrize("credential", EVERY)
async def test_values_come_as_they_are_and_missing_ones_are_left_out(fakes: Fakes, agent: int, credential: SnmpCredential) -> None:
    async with visit(fakes, agent, credential) as snmp:
        got = await snmp.get([DESCR, f".{OBJECT_ID}", UPTIME, NOWHERE, LOOPBACK])
    uptime = got.pop(UPTIME)
    assert isinstance(uptime, int)
    assert got == {DESCR: b"a camera of our own", OBJECT_ID: "1.3.6.1.4.1.8072.3.2.10", LOOPBACK: "127.0.0.1"}


@needs_snmpd
@pytest.mark.parametrize("credential", EVERY)
async def test_nothing_there_is_an_empty_answer(fakes: Fakes, agent: int, credential: SnmpCredential) -> None:
    async with visit(fakes, agent, credential) as snmp:
        assert await snmp.get([NOWHERE, "1.3.6.1.2.1.98.0"]) == {}
        assert await snmp.get([]) == {}
        assert await snmp.walk("1.3.6.1.2.1.99") == []


@needs_snmpd
@pytest.mark.parametrize("credential", EVERY)
async def test_a_walk_gives_the_whole_table_in_order(fakes: Fakes, agent: int, credential: SnmpCredential) -> None:
    async with visit(fakes, agent, credential) as snmp:
        rows = await snmp.walk(f"{SYSTEM}.9")
    assert len(rows) == 30
    assert rows == sorted(rows, key=lambda row: tuple(map(int, row[0].split("."))))
    assert all(oid.startswith(f"{SYSTEM}.9.") for oid, _ in rows)
    assert rows[0][1] == "1.3.6.1.6.3.10.3.1.1"


@needs_snmpd
@pytest.mark.parametrize("version", [1, 2])
async def test_a_walk_to_the_end_of_all_there_is_ends(fakes: Fakes, agent: int, version: int) -> None:
    async with visit(fakes, agent, v2(version, "narrow")) as snmp:
        assert len(await snmp.walk(f"{SYSTEM}.9")) == 30
        assert await snmp.walk("1.3.6.1.6") == []


@needs_snmpd
@pytest.mark.parametrize("credential", EVERY)
async def test_a_walk_longer_than_its_limit_is_refused(fakes: Fakes, agent: int, credential: SnmpCredential) -> None:
    async with visit(fakes, agent, credential) as snmp:
        assert len(await snmp.walk(f"{SYSTEM}.9", limit=30)) == 30
        with pytest.raises(BadPayload, match="longer than 29"):
            await snmp.walk(f"{SYSTEM}.9", limit=29)


@needs_snmpd
async def test_more_oids_than_fit_one_request_are_asked_in_parts(fakes: Fakes, agent: int) -> None:
    oids = [f"{SYSTEM}.9.1.3.{n}" for n in range(1, 11)] + [f"{SYSTEM}.9.1.4.{n}" for n in range(1, 11)] + [f"{SYSTEM}.{n}.0" for n in range(1, 7)]
    for credential in (v2(1), v2(), v3()):
        async with visit(fakes, agent, credential) as snmp:
            assert len(await snmp.get(oids)) == 26


@needs_snmpd
@pytest.mark.parametrize("version", [1, 2])
async def test_a_wrong_community_is_silence(fakes: Fakes, agent: int, version: int) -> None:
    async with visit(fakes, agent, v2(version, "wrong"), timeout=0.4) as snmp:
        with pytest.raises(Unreachable) as caught:
            await snmp.get([DESCR])
    assert caught.value.reason is Reason.TIMEOUT
    assert "wrong community" in caught.value.detail
    assert fakes.guard.calls == []


@needs_snmpd
@pytest.mark.parametrize("credential", [v3("nobody"), v3(auth_key="not the key"), v3("signed", "sha1", "aes128")], ids=["user", "key", "level"])
async def test_a_wrong_user_key_or_level_is_one_refused_login(fakes: Fakes, agent: int, credential: SnmpCredential) -> None:
    async with open_transports(fakes.services()) as transports:
        for error in (LoginRefused, LoginBlocked):
            async with transports.snmp(device(agent, credential=credential)) as snmp:
                with pytest.raises(error):
                    await snmp.get([DESCR])
                with pytest.raises(LoginBlocked):
                    await snmp.walk(SYSTEM)
    assert fakes.guard.words == ["before", "refused"]


@needs_snmpd
async def test_a_wrong_privacy_key_is_silence_from_net_snmp(fakes: Fakes, agent: int) -> None:
    async with visit(fakes, agent, v3(priv_key="not the key"), timeout=1.0) as snmp:
        with pytest.raises(Unreachable) as caught:
            await snmp.get([DESCR])
    assert caught.value.reason is Reason.TIMEOUT
    assert (fakes.guard.words, fakes.guard.sent) == (["before", "unclear"], [False])


@needs_snmpd
async def test_a_user_without_rights_is_forbidden(fakes: Fakes, agent: int) -> None:
    async with visit(fakes, agent, v3("monitor", "sha256", "")) as snmp:
        with pytest.raises(Forbidden):
            await snmp.get([DESCR])
        with pytest.raises(Forbidden):
            await snmp.walk(SYSTEM)
    assert fakes.guard.words == ["before", "accepted"]


@needs_snmpd
async def test_two_users_of_one_name_do_not_disturb_each_other(fakes: Fakes, agent: int) -> None:
    async with open_transports(fakes.services()) as transports:
        good, bad = device(agent, credential=v3()), device(agent, credential=v3(auth_key="not the key"), id="gate-3")
        for _ in range(2):
            async with transports.snmp(good) as snmp:
                assert await snmp.get([NAME]) == {NAME: b"gate-2"}
            async with transports.snmp(bad) as snmp:
                with pytest.raises((LoginRefused, LoginBlocked)):
                    await snmp.get([NAME])


@needs_snmpd
async def test_a_device_that_restarts_is_found_again_at_once_and_one_that_was_replaced_within_five_minutes(fakes: Fakes, tmp_path: Path) -> None:
    port = free_udp_port()
    async with open_transports(fakes.services(timeout=1)) as transports:

        async def name() -> bytes | int | str:
            async with transports.snmp(device(port, credential=v3())) as snmp:
                return (await snmp.get([NAME]))[NAME]

        for _ in range(2):  # first boot, second boot
            with snmpd(tmp_path / "one", port, "first"):
                assert await name() == b"gate-2"
        for folder, engine in (("two", "first"), ("three", "second")):  # the count of boots lost; another device
            with snmpd(tmp_path / folder, port, engine):
                _five_minutes_later(transports)
                assert await name() == b"gate-2"
    assert "refused" not in fakes.guard.words


def _five_minutes_later(transports: Transports) -> None:
    """What pysnmp's timer does 600 times in 5 minutes: it forgets engines."""
    for shards in transports._engines._shards.values():
        for shard in shards:
            for _ in range(601):
                for part in (*shard._engine.security_models.values(), *shard._engine.message_processing_subsystems.values()):
                    part.receive_timer_tick(shard._engine, 0)


@needs_snmpd
async def test_many_requests_at_once_are_all_answered(fakes: Fakes, agent: int) -> None:
    async with open_transports(fakes.services(timeout=10)) as transports:

        async def poll(number: int, credential: SnmpCredential) -> int:
            async with transports.snmp(device(agent, credential=credential, id=f"d{number}")) as snmp:
                return len(await snmp.get([DESCR, NAME]))

        assert set(await asyncio.gather(*(poll(n, v3() if n % 2 else v2()) for n in range(240)))) == {2}


@needs_snmpd
@pytest.mark.parametrize("credential", ENGINES)
async def test_requests_of_one_visit_at_the_same_time_do_not_take_each_others_answers(fakes: Fakes, agent: int, credential: SnmpCredential) -> None:
    async with visit(fakes, agent, credential) as snmp:
        one, rows, other = await asyncio.gather(snmp.get([DESCR]), snmp.walk(f"{SYSTEM}.9"), snmp.get([NAME]))
    assert (one, len(rows), other) == ({DESCR: b"a camera of our own"}, 30, {NAME: b"gate-2"})


@needs_snmpd
async def test_a_wrong_key_asked_several_things_at_once_is_one_refused_login(fakes: Fakes, agent: int) -> None:
    async with visit(fakes, agent, v3(auth_key="not the key")) as snmp:
        results = await asyncio.gather(snmp.get([DESCR]), snmp.walk(SYSTEM), snmp.get([NAME]), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["LoginBlocked", "LoginBlocked", "LoginRefused"]
    assert fakes.guard.words == ["before", "refused"]


# --- silence, strangers and liars ---


@pytest.mark.parametrize("credential", ENGINES)
async def test_silence_is_a_time_out(fakes: Fakes, credential: SnmpCredential) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        async with visit(fakes, deaf.getsockname()[1], credential, timeout=0.6) as snmp:
            with pytest.raises(Unreachable) as caught:
                await snmp.get([DESCR])
            assert caught.value.reason is Reason.TIMEOUT
            with pytest.raises(Unreachable):
                await snmp.walk(SYSTEM)


async def test_a_closed_port_is_refused_at_once(fakes: Fakes) -> None:
    async with visit(fakes, free_udp_port(), v2(), timeout=30) as snmp:
        async with asyncio.timeout(2):
            with pytest.raises(Unreachable) as caught:
                await snmp.get([DESCR])
    assert caught.value.reason is Reason.REFUSED


async def test_a_name_is_resolved_and_an_unknown_one_is_dns(fakes: Fakes) -> None:
    responder, port = await start_responder(lambda request: response(request, [(oid, tlv(4, b"x")) for oid in request.oids]))
    async with visit(fakes, port, v2(), host="localhost") as snmp:
        assert await snmp.get([DESCR]) == {DESCR: b"x"}
    responder.transport.close()
    for credential in (v2(), v3()):
        async with visit(fakes, port, credential, host="gate-2.invalid") as snmp:
            with pytest.raises(Unreachable) as caught:
                await snmp.get([DESCR])
        assert caught.value.reason is Reason.DNS


async def test_without_a_credential_it_says_so(fakes: Fakes) -> None:
    async with visit(fakes, 1, None) as snmp:
        for call in (snmp.get([DESCR]), snmp.walk(SYSTEM)):
            with pytest.raises(CollectError) as caught:
                await call
            assert caught.value.reason is Reason.NO_CREDENTIAL


@pytest.mark.parametrize("oid", ["", "1", "x", "1.3.6.x", "1.3..6", "-1.3", "3.1", "1.3\n"])
def test_what_is_no_oid_is_our_own_mistake(oid: str) -> None:
    with pytest.raises(ValueError):
        checked_oid(oid)


class Simulated(asyncio.DatagramProtocol):
    """The simulator's agent on a socket; foreign answers leave from another one."""

    def __init__(self, agent: Agent[None], foreign: socket.socket) -> None:
        self.agent, self.foreign = agent, foreign

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = self.agent.answer(data)
        if answer is None:
            return
        if self.agent.tamper is Tamper.FOREIGN_ADDRESS:
            self.foreign.sendto(answer, addr)
        else:
            self.transport.sendto(answer, addr)  # type: ignore[attr-defined] # a datagram transport


@asynccontextmanager
async def simulated() -> AsyncIterator[tuple[Agent[None], int]]:
    mib: Mib[None] = Mib([scalar((1, 3, 6, 1, 2, 1, 1, 1), lambda _: simulated_ber.octets(b"simulated"))])
    user = User(name="monitor", auth=Auth.SHA256, auth_password="authauth1", priv=Priv.AES128, priv_password="privpriv1")
    agent = Agent(mib, None, access=Access(v2c=True, users=(user,)), engine=b"\x80\x00\x00\x00\x05abc", boots=lambda: 1, time=lambda: 100.0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as foreign:
        foreign.bind(("127.0.0.2", 0))
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: Simulated(agent, foreign), local_addr=("127.0.0.1", 0))
        try:
            yield agent, transport.get_extra_info("sockname")[1]
        finally:
            transport.close()


@pytest.mark.parametrize("credential", ENGINES)
async def test_an_answer_from_a_foreign_address_is_ignored(fakes: Fakes, credential: SnmpCredential) -> None:
    async with simulated() as (agent, port), open_transports(fakes.services(timeout=1)) as transports:
        camera = device(port, credential=credential)
        async with transports.snmp(camera) as snmp:
            assert await snmp.get([DESCR]) == {DESCR: b"simulated"}
            agent.tamper = Tamper.FOREIGN_ADDRESS
            with pytest.raises(Unreachable) as caught:
                await snmp.get([DESCR])
    assert caught.value.reason is Reason.TIMEOUT


async def test_an_answer_signed_with_a_wrong_key_is_rejected(fakes: Fakes) -> None:
    async with simulated() as (agent, port), open_transports(fakes.services(timeout=1)) as transports:
        async with transports.snmp(device(port, credential=v3())) as snmp:
            assert await snmp.get([DESCR]) == {DESCR: b"simulated"}
            agent.tamper = Tamper.WRONG_KEY
            with pytest.raises(CollectError):
                await snmp.get([DESCR])
            agent.tamper = Tamper.NONE
            assert await snmp.get([DESCR]) == {DESCR: b"simulated"}
        agent.tamper = Tamper.WRONG_KEY
        async with transports.snmp(device(port, credential=v3())) as snmp:
            with pytest.raises(CollectError):
                await snmp.get([DESCR])
    assert "refused" not in fakes.guard.words  # not the device's word


Answer = Callable[[Request], bytes | None]


@asynccontextmanager
async def liar(fakes: Fakes, answer: Answer, version: int = 2, timeout: float = 2.0) -> AsyncIterator[tuple[SnmpConnection, Responder]]:
    responder, port = await start_responder(answer)
    try:
        async with visit(fakes, port, v2(version), timeout=timeout) as snmp:
            yield snmp, responder
    finally:
        responder.transport.close()


def refusing(status: int) -> Answer:
    return lambda request: response(request, [(oid, tlv(5, b"")) for oid in request.oids], status=status, index=1)


@pytest.mark.parametrize("status", [1, 5])
@pytest.mark.parametrize("version", [1, 2])
async def test_a_refused_request_is_an_error_and_never_an_absence(fakes: Fakes, version: int, status: int) -> None:
    async with liar(fakes, refusing(status), version) as (snmp, _):
        for call in (snmp.get([DESCR, NAME]), snmp.walk(SYSTEM)):
            with pytest.raises(CollectError) as caught:
                await call
            assert caught.value.reason is Reason.SNMP_ERROR


async def test_a_request_refused_for_rights_is_forbidden(fakes: Fakes) -> None:
    async with liar(fakes, refusing(16)) as (snmp, _):
        with pytest.raises(Forbidden):
            await snmp.get([DESCR])


async def test_a_walk_that_breaks_off_in_the_middle_is_an_error(fakes: Fakes) -> None:
    def answer(request: Request) -> bytes:
        if request.oids == [SYSTEM]:
            return response(request, [(f"{SYSTEM}.1", integer(1)), (f"{SYSTEM}.2", integer(2))])
        return response(request, [(oid, tlv(5, b"")) for oid in request.oids], status=5, index=1)

    async with liar(fakes, answer) as (snmp, _):
        with pytest.raises(CollectError) as caught:
            await snmp.walk(SYSTEM)
    assert caught.value.reason is Reason.SNMP_ERROR


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("rows", [[".4"], [".5", ".5"], [".5", ".4"], [""]], ids=["standing", "same", "backwards", "root"])
async def test_a_walk_that_does_not_move_forward_stops(fakes: Fakes, version: int, rows: list[str]) -> None:
    turn = iter(range(10_000))

    def answer(request: Request) -> bytes:
        given = rows if version == 2 else [rows[next(turn) % len(rows)]]
        return response(request, [(SYSTEM + row, integer(1)) for row in given])

    async with liar(fakes, answer, version) as (snmp, responder):
        with pytest.raises(BadPayload, match="does not move forward"):
            await snmp.walk(SYSTEM)
    assert len(responder.requests) <= 3


@pytest.mark.parametrize("answer", [lambda _request: b"garbage", lambda request: response(request, [(DESCR, tlv(4, b"x" * 20))])[:-4]], ids=["garbage", "cut"])
async def test_an_answer_that_cannot_be_read_is_a_bad_payload(fakes: Fakes, answer: Answer) -> None:
    async with liar(fakes, answer) as (snmp, _):
        with pytest.raises(BadPayload):
            await snmp.get([DESCR])


async def test_an_answer_to_another_request_is_not_taken(fakes: Fakes) -> None:
    async with liar(fakes, lambda request: response(request, [(DESCR, tlv(4, b"x"))], id=request.id + 1), timeout=0.4) as (snmp, _):
        with pytest.raises(Unreachable):
            await snmp.get([DESCR])


async def test_what_was_not_asked_is_not_taken(fakes: Fakes) -> None:
    async with liar(fakes, lambda request: response(request, [(NAME, tlv(4, b"x")), (DESCR, tlv(4, b"y"))])) as (snmp, _):
        assert await snmp.get([DESCR]) == {DESCR: b"y"}


async def test_a_lost_datagram_is_asked_again(fakes: Fakes) -> None:
    lost = iter([True])

    def answer(request: Request) -> bytes | None:
        return None if next(lost, False) else response(request, [(oid, tlv(4, b"x")) for oid in request.oids])

    async with liar(fakes, answer, timeout=1) as (snmp, responder):
        assert await snmp.get([DESCR]) == {DESCR: b"x"}
    assert len(responder.requests) == 2


async def test_every_type_of_value_comes_through(fakes: Fakes) -> None:
    values = {
        f"1.3.6.1.1.{n}": value
        for n, value in enumerate(
            [
                integer(-5),
                integer(2**32 - 1, 0x41),
                integer(2**63, 0x46),
                integer(77, 0x43),
                tlv(4, b"\xff\x00"),
                tlv(0x40, b"\xc0\0\2\7"),
                tlv(0x80, b""),
                tlv(0x81, b""),
                tlv(5, b""),
            ]
        )
    }
    async with liar(fakes, lambda request: response(request, [(oid, values[oid]) for oid in request.oids])) as (snmp, _):
        got = await snmp.get(list(values))
    assert list(got.values()) == [-5, 2**32 - 1, 2**63, 77, b"\xff\x00", "192.0.2.7"]


async def test_a_stream_of_useless_datagrams_does_not_hold_a_request(fakes: Fakes) -> None:
    flood = None

    def answer(request: Request) -> bytes | None:
        nonlocal flood
        if flood is None:
            flood = asyncio.get_running_loop().create_task(pour(request))
        return None

    async def pour(request: Request) -> None:
        while True:
            responder.transport.sendto(response(request, [(DESCR, tlv(4, b"x"))], id=request.id + 7), responder.peer)
            await asyncio.sleep(0.01)

    async with liar(fakes, answer, timeout=0.4) as (snmp, responder):
        async with asyncio.timeout(3):
            with pytest.raises(Unreachable):
                await snmp.get([DESCR])
        assert flood is not None
        flood.cancel()
