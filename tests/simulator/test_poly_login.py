"""Login, token, refusals and lockouts of the simulated Poly devices."""

from __future__ import annotations

import asyncssh
import pytest

from simulator.poly import LockoutPolicy, Tuning
from tests.simulator.poly_client import PASSWORD, HandClock, a_device, visiting


async def test_a_login_answers_with_the_session_and_an_unquoted_cookie() -> None:
    async with visiting(a_device("x70")) as visitor:
        reply = await visitor.login()
        assert reply.status == 200
        assert reply.json["success"] is True
        assert reply.json["loginStatus"]["loginResult"] == "NOLOCKOUT"
        assert reply.json["session"]["clientType"] == "WEB"
        assert reply.cookies["session_id"] == reply.json["session"]["sessionId"]
        assert reply.cookies["session_id"].endswith("=")
        assert reply.cookies["XSRF-TOKEN"]
        assert visitor.device.counters.logins_ok == {"http": 1}


@pytest.mark.parametrize(
    ("profile", "status", "reason"),
    [
        ("x30-3.10", 400, "SessionRequestInvalid"),
        ("x30", 200, None),
        ("x50-tc8", 403, "SessionInvalidUserNamePassword"),
        ("x70", 403, "SessionInvalidUserNamePassword"),
    ],
)
async def test_each_firmware_refuses_a_wrong_password_in_its_own_way(profile: str, status: int, reason: str | None) -> None:
    async with visiting(a_device(profile)) as visitor:
        reply = await visitor.login("wrong")
        assert reply.status == status
        assert reply.json["success"] is False
        assert reply.json.get("reason") == reason
        assert reply.json["loginStatus"]["failedLogins"] == 1
        assert not reply.cookies
        assert visitor.device.counters.logins_refused == {"http": 1}


@pytest.mark.parametrize("body", [b"", b"null", b"{}", b'{"user":"admin"}', b"user=admin&password=x"])
async def test_a_malformed_login_is_a_bad_request_and_no_refused_login(body: bytes) -> None:
    async with visiting(a_device()) as visitor:
        reply = await visitor.call("POST", "/rest/session", body=body)
        assert (reply.status, reply.json["reason"]) == (400, "SessionRequestInvalid")
        assert not visitor.device.counters.logins_refused


@pytest.mark.parametrize(("profile", "call", "logout"), [("x30-3.10", 200, 200), ("x30", 200, 200), ("x50-tc8", 403, 200), ("x70", 403, 403)])
async def test_calls_without_the_token_are_refused_as_the_firmware_has_it(profile: str, call: int, logout: int) -> None:
    async with visiting(a_device(profile)) as visitor:
        await visitor.login()
        assert (await visitor.call("GET", "/rest/system", token="")).status == call
        assert (await visitor.call("DELETE", "/rest/session", token="")).status == logout


async def test_the_newest_firmware_wants_both_cookies_and_the_header_to_match() -> None:
    async with visiting(a_device("x70")) as visitor:
        await visitor.login()
        both = dict(visitor.cookies)
        for cookies, token in (
            ({"session_id": both["session_id"]}, both["XSRF-TOKEN"]),
            (both, "0" * 32),
            (both | {"XSRF-TOKEN": "0" * 32}, "0" * 32),
            ({"XSRF-TOKEN": both["XSRF-TOKEN"]}, both["XSRF-TOKEN"]),
        ):
            reply = await visitor.call("GET", "/rest/system", cookies=cookies, token=token)
            assert reply.status == 403
            assert reply.body.startswith(b"<!DOCTYPE html>")
        assert (await visitor.get("/rest/system")).status == 200


async def test_the_token_rotates_with_every_answer_and_an_old_one_is_refused() -> None:
    async with visiting(a_device("x70")) as visitor:
        await visitor.login()
        first = dict(visitor.cookies)
        for _ in range(3):
            before = visitor.cookies["XSRF-TOKEN"]
            assert (await visitor.get("/rest/system")).status == 200
            assert visitor.cookies["XSRF-TOKEN"] != before
        assert (await visitor.call("GET", "/rest/system", cookies=first)).status == 403


async def test_earlier_tokens_are_taken_as_far_as_the_tuning_says() -> None:
    async with visiting(a_device("x70", tuning=Tuning(stale_tokens=1))) as visitor:
        await visitor.login()
        first = dict(visitor.cookies)
        await visitor.get("/rest/system")
        assert (await visitor.call("GET", "/rest/system", cookies=first)).status == 200
        assert (await visitor.call("GET", "/rest/system", cookies=first)).status == 403


