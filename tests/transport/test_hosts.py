"""Where a device is: names, IPv6, the address we speak from; and how old it may be."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from agent.errors import CollectError, NotTrusted, Reason, Unreachable
from agent.model import Secret, SnmpCredential, TlsMode, TlsPolicy
from collectors.transport import HttpConnection, Transports, open_transports
from collectors.transport.http import HttpCommons
from collectors.transport.resumption import KEPT_FOR
from tests.support.clock import TurnedClock
from tests.transport.certs import Certificate, make_certificate
from tests.transport.fakes import Fakes, device
from tests.transport.test_snmp import simulated
from tests.transport.test_ssh import PROMPT
from tests.transport.web import hello, site
from tests.transport.wire import wire

LEGACY = "set tls.legacy: true for this device"


def has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return True
    return False


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")


@needs_ipv6
@pytest.mark.parametrize("mode", [TlsMode.TOFU, TlsMode.ENROL, TlsMode.CA])
async def test_a_device_at_an_ipv6_address_with_a_port(fakes: Fakes, tmp_path: Path, mode: TlsMode) -> None:
    shown = make_certificate(tmp_path, "six", host="::1")
    async with wire(shown.server(), host="::1") as served, open_transports(fakes.services()) as transports:
        if mode is TlsMode.ENROL:
            fakes.trust.known["gate-2", f"https:{served.port}"] = shown.sha256
        policy = TlsPolicy(mode=mode, ca_file=shown.path if mode is TlsMode.CA else None)
        async with transports.http(device(served.port, host="::1", tls=policy)) as http:
            answer = await http.request("GET", "/a")
    assert answer.request == f"GET https://[::1]:{served.port}/a"
    assert f"Host: [::1]:{served.port}".encode() in served.plain


@needs_ipv6
async def test_ssh_at_an_ipv6_address(fakes: Fakes, unused_tcp_port: int) -> None:
    async with open_transports(fakes.services()) as transports, transports.ssh(device(unused_tcp_port, host="::1")) as ssh:
        with pytest.raises(Unreachable, match=rf"\[::1\]:{unused_tcp_port}"):
            await ssh.shell(prompt=PROMPT)


class Resolver(aiohttp.abc.AbstractResolver):
    """Says what it is told to."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.asked = 0

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[aiohttp.abc.ResolveResult]:
        self.asked += 1
        found: list[aiohttp.abc.ResolveResult] = [
            {"hostname": host, "host": self.address, "port": port, "family": socket.AF_INET, "proto": 0, "flags": socket.AI_NUMERICHOST}
        ]
        return found

    async def close(self) -> None:
        """Nothing to give back."""


async def test_a_name_is_resolved_at_every_visit(fakes: Fakes) -> None:
    """A device that got another address is found there at the next poll, without a restart."""

    async def where(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        return web.Response(text=request.transport.get_extra_info("sockname")[0])

    runner = web.ServerRunner(web.Server(where), shutdown_timeout=0.1)
    await runner.setup()
    endpoint = web.TCPSite(runner, "0.0.0.0", 0)
    await endpoint.start()
    port = runner.addresses[0][1]
    resolver = Resolver("127.0.0.1")
    commons = HttpCommons(fakes.services(), resolver=resolver)
    try:
        for address in ("127.0.0.1", "127.0.0.3"):
            resolver.address = address
            http = HttpConnection(device(port, host="gate-2.example.org", scheme="http"), commons)
            for _ in range(2):
                assert (await http.request("GET", "/a", account="")).body == address.encode()
            await http.close()
    finally:
        await runner.cleanup()
    assert resolver.asked == 2


async def test_a_name_nobody_knows_is_said_so(fakes: Fakes) -> None:
    for mode in (TlsMode.INSECURE, TlsMode.ENROL):
        async with open_transports(fakes.services()) as transports, transports.http(device(443, host="nowhere.invalid", mode=mode)) as http:
            with pytest.raises(Unreachable) as caught:
                await http.request("GET", "/a")
        assert caught.value.reason is Reason.DNS


@asynccontextmanager
async def peers() -> AsyncIterator[tuple[int, list[str]]]:
    """A port that notes from which address it is spoken to, and hangs up."""
    seen: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(writer.get_extra_info("peername")[0])
        await reader.read(1)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], seen


async def speak(transports: Transports, port: int, way: str, **changes: object) -> None:
    one = device(port, **changes)  # type: ignore[arg-type] # passed on
    if way == "ssh":
        async with transports.ssh(one) as ssh:
            await ssh.shell(prompt=PROMPT)
    else:
        async with transports.http(one) as http:
            if way == "websocket":
                async with http.websocket("/ws"):
                    pass
            else:
                await http.request("GET", "/a", account="")


