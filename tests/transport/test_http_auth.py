"""Logging in over HTTP against real servers on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from aiohttp import web

from agent.errors import CollectError, Forbidden, LoginBlocked, LoginRefused, Reason, Unreachable
from agent.model import TlsMode
from collectors.transport import open_transports, raise_for_status
from tests.transport.certs import Certificate
from tests.transport.fakes import ACCOUNT, SERVICE, WRONG, Fakes, device
from tests.transport.web import Digest, Handler, basic, hello, site

Certificates = tuple[Certificate, Certificate]


@pytest.mark.parametrize(
    ("algorithm", "qop"), [("MD5", "auth"), ("MD5", ""), ("SHA-256", "auth"), ("SHA-256", ""), ("MD5-sess", "auth"), ("SHA-256-sess", "auth")]
)
async def test_digest_logs_in_and_counts_its_nonce(fakes: Fakes, algorithm: str, qop: str) -> None:
    server = Digest(algorithm=algorithm, qop=qop)
    async with site(server) as served, open_transports(fakes.services()) as transports, transports.http(device(served.port, scheme="http")) as http:
        for _ in range(3):
            answer = await http.request("GET", "/axis-cgi/param.cgi", params="action=list&group=root.Brand%20x,root.Properties*&q=a+b")
            assert (answer.status, answer.text()) == (200, "hello")
        assert http.requests == 4
        assert len(served.connections) == 1
    assert server.counts == (["00000001", "00000002", "00000003"] if qop else [""] * 3)
    assert fakes.guard.words == ["before", "accepted"]
    assert fakes.memory.values["gate-2"]["accepted_http"] == ACCOUNT.version


async def test_the_strongest_offer_is_taken_and_the_password_itself_never_sent(fakes: Fakes, certificates: Certificates) -> None:
    server = Digest(algorithm="SHA-256", also='Digest realm="x", nonce="old", algorithm=MD5, Basic realm="x"')
    async with site(server, certificates[0].server()) as served, open_transports(fakes.services()) as transports, transports.http(device(served.port)) as http:
        assert (await http.request("GET", "/a")).status == 200
    assert all(header.startswith("Digest ") and "algorithm=SHA-256" in header for header in served.authorized)
    assert fakes.memory.values["gate-2"]["http_scheme.https"] == "digest-sha256"


async def test_a_wrong_password_sends_exactly_one_request_with_a_credential(fakes: Fakes) -> None:
    server = Digest()
    async with site(server) as served, open_transports(fakes.services()) as transports:
        bad = device(served.port, scheme="http", credential=WRONG, credentials={"http": WRONG, "service": SERVICE})
        async with transports.http(bad) as http:
            with pytest.raises(LoginRefused):
                await http.request("GET", "/a")
            for account in ("http", "service"):
                with pytest.raises(LoginBlocked):
                    await http.request("GET", "/b", account=account)
        async with transports.http(bad) as http:
            with pytest.raises(LoginBlocked):
                await http.request("GET", "/a")
        assert len(served.authorized) == 1
    assert fakes.guard.words == ["before", "refused"]


async def test_a_wrong_password_on_a_device_that_drops_the_connection_is_sent_once(fakes: Fakes, certificates: Certificates) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        if "Authorization" in request.headers:
            assert request.transport is not None
            request.transport.close()
        return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'})

    async with site(handler, certificates[0].server()) as served, open_transports(fakes.services()) as transports:
        async with transports.http(device(served.port)) as http:
            with pytest.raises(Unreachable) as caught:
                await http.request("GET", "/a")
        assert len(served.authorized) == 1
    assert caught.value.reason is Reason.RESET
    assert fakes.guard.words == ["before", "unclear"]
    assert fakes.guard.sent == [True]


async def test_a_401_after_a_good_login_is_about_rights(fakes: Fakes) -> None:
    server = Digest(forbidden=frozenset({"/admin"}))
    async with site(server) as served, open_transports(fakes.services()) as transports:
        camera = device(served.port, scheme="http")
        async with transports.http(camera) as http:
            assert (await http.request("GET", "/a")).status == 200
            with pytest.raises(Forbidden):
                await http.request("GET", "/admin")
            assert (await http.request("GET", "/a")).status == 200
        async with transports.http(camera) as http:
            with pytest.raises(Forbidden):
                await http.request("GET", "/admin")  # known: not risked as the first login of a visit
            assert http.requests == 0
            assert (await http.request("GET", "/a")).status == 200
            server.forbidden = frozenset()
            assert (await http.request("GET", "/admin")).status == 200  # rights were given: noticed once the account is proven
        assert "forbidden_http" not in fakes.memory.values["gate-2"]
    assert "refused" not in fakes.guard.words


async def test_a_password_changed_on_the_device_is_one_refusal(fakes: Fakes) -> None:
    server = Digest()
    async with site(server) as served, open_transports(fakes.services()) as transports:
        camera = device(served.port, scheme="http")
        async with transports.http(camera) as http:
            await http.request("GET", "/a")
            await http.request("GET", "/b")
        before = len(served.authorized)
        server.forbidden = frozenset({"/a", "/b"})  # from now on the device says 401 to this account everywhere
        async with transports.http(camera) as http:
            with pytest.raises(LoginRefused, match="was accepted before"):
                await http.request("GET", "/a")
            with pytest.raises(LoginBlocked):
                await http.request("GET", "/b")
        assert len(served.authorized) - before == 1


async def test_an_open_path_proves_nothing_and_gets_no_credential(fakes: Fakes, certificates: Certificates) -> None:
    closed = basic()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return await hello(request) if request.path == "/open" else await closed(request)

    async with site(handler, certificates[0].server()) as served, open_transports(fakes.services()) as transports:
        async with transports.http(device(served.port, credential=WRONG)) as http:
            assert (await http.request("GET", "/open")).status == 200
            with pytest.raises(LoginRefused):
                await http.request("GET", "/closed")
        assert [path for _, path, headers in served.requests if "authorization" in headers] == ["/closed"]


async def test_basic_is_sent_at_once_where_it_was_asked_for_before(fakes: Fakes, certificates: Certificates) -> None:
    async with site(basic(), certificates[0].server()) as served, open_transports(fakes.services()) as transports:
        for requests in (3, 2):
            async with transports.http(device(served.port)) as http:
                await http.request("GET", "/a")
                await http.request("GET", "/a")
                assert http.requests == requests
    assert fakes.guard.words == ["before", "accepted"] * 2


async def test_basic_never_goes_over_plain_http_unless_the_device_allows_it(fakes: Fakes) -> None:
    async with site(basic()) as served, open_transports(fakes.services()) as transports:
        async with transports.http(device(served.port, scheme="http")) as http:
            with pytest.raises(CollectError) as caught:
                await http.request("GET", "/a")
        assert caught.value.reason is Reason.WEAKER_SCHEME
        assert served.authorized == []
        async with transports.http(device(served.port, scheme="http", allow_basic_over_http=True)) as http:
            assert (await http.request("GET", "/a")).status == 200


async def test_a_weaker_scheme_than_before_is_refused(fakes: Fakes, certificates: Certificates) -> None:
    server = Digest(algorithm="SHA-256")
    async with site(server, certificates[0].server()) as served, open_transports(fakes.services()) as transports, transports.http(device(served.port)) as http:
        await http.request("GET", "/a")
    for weaker in (basic(), Digest(algorithm="MD5")):
        async with site(weaker, certificates[0].server()) as served, open_transports(fakes.services()) as transports:
            async with transports.http(device(served.port)) as http:
                with pytest.raises(CollectError) as caught:
                    await http.request("GET", "/a")
            assert caught.value.reason is Reason.WEAKER_SCHEME
            assert served.authorized == []
    async with (
        site(basic()) as served,
        open_transports(fakes.services()) as transports,
        transports.http(device(served.port, scheme="http", allow_basic_over_http=True)) as http,
    ):  # the other URL scheme has its own memory
        assert (await http.request("GET", "/a")).status == 200


async def test_a_device_that_moves_from_basic_to_digest_is_followed(fakes: Fakes, certificates: Certificates) -> None:
    servers: Iterator[Handler] = iter([basic(), Digest()])
    current = next(servers)

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return await current(request)

    async with site(handler, certificates[0].server()) as served, open_transports(fakes.services()) as transports:
        for _ in range(2):
            async with transports.http(device(served.port)) as http:
                assert (await http.request("GET", "/a")).status == 200
            current = next(servers, current)
    assert "refused" not in fakes.guard.words


async def test_a_stale_nonce_is_answered_silently(fakes: Fakes) -> None:
    server = Digest(lifetime=2)
    async with site(server) as served, open_transports(fakes.services()) as transports, transports.http(device(served.port, scheme="http")) as http:
        for _ in range(5):
            assert (await http.request("GET", "/a")).status == 200
    assert fakes.guard.words == ["before", "accepted"]
    assert fakes.memory.values["gate-2"]["digest_stale"] == "yes"


async def test_a_one_time_nonce_without_stale_does_not_look_like_a_refusal(fakes: Fakes) -> None:
    server = Digest(lifetime=1, says_stale=False)
    async with site(server) as served, open_transports(fakes.services()) as transports, transports.http(device(served.port, scheme="http")) as http:
        for _ in range(3):
            assert (await http.request("GET", "/a")).status == 200
    assert fakes.guard.words == ["before", "accepted"]


@pytest.mark.parametrize("says_stale", [True, False])
async def test_a_nonce_is_kept_between_visits_only_for_a_device_that_says_stale(fakes: Fakes, says_stale: bool) -> None:
    server = Digest(lifetime=2, says_stale=says_stale)
    async with site(server) as served, open_transports(fakes.services()) as transports:
        camera = device(served.port, scheme="http")
        async with transports.http(camera) as http:
            for _ in range(3):
                await http.request("GET", "/a")
        server.lifetime = 100
        async with transports.http(camera) as http:
            await http.request("GET", "/a")
            assert http.requests == (1 if says_stale else 2)
        server.forget()  # the device restarted
        async with transports.http(camera) as http:
            assert (await http.request("GET", "/a")).status == 200
    assert "refused" not in fakes.guard.words


async def test_a_device_that_calls_every_nonce_stale_ends_in_an_error(fakes: Fakes) -> None:
    async with site(Digest(lifetime=0)) as served, open_transports(fakes.services()) as transports, transports.http(device(served.port, scheme="http")) as http:
        with pytest.raises(CollectError) as caught:
            await http.request("GET", "/a")
    assert caught.value.reason is Reason.AUTH
    assert fakes.guard.words == ["before", "unclear"]
    assert fakes.guard.sent == [True]


@pytest.mark.parametrize("status", [500, 503, 429])
async def test_an_overload_says_nothing_about_the_credential(fakes: Fakes, certificates: Certificates, status: int) -> None:
    async def overloaded(_request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=status)

    async with (
        site(basic(overloaded), certificates[0].server()) as served,
        open_transports(fakes.services()) as transports,
        transports.http(device(served.port)) as http,
    ):
        assert (await http.request("GET", "/a")).status == status
    assert fakes.guard.words == ["before", "unclear"]
    assert fakes.guard.sent == [False]
    assert "accepted_http" not in fakes.memory.values["gate-2"]


async def test_a_403_proves_the_credential_and_is_an_answer(fakes: Fakes, certificates: Certificates) -> None:
    async def no(_request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=403)

    async with (
        site(basic(no), certificates[0].server()) as served,
        open_transports(fakes.services()) as transports,
        transports.http(device(served.port)) as http,
    ):
        answer = await http.request("GET", "/a")
    with pytest.raises(Forbidden):
        raise_for_status(answer)
    assert fakes.guard.words == ["before", "accepted"]


async def test_a_time_out_after_the_credential_was_sent_is_unclear(fakes: Fakes, certificates: Certificates) -> None:
    async def slow(_request: web.BaseRequest) -> web.StreamResponse:
        await asyncio.sleep(30)
        return web.Response()

    async with (
        site(basic(slow), certificates[0].server()) as served,
        open_transports(fakes.services(timeout=0.3)) as transports,
        transports.http(device(served.port)) as http,
    ):
        with pytest.raises(Unreachable) as caught:
            await http.request("GET", "/a")
    assert caught.value.reason is Reason.TIMEOUT
    assert fakes.guard.words == ["before", "unclear"]
    assert fakes.guard.sent == [True]


async def test_a_cancelled_attempt_is_unclear(fakes: Fakes, certificates: Certificates) -> None:
    arrived = asyncio.Event()

    async def slow(_request: web.BaseRequest) -> web.StreamResponse:
        arrived.set()
        await asyncio.sleep(30)
        return web.Response()

    async with (
        site(basic(slow), certificates[0].server()) as served,
        open_transports(fakes.services()) as transports,
        transports.http(device(served.port)) as http,
    ):
        task = asyncio.create_task(http.request("GET", "/a"))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert fakes.guard.words == ["before", "unclear"]
    assert fakes.guard.sent == [True]


async def test_a_credential_that_never_went_out_is_not_counted(fakes: Fakes, certificates: Certificates, unused_tcp_port: int) -> None:
    """The path is known to ask for a credential, so the first request would carry it: refused, silent in TLS, and cancelled there."""
    arrived, gone = asyncio.Event(), asyncio.Semaphore(0)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await reader.read()
        writer.close()
        gone.release()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with (
        server,
        site(basic(), certificates[0].server()) as served,
        open_transports(fakes.services(timeout=0.3)) as transports,
    ):
        async with transports.http(device(served.port)) as http:
            await http.request("GET", "/a")
        for closed, expected in ((unused_tcp_port, Reason.REFUSED), (port, Reason.TIMEOUT)):
            async with transports.http(device(closed)) as http:
                with pytest.raises(Unreachable) as caught:
                    await http.request("GET", "/a")
            assert (caught.value.reason, caught.value.sent, http.sent) == (expected, False, False)
        arrived.clear()
        async with transports.http(device(port)) as http:
            task = asyncio.create_task(http.request("GET", "/a", timeout=5))
            await arrived.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        for _ in range(2):
            await gone.acquire()
    assert fakes.guard.words == ["before", "accepted", *["before", "unclear"] * 3]
    assert fakes.guard.sent == [False] * 3


async def test_a_challenge_that_must_not_be_taken_up_may_have_been_a_refusal(fakes: Fakes) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("Authorization"):
            return web.Response(status=401, headers={"WWW-Authenticate": 'Digest realm="x", nonce="n2", algorithm=MD5, qop="auth", stale=true'})
        return Digest(algorithm="SHA-256").challenge()

    async with site(handler) as served, open_transports(fakes.services()) as transports, transports.http(device(served.port, scheme="http")) as http:
        with pytest.raises(CollectError) as caught:
            await http.request("GET", "/a")
    assert caught.value.reason is Reason.WEAKER_SCHEME
    assert (fakes.guard.words, fakes.guard.sent) == (["before", "unclear"], [True])


async def test_a_role_without_a_credential_says_so_before_anything_is_sent(fakes: Fakes) -> None:
    async with site(hello) as served, open_transports(fakes.services()) as transports:
        async with transports.http(device(served.port, scheme="http")) as http:
            with pytest.raises(CollectError) as caught:
                await http.request("GET", "/a", account="service")
        assert served.requests == []
    assert caught.value.reason is Reason.NO_CREDENTIAL


async def test_without_an_account_a_401_is_an_answer(fakes: Fakes) -> None:
    async with site(basic()) as served, open_transports(fakes.services()) as transports, transports.http(device(served.port, scheme="http")) as http:
        assert (await http.request("GET", "/a", account="")).status == 401
    assert fakes.guard.calls == []


async def test_requests_of_one_visit_at_the_same_time_make_one_attempt(fakes: Fakes) -> None:
    async with site(Digest()) as served, open_transports(fakes.services()) as transports:
        async with transports.http(device(served.port, scheme="http", credential=WRONG)) as http:
            results = await asyncio.gather(*(http.request("GET", f"/{n}") for n in range(4)), return_exceptions=True)
        assert len(served.authorized) == 1
    assert sorted(type(result).__name__ for result in results) == ["LoginBlocked"] * 3 + ["LoginRefused"]


async def test_no_error_and_nothing_behind_it_shows_a_secret(fakes: Fakes, certificates: Certificates) -> None:
    async def garbage(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(b"HTTP/9.9 what\r\n\r\n")
        return web.Response()

    secrets = ("s3cret", "T3BlcmF0b3I", "Basic b")
    async with (
        site(basic(garbage), certificates[0].server()) as served,
        open_transports(fakes.services()) as transports,
        transports.http(device(served.port, mode=TlsMode.INSECURE)) as http,
    ):
        with pytest.raises(CollectError) as caught:
            await http.request("GET", "/a")
    error: BaseException | None = caught.value
    seen = []
    while error is not None:
        seen.append(repr(error) + str(error) + repr(error.args))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    assert not any(secret in text for secret in secrets for text in seen)
