"""Answers made to hurt: each ends as one of our errors, what is taken of it is bounded, and no piece of it holds the loop for long."""

from __future__ import annotations

import asyncio
import gzip
import logging
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import asyncssh
import pytest
from aiohttp.client_proto import ResponseHandler
from hypothesis import given
from hypothesis import strategies as st

from agent.diagnosis.plaintext import SCRUB_PIECE, scrub
from agent.errors import BadPayload, CollectError, Reason, Unreachable
from agent.model import Device, SnmpCredential
from collectors.axis.parse_storage import disks
from collectors.transport import HttpAnswer, open_transports, snmp_v3, ssh
from collectors.transport.answers import JSON_VALUES, parse_json
from collectors.transport.bounded import SLICE
from collectors.transport.http import BODY_LIMIT
from collectors.transport.snmp import DATAGRAM_LIMIT, well_formed
from collectors.transport.ssh import Shell
from simulator.fleet import SNMP_USER
from simulator.snmp import ber as simulated_ber
from simulator.snmp.agent import Access, Agent
from simulator.snmp.mib import Mib, scalar
from tests.support.hostile.ways import ssh_server
from tests.support.hostile.web import BEHAVIOURS, Call
from tests.support.promises import Tried
from tests.transport.ber import Request, integer, oid, response, start_responder, tlv
from tests.transport.fakes import Fakes, device
from tests.transport.test_http import raw, sending, visit
from tests.transport.test_snmp import DESCR, SYSTEM, liar, v2

# --- HTTP -------------------------------------------------------------------------------------------------------------

FLOODS = [
    "endless-body",
    "declared-gigabyte",
    "endless-chunks",
    "large-chunks",
    "chunk-extensions",
    "endless-trailers",
    "gzip-bomb",
    "deflate-bomb",
    "gzip-members",
    "header-count",
    "header-size",
    "status-line-size",
    "continues",
    "early-hints",
    "cookies",
]


@pytest.mark.promise(5)
@pytest.mark.parametrize("name", FLOODS)
async def test_a_flood_is_cut_off_and_parsed_in_small_slices(fakes: Fakes, name: str, monkeypatch: pytest.MonkeyPatch, tried: Tried) -> None:
    parsed: list[int] = []
    parse = ResponseHandler.data_received

    def noted(self: ResponseHandler, data: bytes) -> None:
        parsed.append(len(data))
        parse(self, data)

    monkeypatch.setattr(ResponseHandler, "data_received", noted)

    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await BEHAVIOURS[name](writer, Call(method="GET", path="/a", head=b"", number=0))

    async with raw(talk) as port, visit(fakes, port, timeout=60) as http:
        with pytest.raises(CollectError) as caught:
            await http.request("GET", "/a", account="")
    assert caught.value.reason in (Reason.TOO_LARGE, Reason.PARSE, Reason.RESET)
    assert max(parsed) <= SLICE
    assert sum(parsed) < 3 * BODY_LIMIT
    tried("floods of HTTP", 1)