@pytest.mark.parametrize("way", ["http", "https", "enrol", "websocket", "ssh", "ssh enrol"])
async def test_a_device_is_spoken_to_from_its_source_address(fakes: Fakes, way: str) -> None:
    changes = {"scheme": "http" if way in ("http", "websocket") else "https", "mode": TlsMode.ENROL if "enrol" in way else TlsMode.INSECURE}
    async with peers() as (port, seen), open_transports(fakes.services()) as transports:
        for source in ("127.0.0.2", ""):
            with pytest.raises(CollectError):
                await speak(transports, port, way.split(maxsplit=1)[0], source_address=source, **changes)
    assert set(seen) == {"127.0.0.2", "127.0.0.1"}
    assert seen[0] == "127.0.0.2"
    assert seen[-1] == "127.0.0.1"


class Datagrams(asyncio.DatagramProtocol):
    """Notes from which address it is spoken to, and stays silent."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.seen.append(addr[0])


V2 = SnmpCredential(name="ro", snmp_version=2, community=Secret("public"))
V3 = SnmpCredential(name="ro", snmp_version=3, user="monitor", auth="sha256", auth_key=Secret("authauth1"))


@pytest.mark.parametrize("credential", [V2, V3], ids=["v2c", "v3"])
async def test_snmp_is_spoken_from_the_source_address(fakes: Fakes, credential: SnmpCredential) -> None:
    loop = asyncio.get_running_loop()
    transport, datagrams = await loop.create_datagram_endpoint(Datagrams, local_addr=("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    try:
        async with open_transports(fakes.services(0.4)) as transports:
            for source, name in (("127.0.0.2", "gate-2"), ("", "gate-3"), ("127.0.0.3", "gate-4")):
                datagrams.seen.clear()
                async with transports.snmp(device(port, credential=credential, source_address=source, id=name)) as snmp:
                    with pytest.raises(Unreachable):
                        await snmp.get(["1.3.6.1.2.1.1.1.0"])
                assert set(datagrams.seen) == {source or "127.0.0.1"}
            async with transports.snmp(device(port, credential=credential, source_address="192.0.2.9")) as snmp:
                with pytest.raises(Unreachable, match="source_address"):
                    await snmp.get(["1.3.6.1.2.1.1.1.0"])
    finally:
        transport.close()


async def test_snmp_from_a_source_address_gets_its_answers(fakes: Fakes) -> None:
    """gufo's own socket was exchanged under it: values, walks and the empty answer that is asked again exactly."""
    async with simulated() as (_, port), open_transports(fakes.services()) as transports:
        found = []
        for source in ("", "127.0.0.2"):
            async with transports.snmp(device(port, credential=V2, source_address=source)) as snmp:
                found.append((await snmp.walk("1.3.6.1.2.1.1"), await snmp.get(["1.3.6.1.2.1.1.1.0"]), await snmp.get(["1.3.6.1.9.9.9"])))
    assert found[0] == found[1]
    assert found[0][0]


@pytest.mark.parametrize("way", ["http", "ssh"])
async def test_a_source_address_that_is_not_ours_is_said_so(fakes: Fakes, way: str) -> None:
    async with peers() as (port, seen), open_transports(fakes.services()) as transports:
        with pytest.raises(Unreachable, match="source_address"):
            await speak(transports, port, way, source_address="192.0.2.9")
    assert seen == []


# --- old devices


@pytest.mark.parametrize("mode", [TlsMode.INSECURE, TlsMode.ENROL, TlsMode.PIN, TlsMode.CA])
@pytest.mark.parametrize("bits", [1024, 2048])
async def test_a_device_of_tls_1_0_needs_a_word_of_the_configuration(fakes: Fakes, tmp_path: Path, mode: TlsMode, bits: int) -> None:
    old = make_certificate(tmp_path, "old", rsa_bits=bits)
    async with wire(old.old_server()) as served, open_transports(fakes.services()) as transports:
        fakes.trust.known["gate-2", f"https:{served.port}"] = old.sha256
        given = {"mode": mode, "sha256": old.sha256 if mode is TlsMode.PIN else "", "ca_file": old.path if mode is TlsMode.CA else None}
        async with transports.http(device(served.port, tls=TlsPolicy(**given))) as http:  # type: ignore[arg-type] # a test's shorthand
            with pytest.raises(Unreachable) as caught:
                await http.request("GET", "/a")
        assert caught.value.reason is Reason.TLS
        assert f"the device offers only TLS 1.1 or older; if it cannot be updated, {LEGACY}" in caught.value.detail
        assert served.plain == b""
        for _ in range(2):
            async with transports.http(device(served.port, tls=TlsPolicy(**given, legacy=True))) as http:  # type: ignore[arg-type] # as above
                assert (await http.request("GET", "/a")).status == 200


