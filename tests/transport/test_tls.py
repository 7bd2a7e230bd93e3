"""Whom we talk to: what is sent, and when, under each TLS mode."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from pathlib import Path

import pytest

from agent.errors import CollectError, NotTrusted, Reason, Unreachable
from agent.model import TlsMode, TlsPolicy
from collectors.transport import open_transports
from tests.transport.certs import Certificate, make_certificate
from tests.transport.fakes import Fakes, device
from tests.transport.web import basic, hello, site

Certificates = tuple[Certificate, Certificate]


async def test_enrol_sends_nothing_before_a_person_accepted(fakes: Fakes, certificates: Certificates) -> None:
    async with site(basic(), certificates[0].server()) as served, open_transports(fakes.services()) as transports:
        camera, endpoint = device(served.port, mode=TlsMode.ENROL), f"https:{served.port}"
        async with transports.http(camera) as http:
            for _ in range(2):
                with pytest.raises(NotTrusted) as caught:
                    await http.request("GET", "/a")
            assert http.requests == 0
        assert caught.value.reason is Reason.TLS_NOT_TRUSTED
        assert caught.value.fingerprint == certificates[0].sha256
        assert fakes.trust.shown[0] == ("gate-2", endpoint, certificates[0].sha256)
        assert served.requests == []
        assert fakes.guard.calls == []

        await fakes.trust.accept("gate-2", endpoint, certificates[0].sha256.upper(), "person")
        async with transports.http(camera) as http:
            assert (await http.request("GET", "/a")).status == 200


@pytest.mark.parametrize("mode", [TlsMode.ENROL, TlsMode.TOFU])
async def test_a_changed_certificate_gets_nothing(fakes: Fakes, certificates: Certificates, mode: TlsMode) -> None:
    async with site(basic(), certificates[1].server()) as served, open_transports(fakes.services()) as transports:
        fakes.trust.known["gate-2", f"https:{served.port}"] = certificates[0].sha256
        fakes.memory.values["gate-2"] = {"http_scheme.https": "basic", "accepted_http": "v1"}
        async with transports.http(device(served.port, mode=mode)) as http:
            with pytest.raises(NotTrusted) as caught:
                await http.request("GET", "/a")
        assert served.requests == []
    assert caught.value.reason is Reason.TLS_CHANGED
    assert caught.value.fingerprint == certificates[1].sha256
    assert fakes.trust.shown == [("gate-2", f"https:{served.port}", certificates[1].sha256)]


async def test_tofu_accepts_the_first_and_keeps_to_it(fakes: Fakes, certificates: Certificates) -> None:
    async with (
        site(hello, certificates[0].server()) as served,
        open_transports(fakes.services()) as transports,
        transports.http(device(served.port, mode=TlsMode.TOFU)) as http,
    ):
        assert (await http.request("GET", "/a", account="")).status == 200
    assert fakes.trust.known == {("gate-2", f"https:{served.port}"): certificates[0].sha256}
    assert fakes.trust.by == ["tofu"]


async def test_a_pin_takes_its_certificate_and_no_other(fakes: Fakes, certificates: Certificates) -> None:
    async with site(hello, certificates[0].server()) as served, open_transports(fakes.services()) as transports:
        colons = ":".join(certificates[0].sha256[n : n + 2] for n in range(0, 64, 2)).upper()
        for sha256 in (certificates[0].sha256, colons):
            async with transports.http(device(served.port, tls=TlsPolicy(mode=TlsMode.PIN, sha256=sha256))) as http:
                assert (await http.request("GET", "/a", account="")).status == 200
        seen = len(served.requests)
        async with transports.http(device(served.port, tls=TlsPolicy(mode=TlsMode.PIN, sha256=certificates[1].sha256))) as http:
            with pytest.raises(NotTrusted):
                await http.request("GET", "/a", account="")
        assert len(served.requests) == seen


async def test_ca_verifies_chain_and_address(fakes: Fakes, certificates: Certificates, tmp_path: Path) -> None:
    elsewhere = make_certificate(tmp_path, "elsewhere", host="192.0.2.7")
    async with open_transports(fakes.services()) as transports:
        for shown, authority, good in ((certificates[0], certificates[0], True), (certificates[1], certificates[0], False), (elsewhere, elsewhere, False)):
            async with (
                site(hello, shown.server()) as served,
                transports.http(device(served.port, tls=TlsPolicy(mode=TlsMode.CA, ca_file=authority.path))) as http,
            ):
                if good:
                    assert (await http.request("GET", "/a", account="")).status == 200
                else:
                    with pytest.raises(NotTrusted):
                        await http.request("GET", "/a", account="")
                    assert served.requests == []


async def test_a_missing_ca_file_is_named(fakes: Fakes, tmp_path: Path) -> None:
    async with (
        open_transports(fakes.services()) as transports,
        transports.http(device(1, tls=TlsPolicy(mode=TlsMode.CA, ca_file=tmp_path / "none.pem"))) as http,
    ):
        with pytest.raises(CollectError, match=r"none\.pem") as caught:
            await http.request("GET", "/a", account="")
    assert caught.value.reason is Reason.TLS


async def test_a_pin_that_is_no_fingerprint_is_named(fakes: Fakes) -> None:
    async with open_transports(fakes.services()) as transports, transports.http(device(1, tls=TlsPolicy(mode=TlsMode.PIN, sha256="beef"))) as http:
        with pytest.raises(CollectError, match="sha256") as caught:
            await http.request("GET", "/a", account="")
    assert caught.value.reason is Reason.TLS


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1")  # an old device is the point
async def test_tls_before_1_2_is_not_spoken(fakes: Fakes, certificates: Certificates) -> None:
    context = certificates[0].server()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    async with site(hello, context) as served, open_transports(fakes.services()) as transports:
        async with transports.http(device(served.port)) as http:
            with pytest.raises(Unreachable) as caught:
                await http.request("GET", "/a", account="")
        assert served.requests == []
    assert caught.value.reason in {Reason.TLS, Reason.RESET}  # some servers say why, some hang up


async def test_no_device_answers_while_enrolling_is_not_a_matter_of_trust(fakes: Fakes, unused_tcp_port: int) -> None:
    async with open_transports(fakes.services()) as transports, transports.http(device(unused_tcp_port, mode=TlsMode.ENROL)) as http:
        with pytest.raises(Unreachable) as caught:
            await http.request("GET", "/a")
    assert caught.value.reason is Reason.REFUSED


async def test_a_device_that_stopped_answering_is_hung_up_on_when_the_visit_ends(fakes: Fakes, certificates: Certificates) -> None:
    """Also when it does not take part in the end of TLS, for which asyncio waits 30 s."""
    context, taken = certificates[0].server(), asyncio.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        loop, port = asyncio.get_running_loop(), listening.getsockname()[1]
        left = threading.Event()

        def serve() -> bool:
            plain, _ = listening.accept()
            with context.wrap_socket(plain, server_side=True) as tls:
                tls.recv(4096)
                loop.call_soon_threadsafe(taken.set)
                left.wait(10)
                with socket.socket(fileno=tls.detach()) as plain:
                    plain.settimeout(10)
                    try:
                        while plain.recv(4096):
                            pass
                    except ConnectionResetError:
                        return True
                    except TimeoutError:
                        return False
                    return True

        served = asyncio.create_task(asyncio.to_thread(serve))
        async with open_transports(fakes.services(0.5)) as transports, transports.http(device(port)) as http:
            with pytest.raises(Unreachable):
                await http.request("GET", "/a", account="")
        left.set()
        assert taken.is_set()
        assert await served