async def test_older_firmware_offers_the_token_as_a_header_or_not_at_all() -> None:
    async with visiting(a_device("x30")) as visitor:
        reply = await visitor.login()
        assert reply.headers["X-XSRF-Token"] != (await visitor.get("/rest/system")).headers["X-XSRF-Token"]
        assert "XSRF-TOKEN" not in reply.cookies
    async with visiting(a_device("x30-3.10")) as visitor:
        reply = await visitor.login()
        assert "X-XSRF-Token" not in reply.headers
        assert "XSRF-TOKEN" not in reply.cookies


async def test_a_quoted_or_encoded_cookie_is_another_value() -> None:
    async with visiting(a_device("x30")) as visitor:
        await visitor.login()
        identifier = visitor.cookies["session_id"]
        for spoilt in (f'"{identifier}"', identifier.replace("=", "%3D")):
            assert (await visitor.call("GET", "/rest/system", cookies={"session_id": spoilt})).status == 403


async def test_both_spellings_of_a_path_are_the_same() -> None:
    async with visiting(a_device("x30")) as visitor:
        await visitor.post("/rest/current/session", {"user": "admin", "password": PASSWORD})
        assert (await visitor.get("/rest/current/audio")).body == (await visitor.get("/rest/audio")).body
        assert visitor.device.counters.requests["GET", "/rest/audio"] == 2


@pytest.mark.parametrize(("profile", "html"), [("x30-3.10", True), ("x30", False), ("x50-tc8", False), ("x70", True)])
async def test_a_bad_session_is_forbidden_with_a_page_or_with_json(profile: str, html: bool) -> None:
    async with visiting(a_device(profile)) as visitor:
        reply = await visitor.get("/rest/system")
        assert reply.status == 403
        assert reply.body.startswith(b"<!DOCTYPE") is html
        if not html:
            assert reply.json["reason"] == "SessionNoActiveSession"


async def test_a_logout_ends_the_session_and_cannot_be_done_twice() -> None:
    async with visiting(a_device("x30-3.10")) as visitor:
        await visitor.login()
        assert (await visitor.call("DELETE", "/rest/session")).status == 200
        assert len(visitor.device.sessions) == 0
        assert (await visitor.get("/rest/system")).status == 403
        again = await visitor.call("DELETE", "/rest/session")
        assert (again.status, again.json["reason"]) == (400, "SessionNoActiveSession")


async def test_a_login_with_a_live_session_says_that_there_is_one() -> None:
    async with visiting(a_device("x30")) as visitor:
        await visitor.login()
        reply = await visitor.login()
        assert (reply.status, reply.json["reason"]) == (400, "SessionAlreadyActive")


async def test_too_many_refusals_lock_the_port_even_for_the_right_password_until_the_time_is_over() -> None:
    clock = HandClock()
    tuning = Tuning(web_lockout=LockoutPolicy(attempts=3, lock_time=60), account_lockout=LockoutPolicy(attempts=None))
    async with visiting(a_device("x70", clock=clock, tuning=tuning)) as visitor:
        for _ in range(3):
            await visitor.login("wrong")
        reply = await visitor.login()
        assert (reply.status, reply.json["reason"]) == (400, "SessionPortLockout")
        assert reply.json["loginStatus"]["loginResult"] != "NOLOCKOUT"
        clock.turn(59)
        assert (await visitor.login()).status == 400
        clock.turn(1)
        assert (await visitor.login()).status == 200


async def test_failures_outside_the_window_do_not_lock() -> None:
    clock = HandClock()
    tuning = Tuning(web_lockout=LockoutPolicy(attempts=2, window=3600), account_lockout=LockoutPolicy(attempts=None))
    async with visiting(a_device("x70", clock=clock, tuning=tuning)) as visitor:
        await visitor.login("wrong")
        clock.turn(3601)
        await visitor.login("wrong")
        assert (await visitor.login()).status == 200


async def test_refusals_over_ssh_lock_the_account_for_the_web_too() -> None:
    clock = HandClock()
    tuning = Tuning(account_lockout=LockoutPolicy(attempts=2, lock_time=60))
    async with visiting(a_device("x70", clock=clock, tuning=tuning)) as visitor:
        for _ in range(2):
            with pytest.raises(asyncssh.PermissionDenied):
                async with visitor.shell("wrong"):
                    pass
        assert visitor.device.counters.logins_refused == {"ssh": 2}
        reply = await visitor.login()
        assert (reply.status, reply.json["reason"]) == (403, "SessionInvalidUserNamePassword")
        assert reply.json["loginStatus"]["loginResult"] != "NOLOCKOUT"
        clock.turn(60)
        assert (await visitor.login()).status == 200


async def test_a_changed_password_refuses_the_old_one_until_it_is_mended() -> None:
    async with visiting(a_device("x70")) as visitor:
        await visitor.device.switch("wrong_password", True)
        assert (await visitor.login()).status == 403
        await visitor.device.switch("wrong_password", False)
        assert (await visitor.login()).status == 200
