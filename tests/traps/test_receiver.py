from __future__ import annotations

import asyncio
import gc
import socket
import threading
import tracemalloc
from typing import Any

import pytest
import structlog

from agent.errors import StartError
from agent.model import SnmpCredential
from agent.traps import message, sources
from agent.traps import receiver as under_test
from agent.traps.message import LONGEST
from config.settings import Settings, Site
from simulator.snmp import ber, usm
from tests.support.clock import TurnedClock
from tests.support.promises import scale
from tests.traps.traffic import COMMUNITY, STRONG, STRONG_USER, USERS, Hints, camera, counted, pdu, receiving, send, sender, v2c, v3

CLEAR = SnmpCredential(name="clear", snmp_version=3, user="monitor")
CLEAR_USER = usm.User(name="monitor")


async def test_a_trap_of_a_device_is_a_hint_to_poll_it() -> None:
    hints = Hints()
    async with receiving([camera("127.0.0.3", name="gate-3"), camera()], hints) as receiver:
        assert await send(receiver, v2c()) == {"taken": 1}
        assert await send(receiver, v2c(), source="127.0.0.3") == {"taken": 1}
    assert hints.told == [("gate-2", "alarmNew: Fan Operation"), ("gate-3", "alarmNew: Fan Operation")]


@pytest.mark.parametrize("kind", USERS)
async def test_a_trap_of_a_user_is_verified_with_every_algorithm_a_credential_may_name(kind: str) -> None:
    credential, user = USERS[kind]
    hints = Hints()
    async with receiving([camera(credential=credential)], hints) as receiver:
        assert await send(receiver, v3(user), v3(user, engine=b"another engine"), v3(user, encrypt=False)) == {"taken": 3}
    assert hints.number == 3


async def test_a_user_without_passwords_is_known_by_name_alone() -> None:
    hints = Hints()
    async with receiving([camera(credential=CLEAR)], hints) as receiver:
        assert await send(receiver, v3(CLEAR_USER), v3(CLEAR_USER, name="somebody"), v3(STRONG_USER)) == {"taken": 1, "not_verified": 2}


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(v2c("public"), id="another community"),
        pytest.param(v2c(""), id="no community"),
        pytest.param(v3(), id="version 3 where a community is agreed"),
    ],
)
async def test_what_is_not_of_the_community_is_dropped(wrong: bytes) -> None:
    hints = Hints()
    async with receiving([camera()], hints) as receiver:
        assert await send(receiver, wrong) == {"not_verified": 1}
    assert hints.number == 0


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(v2c(), id="a community where a user is agreed"),
        pytest.param(v2c(""), id="no community where a user is agreed"),
        pytest.param(v3(CLEAR_USER), id="not signed"),
        pytest.param(v3(name="somebody"), id="another user"),
        pytest.param(v3(usm.User(name="monitor", auth=usm.Auth.SHA256, auth_password="authauth2")), id="another password"),
        pytest.param(v3(usm.User(name="monitor", auth=usm.Auth.SHA512, auth_password="authauth1")), id="another algorithm"),
        pytest.param(
            v3(usm.User(name="monitor", auth=usm.Auth.SHA256, auth_password="authauth1", priv=usm.Priv.DES, priv_password="privpriv1")),
            id="another encryption",
        ),
    ],
)
async def test_what_is_not_of_the_user_is_dropped(wrong: bytes) -> None:
    hints = Hints()
    async with receiving([camera(credential=STRONG)], hints) as receiver:
        came = await send(receiver, wrong)
    assert hints.number == 0
    assert set(came) <= {"not_verified", "malformed"}, "by chance the wrong plain text may begin as a right one"
    assert sum(came.values()) == 1


async def test_a_device_without_an_snmp_credential_gives_no_hints() -> None:
    hints = Hints()
    async with receiving([camera(credential=None)], hints) as receiver:
        assert await send(receiver, v2c(), v3()) == {"no_credential": 2}
    assert hints.number == 0


