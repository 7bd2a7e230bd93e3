from __future__ import annotations

import asyncio
import re
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.axis import auth
from simulator.axis.auth import BadAuthorization, digest_response, parse_digest
from simulator.axis.generation import Policy
from simulator.axis.product import DOME_10, DOME_11, IO_MODULE, LEGACY_CAMERA, PTZ_12, Product
from tests.simulator.axis_http import StillClock, Visitor, visiting

GROUP = "/axis-cgi/usergroup.cgi"


async def schemes(visitor: Visitor, *, secure: bool) -> list[str]:
    answer = await visitor.ask(GROUP, secure=secure)
    assert answer.status == 401
    return [value.split(" ")[0] for key, value in answer.headers if key.lower() == "www-authenticate"]


@pytest.mark.parametrize(
    ("policy", "on_http", "on_https"),
    [
        (Policy.BASIC, ["Basic"], ["Basic"]),
        (Policy.DIGEST, ["Digest"], ["Digest"]),
        (Policy.BASIC_DIGEST, ["Digest", "Basic"], ["Digest", "Basic"]),
        (Policy.RECOMMENDED, ["Digest"], ["Basic"]),
    ],
)
async def test_the_policy_decides_what_is_offered_where(policy: Policy, on_http: list[str], on_https: list[str]) -> None:
    async with visiting(policy=policy) as visitor:
        assert await schemes(visitor, secure=False) == on_http
        assert await schemes(visitor, secure=True) == on_https
        assert visitor.device.counters.challenges == 2
        assert visitor.device.counters.refused_logins == 0


async def test_a_newer_generation_answers_401_in_json_and_older_ones_in_html() -> None:
    async with visiting(PTZ_12) as visitor:
        assert (await visitor.ask(GROUP)).header("Content-Type").startswith("application/json")
    async with visiting(DOME_11) as visitor:
        assert (await visitor.ask(GROUP)).header("Content-Type").startswith("text/html")


async def test_the_challenge_names_the_serial_number_and_an_independent_client_answers_it() -> None:
    async with visiting(PTZ_12, serial="B8A44F00C0DE") as visitor:
        challenge = (await visitor.ask(GROUP, secure=False)).header("WWW-Authenticate")
        assert 'realm="AXIS_B8A44F00C0DE"' in challenge
        assert 'qop="auth"' in challenge
        assert "algorithm=MD5" in challenge
        answer = await visitor.ask(GROUP + "?a=b%20c&d=%2F", secure=False, user="operator", scheme="digest")
        assert (answer.status, answer.text.splitlines()[0]) == (200, "operator")


async def test_a_device_without_qop_is_answered_in_the_old_way() -> None:
    async with visiting(LEGACY_CAMERA) as visitor:
        challenge = parse_digest(next(v for k, v in (await visitor.ask(GROUP, secure=False)).headers if k == "WWW-Authenticate"))
        assert "qop" not in challenge
        response = {"username": "root", "uri": GROUP, "nonce": challenge["nonce"], "realm": challenge["realm"]}
        response["response"] = digest_response(response, method="GET", realm=challenge["realm"], password=visitor.device.accounts["root"].password)
        assert (await visitor.ask(GROUP, secure=False, headers={"Authorization": header(response)})).status == 200


def header(parameters: dict[str, str]) -> str:
    return "Digest " + ", ".join(f'{name}="{value}"' if name not in {"nc", "qop", "algorithm"} else f"{name}={value}" for name, value in parameters.items())


async def answered(visitor: Visitor, *, password: str | None = None, method: str = "GET", **changes: str) -> Any:
    """Answer a fresh challenge (or the `nonce` given) by hand."""
    challenge = parse_digest((await visitor.ask(GROUP, secure=False)).header("WWW-Authenticate"))
    own = {"username": "root", "realm": challenge["realm"], "nonce": challenge["nonce"], "uri": GROUP, "qop": "auth", "nc": "00000001", "cnonce": "c0ffee"}
    own |= changes
    own["response"] = digest_response(own, method=method, realm=challenge["realm"], password=password or visitor.device.accounts["root"].password)
    return own, await visitor.ask(GROUP, secure=False, headers={"Authorization": header(own)})


async def test_a_nonce_count_can_be_used_once_and_the_next_one_goes_on() -> None:
    async with visiting(DOME_10) as visitor:
        own, first = await answered(visitor)
        assert first.status == 200
        replayed = await visitor.ask(GROUP, secure=False, headers={"Authorization": header(own)})
        assert replayed.status == 401
        assert "stale=true" in replayed.header("WWW-Authenticate")
        _, second = await answered(visitor, nonce=own["nonce"], nc="00000002")
        assert second.status == 200
        assert visitor.device.counters.refused_logins == 0