@pytest.mark.parametrize("packing", ["plain", "chunked", "gzip", "until the end"])
async def test_a_long_body_comes_through_whole(fakes: Fakes, packing: str) -> None:
    pick = random.Random(packing)
    body = pick.randbytes(BODY_LIMIT // 2).hex().encode()
    head, sent = b"HTTP/1.1 200 OK\r\n", body
    if packing == "gzip":
        sent = gzip.compress(body)
        head += b"Content-Encoding: gzip\r\n"
    if packing == "chunked":
        head += b"Transfer-Encoding: chunked\r\n"
        pieces = []
        while sent:
            size = pick.choice((1, 100, 5000, 70_000))
            pieces.append(b"%x\r\n%b\r\n" % (len(sent[:size]), sent[:size]))
            sent = sent[size:]
        sent = b"".join([*pieces, b"0\r\n\r\n"])
    elif packing != "until the end":
        head += b"Content-Length: %d\r\n" % len(sent)
    async with raw(sending(head + b"\r\n" + sent)) as port, visit(fakes, port) as http:
        answer = await http.request("GET", "/a", account="")
    assert answer.body == body


async def test_answers_that_nobody_asked_for_are_not_kept(fakes: Fakes) -> None:
    """Between two requests of a visit: the connection is given up, and what came is not taken for the answer to the next one."""
    one = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno"
    served = 0

    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        served += 1
        writer.write(one.replace(b"no", b"ok") + (one * 400_000 if served == 1 else b""))
        await writer.drain()

    async with raw(talk) as port, visit(fakes, port) as http:
        assert (await http.request("GET", "/a", account="")).body == b"ok"
        await asyncio.sleep(0.1)  # what follows arrives meanwhile, while nothing is asked
        assert (await http.request("GET", "/b", account="")).body == b"ok"


@pytest.mark.parametrize("charset", ["punycode", "idna", "unicode_escape", "utf_7", "zip", "rot13", "undefined"])
def test_only_charsets_of_the_web_are_decoded(charset: str) -> None:
    """Punycode takes a minute for half a megabyte, and nobody else has his turn."""
    from multidict import CIMultiDict, CIMultiDictProxy

    body = b"a" * 500_000 + b"-" + b"b" * 500_000
    answer = HttpAnswer(status=200, headers=CIMultiDictProxy(CIMultiDict({"Content-Type": f"text/plain; charset={charset}"})), body=body)
    assert answer.text() == body.decode()


@pytest.mark.parametrize("text", ["[" + "{}," * 200_000 + "{}]", "{" + ",".join(f'"k{n}":1' for n in range(JSON_VALUES + 1)) + "}", "[" * 100_000])
def test_json_of_too_many_values_is_not_parsed(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def loads(*_: object, **__: object) -> None:
        raise AssertionError("it was parsed")

    monkeypatch.setattr("collectors.transport.answers.json.loads", loads)
    for body in (text, text.encode()):
        with pytest.raises(BadPayload, match="more than"):
            parse_json(body)


@pytest.mark.parametrize("body", [b"<disks>" + b"<disk/>" * 3000 + b"</disks>", b"<disks " + b'a="b" ' * 20_000 + b"/>", b"<a>" * 3000 + b"</a>" * 3000])
def test_xml_of_too_many_parts_is_not_parsed(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def fromstring(_: bytes) -> None:
        raise AssertionError("it was parsed")

    monkeypatch.setattr("collectors.axis.parse_storage.ElementTree.fromstring", fromstring)
    with pytest.raises(BadPayload, match="more than"):
        disks(body)


def test_a_long_text_is_scrubbed_in_pieces_and_a_line_beyond_all_measure_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    from agent.diagnosis import plaintext

    seen: list[int] = []
    whole = plaintext._scrub_lines

    def noted(piece: bytes) -> bytes:
        seen.append(len(piece))
        return whole(piece)

    monkeypatch.setattr(plaintext, "_scrub_lines", noted)
    lines = [b"root.Network.HostName=gate", b"root.User.Password=tajne", b"x" * SCRUB_PIECE, b"Authorization: Basic dGFqbmU="] * 5000
    key = b"-----BEGIN PRIVATE KEY-----\n" + b"tajne\n" * 10_000 + b"-----END PRIVATE KEY-----"
    clean = scrub(b"\n".join([*lines, key, b"after=1", b"-----BEGIN RSA PRIVATE KEY-----\ntajne"]))
    assert b"tajne" not in clean
    assert b"dGFqbmU" not in clean
    assert b"x" * 100 not in clean
    assert clean.count(b"root.Network.HostName=gate\n") == 5000
    assert b"\nafter=1\n" in clean
    assert max(seen) <= SCRUB_PIECE


# --- SSH --------------------------------------------------------------------------------------------------------------


async def test_a_shell_that_talks_without_end_in_small_pieces_is_not_read_anew_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    plain = ssh.plain_text

    def noted(data: bytes) -> str:
        looked.append(len(data))
        return plain(data)

    async def read(_size: int) -> bytes:
        return b"x" * 100

    monkeypatch.setattr(ssh, "plain_text", noted)
    process = SimpleNamespace(stdin=SimpleNamespace(write=lambda _: None), stdout=SimpleNamespace(read=read))
    shell = Shell(cast("Any", process), prompt="-> ", end="\r\n", where="room:22", timeout=60)
    with pytest.raises(CollectError) as caught:
        await shell.command("status")
    assert caught.value.reason is Reason.TOO_LARGE
    assert max(looked) <= 4096


async def test_what_comes_over_ssh_is_worked_on_in_small_slices(fakes: Fakes, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    received = asyncssh.SSHClientConnection.data_received

    def noted(self: asyncssh.SSHClientConnection, data: bytes, datatype: int | None = None) -> None:
        read.append(len(data))
        received(self, data, datatype)

    monkeypatch.setattr(asyncssh.SSHClientConnection, "data_received", noted)
    served = await ssh_server("ssh-flood", "127.0.0.1", asyncssh.generate_private_key("ssh-ed25519"), Counter())
    async with open_transports(fakes.services(timeout=20)) as transports, transports.ssh(device(served.get_port())) as connection:
        with pytest.raises(CollectError) as caught:
            await connection.shell(prompt="-> ")
    served.close()
    assert caught.value.reason is Reason.TOO_LARGE
    assert max(read) <= 16 * 1024


# --- SNMP -------------------------------------------------------------------------------------------------------------


def message(request: Request, *parts: bytes) -> bytes:
    """An answer whose list of bindings holds these."""
    pdu = tlv(0xA2, integer(request.id) + integer(0) + integer(0) + tlv(0x30, b"".join(parts)))
    return tlv(0x30, integer(request.version) + tlv(4, request.community) + pdu)


def good(request: Request) -> bytes:
    return response(request, [(name, tlv(4, b"x")) for name in request.oids])


@pytest.mark.promise(5)
@pytest.mark.parametrize("what", ["a binding without anything", "cut", "a byte", "of the largest size", "of many parts"])
@pytest.mark.parametrize("version", [1, 2])
async def test_an_answer_that_gufo_panics_at_costs_that_question_alone(fakes: Fakes, what: str, version: int, tried: Tried) -> None:
    """Its panic is a BaseException: it went past every handler and ended the daemon."""
    lie = True

    def answer(request: Request) -> bytes:
        if not lie:
            return good(request)
        return {
            "a binding without anything": message(request, tlv(0x30, b"")),
            "cut": good(request)[:-1],
            "a byte": b"0",
            "of the largest size": response(request, [(request.oids[0], tlv(4, b"T" * 64_000))]),
            "of many parts": message(request, *(tlv(0x30, oid(f"{SYSTEM}.{n}") + integer(1)) for n in range(400))),
        }[what]

    async with liar(fakes, answer, version, timeout=5) as (snmp, _):
        with pytest.raises(BadPayload):
            await snmp.get([DESCR])
        with pytest.raises(BadPayload):
            await snmp.walk(SYSTEM)
        lie = False
        assert await snmp.get([DESCR]) == {DESCR: b"x"}
    tried("malformed SNMP answers", 2)


@given(st.binary(max_size=300))
def test_any_bytes_are_looked_at(data: bytes) -> None:
    assert well_formed(data) in (True, False)


@given(st.lists(st.integers(-(2**63), 2**63), max_size=25), st.data())
def test_a_whole_answer_is_well_formed_and_a_cut_one_is_not(values: list[int], data: st.DataObject) -> None:
    request = Request(1, b"public", 0xA0, 7, 0, 0, [])
    answer = response(request, [(f"1.3.6.1.4.1.368.4.1.{n}", integer(value)) for n, value in enumerate(values)])
    assert well_formed(answer)
    assert not well_formed(answer[: data.draw(st.integers(0, len(answer) - 1))])
    assert not well_formed(answer + b"\0")
    assert not well_formed(tlv(0x30, bytes(DATAGRAM_LIMIT)))


@asynccontextmanager
async def agent(meddle: Any) -> AsyncIterator[int]:
    """An SNMPv3 agent; `meddle(transport, address, answer)` sends what comes of each answer."""
    mib: Mib[None] = Mib([scalar((1, 3, 6, 1, 2, 1, 1, 1), lambda _: simulated_ber.octets(b"simulated"))])
    served = Agent(mib, None, access=Access(users=(SNMP_USER,)), engine=b"\x80\x00\x00\x00\x05abc", boots=lambda: 1, time=lambda: 100.0)

    class Protocol(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = cast("asyncio.DatagramTransport", transport)

        def datagram_received(self, data: bytes, addr: Any) -> None:
            found = served.answer(data)
            if found is not None:
                meddle(self.transport, addr, found)

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Protocol, local_addr=("127.0.0.1", 0))
    try:
        yield transport.get_extra_info("sockname")[1]
    finally:
        transport.close()


def monitored(port: int, name: str) -> Device:
    credential = SnmpCredential(
        name="snmp-v3",
        snmp_version=3,
        user=SNMP_USER.name,
        auth=SNMP_USER.auth.value,
        auth_key=v2(community=SNMP_USER.auth_password).community,
        priv=SNMP_USER.priv.value,
        priv_key=v2(community=SNMP_USER.priv_password).community,
        version="v3",
    )
    return device(port, credential=credential, id=name)


def honest(transport: asyncio.DatagramTransport, address: Any, answer: bytes) -> None:
    transport.sendto(answer, address)


async def test_a_flood_over_snmpv3_is_decoded_up_to_a_few_and_no_other_device_loses_its_answer(
    fakes: Fakes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    decoded: Counter[int] = Counter()
    received = snmp_v3._Udp.datagram_received

    def noted(self: Any, datagram: bytes, address: Any) -> None:
        before = self._left
        received(self, datagram, address)
        decoded[address[1]] += before - self._left

    monkeypatch.setattr(snmp_v3._Udp, "datagram_received", noted)
    pick = random.Random(3)

    def flood(transport: asyncio.DatagramTransport, address: Any, answer: bytes) -> None:
        for _ in range(300):
            broken = bytearray(answer)
            broken[pick.randrange(10, len(broken))] ^= 1 << pick.randrange(8)
            transport.sendto(bytes(broken), address)

    async with agent(flood) as hostile, agent(honest) as port, open_transports(fakes.services(timeout=2)) as transports:

        async def ask(number: int, name: str) -> dict[str, object]:
            async with transports.snmp(monitored(number, name)) as snmp:
                return dict(await snmp.get([DESCR]))

        enemy = asyncio.create_task(ask(hostile, "hostile"))
        while not enemy.done():
            assert await ask(port, "gate-2") == {DESCR: b"simulated"}
        with pytest.raises(CollectError):
            await enemy
    assert 0 < decoded[hostile] <= 4 * snmp_v3._LOOKED_AT
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_what_comes_after_a_request_over_snmpv3_reaches_nothing(fakes: Fakes, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = 0
    received = snmp_v3._Udp.datagram_received

    def noted(self: Any, datagram: bytes, address: Any) -> None:
        nonlocal heard
        heard += 1
        received(self, datagram, address)

    monkeypatch.setattr(snmp_v3._Udp, "datagram_received", noted)
    last: list[Any] = []

    def keep(transport: asyncio.DatagramTransport, address: Any, answer: bytes) -> None:
        last[:] = [transport, address, answer]
        transport.sendto(answer, address)

    async with agent(keep) as port, open_transports(fakes.services(timeout=2)) as transports, transports.snmp(monitored(port, "gate-2")) as snmp:
        assert await snmp.get([DESCR]) == {DESCR: b"simulated"}
        before = heard
        transport, address, answer = last
        for _ in range(100):
            transport.sendto(answer, address)
        await asyncio.sleep(0.05)
        assert heard == before
        assert await snmp.get([DESCR]) == {DESCR: b"simulated"}


async def test_a_device_that_shuts_its_port_while_it_is_asked_is_a_time_out(fakes: Fakes) -> None:
    responder, port = await start_responder(good)
    responder.transport.close()
    async with open_transports(fakes.services(timeout=0.4)) as transports, transports.snmp(monitored(port, "gate-2")) as snmp:
        with pytest.raises(Unreachable):
            await snmp.get([DESCR])