async def test_an_unknown_device_of_tls_1_0_says_so_before_it_is_enrolled(fakes: Fakes, tmp_path: Path) -> None:
    old = make_certificate(tmp_path, "old", rsa_bits=1024)
    async with wire(old.old_server()) as served, open_transports(fakes.services()) as transports:
        async with transports.http(device(served.port, mode=TlsMode.ENROL)) as http:
            with pytest.raises(Unreachable, match=LEGACY):
                await http.request("GET", "/a")
        async with transports.http(device(served.port, tls=TlsPolicy(legacy=True))) as http:
            with pytest.raises(NotTrusted) as caught:
                await http.request("GET", "/a")
    assert caught.value.fingerprint == old.sha256


async def test_a_short_key_is_no_proof_under_an_authority(fakes: Fakes, tmp_path: Path) -> None:
    weak = make_certificate(tmp_path, "weak", rsa_bits=1024)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.load_cert_chain(weak.path)
    async with wire(context) as served, open_transports(fakes.services()) as transports:
        async with transports.http(device(served.port, tls=TlsPolicy(mode=TlsMode.CA, ca_file=weak.path))) as http:
            with pytest.raises(CollectError) as caught:
                await http.request("GET", "/a")
        assert served.plain == b""
        assert LEGACY in caught.value.detail
        async with transports.http(device(served.port, tls=TlsPolicy(mode=TlsMode.CA, ca_file=weak.path, legacy=True))) as http:
            assert (await http.request("GET", "/a")).status == 200


async def test_old_ciphers_alone_are_named_too(fakes: Fakes, tmp_path: Path) -> None:
    """TLS 1.2, but nothing with forward secrecy: what some cameras of 2014 offer."""
    own = make_certificate(tmp_path, "rsa", rsa_bits=2048)
    context = own.server()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES128-SHA:@SECLEVEL=0")
    async with wire(context) as served, open_transports(fakes.services()) as transports:
        async with transports.http(device(served.port)) as http:
            with pytest.raises(Unreachable, match=LEGACY):
                await http.request("GET", "/a", account="")
        async with transports.http(device(served.port, tls=TlsPolicy(mode=TlsMode.INSECURE, legacy=True))) as http:
            await http.request("GET", "/a", account="")


async def test_a_device_too_old_even_for_that_is_not_told_to_set_it_again(fakes: Fakes) -> None:
    alert = b"\x15\x03\x00\x00\x02\x02\x46"  # protocol_version

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        writer.write(alert)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, open_transports(fakes.services()) as transports:
        port = server.sockets[0].getsockname()[1]
        for legacy in (False, True):
            async with transports.http(device(port, tls=TlsPolicy(mode=TlsMode.INSECURE, legacy=legacy))) as http:
                with pytest.raises(Unreachable) as caught:
                    await http.request("GET", "/a", account="")
            assert caught.value.reason is Reason.TLS
            assert (LEGACY in caught.value.detail) is not legacy


async def test_a_new_device_is_spoken_to_as_well_with_legacy_set(fakes: Fakes, certificates: tuple[Certificate, Certificate]) -> None:
    context = certificates[0].server()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    async with site(hello, context) as served, open_transports(fakes.services()) as transports:
        policy = TlsPolicy(mode=TlsMode.PIN, sha256=certificates[0].sha256, legacy=True)
        async with transports.http(device(served.port, tls=policy)) as http:
            assert (await http.request("GET", "/a", account="")).status == 200


# --- TLS sessions


@pytest.mark.parametrize("answer", [b"", b"\x15\x03\x03\x00\x02\x02\x28"], ids=["reset", "handshake_failure"])
async def test_a_device_that_cannot_resume_is_asked_again_without(fakes: Fakes, certificates: tuple[Certificate, Certificate], answer: bytes) -> None:
    """It hands out tickets, and breaks off whoever brings one back: no poll is lost, and after three times none is offered any more."""
    async with wire(certificates[0].server()) as served, open_transports(fakes.services()) as transports:
        served.at_resumption = answer
        for _ in range(8):
            async with transports.http(device(served.port, tls=TlsPolicy(mode=TlsMode.PIN, sha256=certificates[0].sha256))) as http:
                assert (await http.request("GET", "/a", account="")).status == 401
    assert served.broken == 3
    assert served.handshakes == 8


async def test_a_session_is_not_offered_for_ever(fakes: Fakes, certificates: tuple[Certificate, Certificate]) -> None:
    clock = TurnedClock()
    async with wire(certificates[0].server()) as served, open_transports(replace(fakes.services(), clock=clock)) as transports:
        one = device(served.port, tls=TlsPolicy(mode=TlsMode.PIN, sha256=certificates[0].sha256))
        for passed, resumed in ((0.0, 0), (KEPT_FOR / 2, 1), (KEPT_FOR / 2, 2), (1.0, 2), (1.0, 3)):
            clock.turn(passed)
            async with transports.http(one) as http:
                await http.request("GET", "/a")
            assert served.resumed == resumed