@pytest.mark.parametrize(
    ("datagram", "outcome"),
    [
        pytest.param(v2c(version=0), "unsupported", id="version 1"),
        pytest.param(v2c(content=pdu(tag=0xA6)), "unsupported", id="an inform"),
        pytest.param(v2c(content=pdu(tag=0xA0)), "unsupported", id="a request"),
        pytest.param(v2c(content=pdu(ber.sequence())), "malformed", id="no trap OID"),
        pytest.param(v2c(content=pdu(ber.sequence(*[ber.sequence(ber.oid((1, 3, 6)), ber.NULL_VALUE)] * 40))), "malformed", id="too many bindings"),
        pytest.param(v2c() + b"\0", "malformed", id="something behind it"),
        pytest.param(b"", "malformed", id="nothing in it"),
        pytest.param(bytes(LONGEST), "malformed", id="zeros"),
        pytest.param(bytes(LONGEST + 1), "too_large", id="large"),
        pytest.param(bytes(60_000), "too_large", id="very large"),
    ],
)
async def test_what_is_no_trap_is_counted_and_dropped(datagram: bytes, outcome: str) -> None:
    hints = Hints()
    async with receiving([camera()], hints) as receiver:
        assert await send(receiver, datagram, v2c()) == {outcome: 1, "taken": 1}
    assert hints.number == 1


async def test_a_stranger_is_dropped_before_anything_is_decoded_and_nothing_is_kept_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(_data: bytes) -> Any:
        raise AssertionError("decoded")

    monkeypatch.setattr(under_test, "read", never)
    hints = Hints()
    async with receiving([camera()], hints) as receiver:
        for last in range(2, 52):
            assert await send(receiver, v2c(), source=f"127.0.0.{last}") == {"stranger": 1}
        assert len(receiver._sources) == 1
    assert hints.number == 0


async def test_the_bucket_is_asked_before_anything_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = 0
    real = message.read

    def counting(data: bytes) -> Any:
        nonlocal decoded
        decoded += 1
        return real(data)

    monkeypatch.setattr(under_test, "read", counting)
    clock, hints = TurnedClock(), Hints()
    async with receiving([camera()], hints, clock=clock) as receiver:
        assert await send(receiver, *[b"nonsense"] * 30) == {"malformed": 10, "too_many": 20}
        assert decoded == sources.BURST
        clock.turn(1.0)
        assert await send(receiver, *[v2c()] * 5) == {"taken": 2, "too_many": 3}
        clock.turn(3600.0)
        assert await send(receiver, *[v2c()] * 12) == {"taken": 10, "too_many": 2}
    assert hints.number == 12


async def test_devices_behind_one_address_are_told_apart_by_their_credentials() -> None:
    hints = Hints()
    devices = [camera(name="a"), camera(credential=STRONG, name="b"), camera(credential=None, name="c")]
    async with receiving(devices, hints) as receiver:
        assert await send(receiver, v3(), v2c(), v2c("public")) == {"taken": 2, "not_verified": 1}
    assert [device for device, _ in hints.told] == ["b", "a"]


async def test_traps_come_by_ipv6_and_by_ipv4_through_one_socket() -> None:
    hints = Hints()
    async with receiving([camera("::1", name="six"), camera(name="four")], hints, listen=":0") as receiver:
        port = receiver.addresses[0][1]
        for source in ("::1", "127.0.0.1"):
            with sender(source) as sock:
                sock.sendto(v2c(), (source, port))
        await counted(receiver, 2)
    assert sorted(device for device, _ in hints.told) == ["four", "six"]


