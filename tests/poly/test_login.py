"""What the answers to a login mean."""

from __future__ import annotations

import json
from typing import Any

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from collectors.poly.login import Verdict, cookies, judge, token_of
from collectors.transport import HttpAnswer


def answer(status: int, body: Any = None, *headers: tuple[str, str]) -> HttpAnswer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpAnswer(status=status, body=raw, headers=CIMultiDictProxy(CIMultiDict(headers)))


OPEN = {"loginStatus": {"loginResult": "NOLOCKOUT"}, "session": {"sessionId": "PSab+/="}, "success": True}


@pytest.mark.parametrize(
    ("given", "verdict"),
    [
        (answer(200, OPEN), Verdict.IN),
        (answer(202, OPEN), Verdict.IN),
        (answer(200, {"success": False}), Verdict.REFUSED),
        (answer(200, {"success": False, "loginStatus": {"loginResult": "PORTLOCKOUT"}}), Verdict.LOCKED),
        (answer(200, {"success": False, "reason": "SessionMaxActiveSessionsReached"}), Verdict.FULL),
        (answer(403, {"reason": "SessionInvalidUserNamePassword"}), Verdict.REFUSED),
        (answer(403, {"reason": "SessionMaxActiveSessionsReached"}), Verdict.FULL),
        (answer(400, {"reason": "SessionRequestInvalid"}), Verdict.REFUSED),
        (answer(400, {"reason": "SessionPortLockout"}), Verdict.LOCKED),
        (answer(400, {"reason": "SessionAlreadyActive"}), Verdict.HELD),
        (answer(412, {"reason": "SessionAlreadyActive"}), Verdict.HELD),
        (answer(401, b""), Verdict.REFUSED),
        (answer(403, b"<html>403</html>"), Verdict.ODD),
        (answer(400, b""), Verdict.ODD),
        (answer(200, b"<html>starting</html>"), Verdict.ODD),
        (answer(200, {"success": True}), Verdict.ODD),
        (answer(404, b""), Verdict.LATER),
        (answer(503, b""), Verdict.LATER),
        (answer(302, b""), Verdict.LATER),
    ],
)
def test_each_answer_has_its_meaning(given: HttpAnswer, verdict: Verdict) -> None:
    assert judge(given).verdict is verdict


def test_the_session_and_the_token_come_byte_for_byte() -> None:
    given = answer(200, OPEN, ("Set-Cookie", "session_id=PS+x/y==; Path=/; Secure"), ("Set-Cookie", "XSRF-TOKEN=abc123; Path=/"))
    entry = judge(given)
    assert (entry.session_id, entry.token) == ("PS+x/y==", "abc123")
    assert cookies(given) == {"session_id": "PS+x/y==", "XSRF-TOKEN": "abc123"}


def test_without_a_cookie_the_id_of_the_body_is_used_and_an_older_token_comes_as_a_header() -> None:
    entry = judge(answer(200, OPEN, ("X-XSRF-Token", "fedcba")))
    assert (entry.session_id, entry.token) == ("PSab+/=", "fedcba")


def test_a_quoted_cookie_is_unquoted_and_what_could_split_a_header_is_refused() -> None:
    assert cookies(answer(200, {}, ("Set-Cookie", 'XSRF-TOKEN="q1w2"; Path=/')))["XSRF-TOKEN"] == "q1w2"
    assert token_of(answer(200, {}, ("X-XSRF-Token", "a;b"))) == ""
    assert judge(answer(200, {"session": {"sessionId": "a b"}, "success": True})).verdict is Verdict.ODD