async def test_a_nonce_grows_stale_and_that_is_no_refused_login() -> None:
    clock = StillClock()
    async with visiting(DOME_10, clock=clock) as visitor:
        own, first = await answered(visitor)
        assert first.status == 200
        clock.passed += 301
        _, late = await answered(visitor, nonce=own["nonce"], nc="00000002")
        assert "stale=true" in late.header("WWW-Authenticate")
        _, invented = await answered(visitor, nonce="bm90IG91cnM=")
        assert "stale=true" in invented.header("WWW-Authenticate")
        assert visitor.device.counters.refused_logins == 0


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"password": "wrong"}, 401),
        ({"username": "nobody"}, 401),
        ({"uri": "/axis-cgi/other.cgi"}, 400),
        ({"realm": "AXIS_000000000000"}, 401),
        ({"nc": "1"}, 400),
    ],
)
async def test_what_does_not_belong_to_the_challenge_is_refused(changes: dict[str, str], status: int) -> None:
    async with visiting(DOME_10) as visitor:
        _, answer = await answered(visitor, **changes)
        assert answer.status == status
        assert "stale" not in answer.header("WWW-Authenticate")
        assert visitor.device.counters.refused_logins == (1 if status == 401 else 0)


async def test_a_scheme_that_is_not_offered_is_not_looked_at() -> None:
    async with visiting(PTZ_12) as visitor:
        assert (await visitor.ask(GROUP, secure=False, user="root", scheme="basic")).status == 401
        assert visitor.device.counters.refused_logins == 0
        assert (await visitor.ask(GROUP, user="root", password="wrong")).status == 401
        assert visitor.device.counters.refused_logins == 1


@pytest.mark.parametrize(("product", "status"), [(PTZ_12, 403), (DOME_11, 401)])
async def test_an_account_that_may_not_is_told_by_generation(product: Product, status: int) -> None:
    async with visiting(product) as visitor:
        answer = await visitor.ask("/axis-cgi/firmwaremanagement.cgi", user="operator", body={"apiVersion": "1.0", "method": "status"})
        assert answer.status == status
        assert (visitor.device.counters.forbidden, visitor.device.counters.refused_logins) == (1, 0)
        assert (await visitor.call("firmwaremanagement", "status"))["data"]["activeFirmwareVersion"] == product.firmware


async def test_wrong_credentials_for_what_needs_none_are_not_looked_at_but_refused_where_one_is_needed() -> None:
    async with visiting() as visitor:
        body = {"apiVersion": "1.0", "method": "getAllUnrestrictedProperties"}
        assert (await visitor.ask("/axis-cgi/basicdeviceinfo.cgi", user="root", password="wrong", body=body)).status == 200
        assert visitor.device.counters.refused_logins == 0
        body["method"] = "getAllProperties"
        assert (await visitor.ask("/axis-cgi/basicdeviceinfo.cgi", user="root", password="wrong", body=body)).status == 401
        assert visitor.device.counters.refused_logins == 1


async def test_twenty_refused_logins_in_a_second_shut_the_client_out_for_ten_seconds() -> None:
    clock = StillClock()
    async with visiting(clock=clock) as visitor:
        for _ in range(20):
            assert (await visitor.ask(GROUP, user="root", password="wrong")).status == 401
        assert (await visitor.ask(GROUP, user="root")).status == 403
        assert visitor.device.counters.throttled == 1
        clock.passed += 9.9
        assert (await visitor.ask(GROUP, user="root")).status == 403
        clock.passed += 0.2
        assert (await visitor.ask(GROUP, user="root")).status == 200


async def test_the_same_number_spread_over_time_shuts_nobody_out_and_an_old_device_never_does() -> None:
    clock = StillClock()
    async with visiting(clock=clock) as visitor:
        for _ in range(40):
            clock.passed += 0.06
            await visitor.ask(GROUP, user="root", password="wrong")
        assert (await visitor.ask(GROUP, user="root")).status == 200
    async with visiting(IO_MODULE) as visitor:
        await asyncio.gather(*(visitor.ask(GROUP, user="root", password="wrong") for _ in range(30)))
        assert (await visitor.ask(GROUP, user="root")).status == 200
        assert visitor.device.counters.refused_logins == 30


# --- the parser -------------------------------------------------------------------------------------------------------

_names = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=12)
_values = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), max_size=20)


@given(st.dictionaries(_names.map(str.lower), _values))
def test_what_is_quoted_is_read_back(parameters: dict[str, str]) -> None:
    def quoted(value: str) -> str:
        return re.sub(r'(["\\])', r"\\\1", value)

    text = "Digest " + ", ".join(f'{name}="{quoted(value)}"' for name, value in parameters.items())
    assert parse_digest(text) == parameters


@given(st.one_of(st.text(), st.text().map("Digest ".__add__)))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = parse_digest(text)
    except BadAuthorization:
        found = {}
    assert all(name == name.lower() for name in found)


def test_a_parameter_that_comes_twice_is_refused() -> None:
    with pytest.raises(BadAuthorization, match="twice"):
        parse_digest('Digest a="1", A="2"')


def test_the_response_is_that_of_the_example_in_rfc_2617() -> None:
    given = {
        "username": "Mufasa",
        "uri": "/dir/index.html",
        "nonce": "dcd98b7102dd2f0e8b11d0f600bfb0c093",
        "qop": "auth",
        "nc": "00000001",
        "cnonce": "0a4f113b",
    }
    assert digest_response(given, method="GET", realm="testrealm@host.com", password="Circle Of Life") == "6629fae49393a05397450978507c4ef1"


def test_roles_include_each_other() -> None:
    assert auth.Role.ANONYMOUS < auth.Role.VIEWER < auth.Role.OPERATOR < auth.Role.ADMINISTRATOR