async def test_names_are_resolved_now_and_then_and_keep_their_addresses_when_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, hints = TurnedClock(), Hints()
    answers: list[list[str] | OSError] = [["127.0.0.1"], socket.gaierror(-3, "try again"), ["127.0.0.9", "127.0.0.1"], ["127.0.0.9"]]
    asked = asyncio.Event()

    async def resolve(host: str, *_: object, **__: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        assert host == "gate.example.org"
        asked.set()
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", (address, 0)) for address in answer]

    async def next_look() -> None:
        asked.clear()
        clock.turn(sources.RESOLVED_EVERY)
        await asyncio.wait_for(asked.wait(), 10)
        for _ in range(5):
            await asyncio.sleep(0)

    loop = asyncio.get_running_loop()
    real = loop.getaddrinfo
    monkeypatch.setattr(loop, "getaddrinfo", lambda host, *a, **k: resolve(host) if host.endswith("org") else real(host, *a, **k))
    async with receiving([camera("gate.example.org")], hints, clock=clock) as receiver:
        await asyncio.wait_for(asked.wait(), 10)
        assert await send(receiver, *[v2c()] * 11) == {"taken": 10, "too_many": 1}
        await next_look()
        assert await send(receiver, v2c()) == {"taken": 1}, "the name was not found, the address of before holds"
        assert await send(receiver, v2c(), source="127.0.0.9") == {"stranger": 1}
        await next_look()
        assert await send(receiver, v2c(), source="127.0.0.9") == {"taken": 1}
        assert await send(receiver, v2c()) == {"taken": 1}
        await next_look()
        assert await send(receiver, v2c()) == {"stranger": 1}
    assert answers == []


async def test_an_address_that_stays_keeps_its_bucket_when_names_are_resolved_anew() -> None:
    clock = TurnedClock()
    table = sources.Sources([camera("127.0.0.1"), camera("gate.example.org", name="b")], {}, clock)
    source = table.find("127.0.0.1")
    assert source is not None
    assert [source.allows(clock.monotonic()) for _ in range(11)] == [True] * 10 + [False]
    table._resolved["gate.example.org"] = ("127.0.0.1",)
    table._arrange()
    assert table.find("127.0.0.1") is source
    assert not source.allows(clock.monotonic())
    assert [device.id for device in source.devices] == ["gate-2", "b"]


async def test_what_goes_wrong_with_one_trap_does_not_end_the_receiver(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_device: str, _what: str) -> None:
        raise RuntimeError("the poller has a bug")

    hints = Hints()
    async with receiving([camera()], hints) as receiver:
        monkeypatch.setattr(receiver, "_hint", broken)
        assert await send(receiver, v2c()) == {"bug": 1}
        monkeypatch.setattr(receiver, "_hint", hints)
        with monkeypatch.context() as patch:
            patch.setattr(under_test, "verified", lambda *_: 1 / 0)
            assert await send(receiver, v2c()) == {"bug": 1}
        assert await send(receiver, v2c()) == {"taken": 1}


async def test_a_socket_that_fails_is_left_alone_for_a_while_and_then_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing:
        def __init__(self, sock: socket.socket) -> None:
            self._sock = sock
            self.failures = 1

        def recvfrom_into(self, buffer: bytearray) -> Any:
            if self.failures:
                self.failures -= 1
                raise OSError(100, "Network is down")
            return self._sock.recvfrom_into(buffer)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._sock, name)

    monkeypatch.setattr(under_test, "RECOVER", 0.01)
    hints = Hints()
    async with receiving([camera()], hints) as receiver:
        (sock,) = receiver._sockets
        asyncio.get_running_loop().remove_reader(sock)
        failing: Any = Failing(sock)
        receiver._sockets[:] = [failing]
        receiver._watch(failing)
        with structlog.testing.capture_logs() as lines:
            assert await send(receiver, v2c()) == {"taken": 1}
        assert [line["event"] for line in lines if line["log_level"] == "error"] == ["not_received"]


async def test_the_log_says_once_an_address_that_its_traps_are_not_verified_and_how_to_mend_it() -> None:
    with structlog.testing.capture_logs() as lines:
        async with receiving([camera()], Hints()) as receiver:
            await send(receiver, *[v2c("public")] * 5)
    (warning,) = [line for line in lines if line["log_level"] == "warning"]
    assert warning["event"] == "trap_not_verified"
    assert warning["devices"] == ["gate-2"]
    assert "snmp credential" in warning["next"]


async def test_the_debug_line_has_what_the_camera_says_and_neither_community_nor_user() -> None:
    with structlog.testing.capture_logs() as lines:
        async with receiving([camera(), camera("127.0.0.3", STRONG)], Hints()) as receiver:
            await send(receiver, v2c())
            await send(receiver, v3(), source="127.0.0.3")
    shown = [line for line in lines if line["event"] == "trap"]
    assert [(line["oid"], line["alarm"], line["text"], line["log_level"]) for line in shown] == [
        ("1.3.6.1.4.1.368.4.2.0.1", "Fan Operation", "Check the fan", "debug")
    ] * 2
    for secret in (COMMUNITY.community.reveal(), "authauth1", "privpriv1", "monitor"):
        assert secret not in str(lines)


