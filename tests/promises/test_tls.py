"""Promise 9, on the wire: no secret byte goes to whoever is not the device that was accepted, by whatever way in."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from agent.errors import CollectError, NotTrusted, Reason
from agent.model import TlsMode, TlsPolicy
from collectors.transport import HttpConnection, open_transports
from collectors.transport.ssh import key_sha256
from tests.support.promises import Tried
from tests.transport.certs import Certificate, make_certificate
from tests.transport.fakes import ACCOUNT, Fakes, device
from tests.transport.test_ssh import KEY, OTHER_KEY, PROMPT
from tests.transport.test_ssh import served as served_ssh
from tests.transport.wire import Wire, challenging, spellings, wire

pytestmark = pytest.mark.promise(9)

TOKEN = "t0ken-of-a-session"
SECRETS = spellings(ACCOUNT.password.reveal(), f"{ACCOUNT.username}:{ACCOUNT.password.reveal()}", TOKEN)
Way = Callable[[HttpConnection], Awaitable[object]]


async def request(http: HttpConnection) -> object:
    return await http.request("GET", "/a")


async def post(http: HttpConnection) -> object:
    return await http.request("POST", "/a", json={"password": ACCOUNT.password.reveal()}, headers={"Cookie": f"session_id={TOKEN}"}, account="")


async def stream(http: HttpConnection) -> object:
    async with aclosing(http.stream("GET", "/a")) as pieces:
        return [piece async for piece in pieces]


async def websocket(http: HttpConnection) -> object:
    async with http.websocket("/events", params=f"wssession={TOKEN}", headers={"Authorization": f"Bearer {TOKEN}"}) as opened:
        return [message async for message in opened]


WAYS = (request, post, stream, websocket)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("promise-9")


@pytest.fixture(scope="module")
def device_own(folder: Path) -> Certificate:
    return make_certificate(folder, "own")


@pytest.fixture(scope="module")
def stranger(folder: Path) -> Certificate:
    return make_certificate(folder, "stranger")


@pytest.fixture
def fakes() -> Fakes:
    found = Fakes()
    # The device was known, its paths ask for Basic, the password was accepted: all that makes a client send it at once.
    found.memory.values["gate-2"] = {"http_scheme.https": "basic", "accepted_http": "v1"}
    return found


def nothing_secret(served: Wire) -> None:
    assert served.plain == b""
    assert not [secret for secret in SECRETS if secret in served.raw]


@pytest.mark.parametrize("way", WAYS)
async def test_an_unknown_certificate_gets_a_handshake_and_nothing_else(fakes: Fakes, device_own: Certificate, way: Way, tried: Tried) -> None:
    tried("visits to a stranger", 3)
    async with wire(device_own.server()) as served, open_transports(fakes.services()) as transports:
        one = device(served.port, mode=TlsMode.ENROL)
        for _ in range(3):
            async with transports.http(one) as http:
                with pytest.raises(NotTrusted) as caught:
                    await way(http)
        assert caught.value.reason is Reason.TLS_NOT_TRUSTED
        assert served.connections == 3
        nothing_secret(served)
        assert fakes.guard.calls == []
        assert set(fakes.trust.shown) == {("gate-2", f"https:{served.port}", device_own.sha256)}
        noted = fakes.memory.values["gate-2"][f"certificate.https:{served.port}"].split()
        assert noted[0] == device_own.sha256
        assert noted[1].startswith("20")

        # The same device, accepted by a person: now it is spoken to, so the recorder does see what is sent.
        await fakes.trust.accept("gate-2", f"https:{served.port}", device_own.sha256, "person")
        async with transports.http(one) as http:
            assert (await http.request("GET", "/a")).status == 200
        assert any(secret in served.plain for secret in SECRETS)


@pytest.mark.parametrize("mode", [TlsMode.ENROL, TlsMode.TOFU, TlsMode.PIN])
@pytest.mark.parametrize("way", WAYS)
async def test_a_changed_certificate_gets_a_handshake_and_nothing_else(
    fakes: Fakes, device_own: Certificate, stranger: Certificate, mode: TlsMode, way: Way, tried: Tried
) -> None:
    tried("certificate changed between two visits", 1)
    async with wire(device_own.server()) as served, open_transports(fakes.services()) as transports:
        fakes.trust.known["gate-2", f"https:{served.port}"] = device_own.sha256
        one = device(served.port, tls=TlsPolicy(mode=mode, sha256=device_own.sha256 if mode is TlsMode.PIN else ""))
        async with transports.http(one) as http:
            await http.request("GET", "/a")
        assert b"Authorization: Basic" in served.plain
        served.context, served.plain, served.raw = stranger.server(), b"", b""
        async with transports.http(one) as http:
            with pytest.raises(NotTrusted) as caught:
                await way(http)
        nothing_secret(served)
    assert (caught.value.reason, caught.value.fingerprint) == (Reason.TLS_CHANGED, stranger.sha256)
    assert fakes.trust.shown[-1] == ("gate-2", f"https:{served.port}", stranger.sha256)


async def test_a_certificate_that_changes_within_a_visit_gets_nothing(fakes: Fakes, device_own: Certificate, stranger: Certificate) -> None:
    async with wire(device_own.server()) as served, open_transports(fakes.services()) as transports:
        async with transports.http(device(served.port, tls=TlsPolicy(mode=TlsMode.PIN, sha256=device_own.sha256))) as http:
            await http.request("GET", "/a")
            served.context, served.plain, served.raw = stranger.server(), b"", b""
            served.hang_up()
            with pytest.raises(NotTrusted) as caught:
                await http.request("GET", "/a")
        nothing_secret(served)
    assert caught.value.reason is Reason.TLS_CHANGED


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("wrong", ["authority", "address", "name", "expired"])
async def test_with_an_authority_the_chain_and_the_address_must_be_right(fakes: Fakes, folder: Path, wrong: str, way: Way, tried: Tried) -> None:
    tried("bad certificate under mode ca", 1)
    authority = make_certificate(folder, "authority", host="ca.example.org")
    shown = {
        "authority": lambda: make_certificate(folder, "self-signed"),
        "address": lambda: make_certificate(folder, "elsewhere", host="192.0.2.7", signer=authority),
        "name": lambda: make_certificate(folder, "named", host="gate-2.example.org", signer=authority),
        "expired": lambda: make_certificate(folder, "expired", days=-1, signer=authority),
    }[wrong]()
    async with wire(shown.server()) as served, open_transports(fakes.services()) as transports:
        async with transports.http(device(served.port, tls=TlsPolicy(mode=TlsMode.CA, ca_file=authority.path))) as http:
            with pytest.raises(NotTrusted) as caught:
                await way(http)
        nothing_secret(served)
    assert caught.value.reason is Reason.TLS_NOT_TRUSTED


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_with_an_authority_a_right_address_or_name_is_let_in(fakes: Fakes, folder: Path, host: str) -> None:
    authority = make_certificate(folder, "authority", host="ca.example.org")
    shown = make_certificate(folder, f"good-{host}", host=host, signer=authority)
    async with wire(shown.server()) as served, open_transports(fakes.services()) as transports:
        one = device(served.port, host=host, tls=TlsPolicy(mode=TlsMode.CA, ca_file=authority.path))
        for _ in range(2):
            async with transports.http(one) as http:
                assert (await http.request("GET", "/a")).status == 200
        assert served.resumed == 0, "each visit verifies the chain anew"


async def test_what_a_person_accepted_or_pinned_may_be_expired(fakes: Fakes, folder: Path) -> None:
    expired = make_certificate(folder, "old-but-known", days=-1)
    async with wire(expired.server()) as served, open_transports(fakes.services()) as transports:
        fakes.trust.known["gate-2", f"https:{served.port}"] = expired.sha256
        for policy in (TlsPolicy(mode=TlsMode.PIN, sha256=expired.sha256), TlsPolicy(mode=TlsMode.ENROL), TlsPolicy(mode=TlsMode.TOFU)):
            async with transports.http(device(served.port, tls=policy)) as http:
                assert (await http.request("GET", "/a")).status == 200


async def test_insecure_is_what_it_says(fakes: Fakes, device_own: Certificate, stranger: Certificate) -> None:
    async with wire(device_own.server()) as served, open_transports(fakes.services()) as transports:
        for context in (device_own.server(), stranger.server()):
            served.context = context
            async with transports.http(device(served.port, mode=TlsMode.INSECURE)) as http:
                assert (await http.request("GET", "/a")).status == 200
    assert fakes.trust.shown == []


@pytest.mark.parametrize("old", [False, True])
async def test_a_resumed_connection_is_checked_as_any_other(fakes: Fakes, device_own: Certificate, stranger: Certificate, *, old: bool, tried: Tried) -> None:
    """The server changes its certificate, with and without the keys of its tickets; the accepted fingerprint changes."""
    tried("visits that offer a TLS session", 6)
    context = device_own.server()
    if old:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with wire(context) as served, open_transports(fakes.services()) as transports:
        endpoint = ("gate-2", f"https:{served.port}")
        fakes.trust.known[endpoint] = device_own.sha256
        one = device(served.port, mode=TlsMode.ENROL)
        for _ in range(3):
            async with transports.http(one) as http:
                await http.request("GET", "/a")
        assert (served.connections, served.resumed) == (3, 2)

        # Another device at the same address is not offered this one's session.
        fakes.trust.known["gate-3", endpoint[1]] = device_own.sha256
        async with transports.http(device(served.port, mode=TlsMode.ENROL, id="gate-3")) as http:
            await http.request("GET", "/a", account="")
        assert served.resumed == 2

        # A person accepted another fingerprint: the old session counts no more, though the server would take it up.
        fakes.trust.known[endpoint] = stranger.sha256
        served.plain, served.raw = b"", b""
        async with transports.http(one) as http:
            with pytest.raises(NotTrusted):
                await http.request("GET", "/a")
        nothing_secret(served)
        assert served.resumed == 2
        fakes.trust.known[endpoint] = device_own.sha256
        async with transports.http(one) as http:
            await http.request("GET", "/a")
        assert served.resumed == 2, "it was dropped"

        # The server starts again with another certificate, and knows nothing of its former sessions.
        changed = stranger.server()
        if old:
            changed.maximum_version = ssl.TLSVersion.TLSv1_2
        served.context, served.plain, served.raw = changed, b"", b""
        async with transports.http(one) as http:
            with pytest.raises(NotTrusted) as caught:
                await http.request("GET", "/a")
        nothing_secret(served)
    assert caught.value.reason is Reason.TLS_CHANGED


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("kind", ["absolute", "relative", "other host", "downgrade"])
async def test_no_redirect_is_followed(fakes: Fakes, device_own: Certificate, status: int, kind: str, tried: Tried) -> None:
    tried("redirects of four ways in", len(WAYS))
    elsewhere: list[bytes] = []

    async def record(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        elsewhere.append(await reader.read(65536))
        writer.close()

    server = await asyncio.start_server(record, "127.0.0.2", 0)
    other = server.sockets[0].getsockname()[1]
    location = {"relative": "/b", "other host": f"https://127.0.0.2:{other}/b", "downgrade": f"http://127.0.0.2:{other}/b"}
    asked: list[bytes] = []

    def answer(head: bytes) -> bytes:
        asked.append(head.split(b" ")[1])
        if b"authorization:" not in head.lower() and b"upgrade: websocket" not in head.lower() and not head.startswith(b"POST"):
            return challenging(head)
        to = location.get(kind) or f"https://127.0.0.1:{served.port}/b"
        return f"HTTP/1.1 {status} Moved\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n".encode()

    async with server, wire(device_own.server(), answer) as served, open_transports(fakes.services()) as transports:
        one = device(served.port, tls=TlsPolicy(mode=TlsMode.PIN, sha256=device_own.sha256))
        for way in WAYS:
            async with transports.http(one) as http:
                if way in (request, post):
                    found = await way(http)
                    assert getattr(found, "status", 0) == status
                else:
                    with pytest.raises(CollectError) as caught:
                        await way(http)
                    assert caught.value.reason is Reason.HTTP_STATUS
                    assert str(status) in caught.value.detail
    assert set(asked) == {b"/a", b"/events?wssession=" + TOKEN.encode()}
    assert elsewhere == []


async def test_two_devices_in_one_task_never_share_a_session(fakes: Fakes, device_own: Certificate) -> None:
    """Visits that are open side by side, with connections made again in between."""
    async with wire(device_own.server()) as first, wire(device_own.server()) as second, open_transports(fakes.services()) as transports:
        for served, name in ((first, "gate-2"), (second, "gate-3")):
            fakes.trust.known[name, f"https:{served.port}"] = device_own.sha256
        for turn in range(3):
            async with (
                transports.http(device(first.port, mode=TlsMode.ENROL)) as one,
                transports.http(device(second.port, mode=TlsMode.ENROL, id="gate-3")) as other,
            ):
                for http in (one, other):
                    await http.request("GET", "/a", account="")
                assert (first.resumed, second.resumed) == (turn, turn)


@pytest.mark.parametrize("mode", [TlsMode.ENROL, TlsMode.TOFU, TlsMode.PIN, TlsMode.CA])
async def test_a_changed_host_key_gets_no_password(fakes: Fakes, mode: TlsMode, tried: Tried) -> None:
    tried("logins at another host key", 1)
    async with open_transports(fakes.services()) as transports:
        async with served_ssh() as seen:
            policy = TlsPolicy(mode=mode, sha256="0" * 64)
            if mode is not TlsMode.TOFU:
                async with transports.ssh(device(seen.port, tls=policy)) as ssh:
                    with pytest.raises(NotTrusted):
                        await ssh.shell(prompt=PROMPT)
                assert seen.attempts == []
                await fakes.trust.accept("gate-2", f"ssh:{seen.port}", key_sha256(KEY), "person")
            async with transports.ssh(device(seen.port, tls=policy)) as ssh:
                await ssh.shell(prompt=PROMPT)
            assert seen.attempts == ["password operator"]
        async with served_ssh(key=OTHER_KEY, port=seen.port) as again:
            async with transports.ssh(device(seen.port, tls=policy)) as ssh:
                with pytest.raises(NotTrusted) as caught:
                    await ssh.shell(prompt=PROMPT)
            assert again.connections == 1
            assert again.attempts == []
    assert (caught.value.reason, caught.value.fingerprint) == (Reason.HOST_KEY, key_sha256(OTHER_KEY))
    assert fakes.guard.sent[-1:] == [False]