async def test_nothing_is_opened_when_nothing_is_configured() -> None:
    async with under_test.open_traps(Settings(site=Site(name="hq"), devices=()), [camera()], Hints()) as receiver:
        assert receiver.addresses == []
        assert set(receiver.counts.values()) == {0}


async def test_a_port_that_is_taken_is_a_start_error_that_names_it() -> None:
    async with receiving([], Hints()) as receiver:
        port = receiver.addresses[0][1]
        with pytest.raises(StartError, match=rf"cannot receive traps on 127\.0\.0\.1:{port}: Address already in use; choose another .*traps\.listen"):
            async with receiving([], Hints(), listen=f"127.0.0.1:{port}"):
                pass


async def test_after_it_is_left_nothing_is_open() -> None:
    hints = Hints()
    async with receiving([camera("localhost")], hints) as receiver:
        (sock,) = receiver._sockets
        flood = [v2c()] * under_test.TURN
        with sender() as out:
            for datagram in flood:
                out.sendto(datagram, receiver.addresses[0])
        await counted(receiver, len(flood))
        assert receiver._resting
    assert sock.fileno() == -1
    assert all(timer.cancelled() for timer in receiver._resting.values())
    assert {task.get_name() for task in asyncio.all_tasks()} & {"traps:names"} == set()


# --- floods


async def test_ten_thousand_traps_cost_neither_memory_nor_polls() -> None:
    clock, hints = TurnedClock(), Hints()
    known = [camera(f"127.0.1.{last}", COMMUNITY if last % 2 else STRONG, f"gate-{last}") for last in range(1, 21)]
    kinds = (v2c(), v3(), v2c("public"), b"nonsense", bytes(5000))
    number = scale(10_000, 1_000_000)
    async with receiving(known, hints, clock=clock) as receiver:
        outs = []
        try:
            for source in (*(f"127.0.1.{last}" for last in range(1, 21)), *(f"127.0.2.{last}" for last in range(1, 61))):
                out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                outs.append(out)
                out.bind((source, 0))

            async def flood(start: int, end: int) -> None:
                for first in range(start, end, 8):
                    for at in range(first, min(first + 8, end)):
                        outs[at % len(outs)].sendto(kinds[at // len(outs) % len(kinds)], receiver.addresses[0])
                    await counted(receiver, min(first + 8, end))

            await flood(0, 2000)  # what is made once is made
            gc.collect()
            tracemalloc.start()
            try:
                before, _ = tracemalloc.get_traced_memory()
                tracemalloc.reset_peak()
                await flood(2000, 2000 + number)
                gc.collect()
                after, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
        finally:
            for out in outs:
                out.close()
        counts = receiver.counts
        assert len(receiver._sources) == len(known)
    print(f"\n{number} datagrams: {after - before:+d} bytes kept, {peak - before} at the peak; {counts}; {hints.number} hints")
    assert hints.number == counts["taken"] <= sources.BURST * len(known)
    assert counts["stranger"] == (2000 + number) * 60 // 80
    assert counts["bug"] == 0
    assert after - before < 64 * 1024
    assert peak - before < 512 * 1024


async def test_a_flood_from_another_thread_leaves_the_loop_its_turns() -> None:
    clock, hints = TurnedClock(), Hints()
    async with receiving([camera()], hints, clock=clock) as receiver:
        over = threading.Event()

        def flood() -> None:
            datagram = v2c()
            with sender() as known, sender("127.0.0.7") as stranger:
                while not over.is_set():
                    known.sendto(datagram, receiver.addresses[0])
                    stranger.sendto(datagram, receiver.addresses[0])

        thread = threading.Thread(target=flood)
        thread.start()
        most, last = 0, 0
        try:
            async with asyncio.timeout(60):
                while last < 10_000:
                    await asyncio.sleep(0)
                    now = sum(receiver.counts.values())
                    most, last = max(most, now - last), now
        finally:
            over.set()
            thread.join()
    assert most <= under_test.TURN
    assert hints.number <= sources.BURST
