"""Reading answers: text, JSON, status."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from agent.errors import BadPayload, Busy, CollectError, Forbidden, NotSupported, Reason
from collectors.transport import HttpAnswer, parse_json, raise_for_status


def answer(body: bytes = b"", *, status: int = 200, **headers: str) -> HttpAnswer:
    return HttpAnswer(
        status=status, body=body, headers=CIMultiDictProxy(CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()})), request="GET x/y"
    )


@pytest.mark.parametrize(
    ("body", "content_type", "expected"),
    [
        ("zażółć".encode(), "text/plain", "zażółć"),
        ("zażółć".encode("iso-8859-2"), 'text/plain; charset="ISO-8859-2"', "zażółć"),
        ("café".encode("latin-1"), "text/html", "café"),
        ("café".encode("latin-1"), "text/html; charset=utf-8", "café"),
        ("café".encode(), "text/html; charset=no-such-thing", "café"),
        (b"x", "text/html; charset=", "x"),
        (b"x", "text/html; charset=\x00", "x"),
    ],
)
def test_text_takes_the_declared_charset_then_utf_8_then_latin_1(body: bytes, content_type: str, expected: str) -> None:
    assert answer(body, content_type=content_type).text() == expected


@given(st.binary(max_size=200), st.text(max_size=20))
def test_every_body_has_a_text_and_json_or_bad_payload(body: bytes, charset: str) -> None:
    given_answer = answer(body, content_type=f"application/json; charset={charset}")
    given_answer.text()
    with contextlib.suppress(BadPayload):
        given_answer.json()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)


@given(JSON)
def test_json_comes_back(value: object) -> None:
    assert answer(json.dumps(value).encode()).json() == value


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"{", b"NaN", b"[Infinity]", b"\xff\xfe\xfd", b"[" * 100_000, b'{"a":' * 70 + b"1" + b"}" * 70, b"[" * 66 + b"]" * 66, b"1" * 5000]
)
def test_what_is_no_json_is_a_bad_payload_without_the_body_in_its_text(body: bytes) -> None:
    with pytest.raises(BadPayload) as caught:
        answer(body).json()
    assert "GET x/y" in caught.value.detail
    assert len(caught.value.detail) < 200


def test_nesting_that_devices_do_use_is_fine() -> None:
    assert parse_json("[" * 60 + "]" * 60)


@pytest.mark.parametrize(
    ("status", "error", "reason"),
    [
        (403, Forbidden, Reason.FORBIDDEN),
        (404, NotSupported, Reason.NOT_SUPPORTED),
        (405, NotSupported, Reason.NOT_SUPPORTED),
        (410, NotSupported, Reason.NOT_SUPPORTED),
        (501, NotSupported, Reason.NOT_SUPPORTED),
        (503, Busy, Reason.BOOTING),
        (302, CollectError, Reason.HTTP_STATUS),
        (500, CollectError, Reason.HTTP_STATUS),
    ],
)
def test_a_status_means_an_error(status: int, error: type[CollectError], reason: Reason) -> None:
    with pytest.raises(error) as caught:
        raise_for_status(answer(status=status))
    assert caught.value.reason is reason
    assert str(status) in caught.value.detail


def test_2xx_is_fine_and_retry_after_is_kept() -> None:
    raise_for_status(answer(status=204))
    with pytest.raises(Busy) as caught:
        raise_for_status(answer(status=503, retry_after="30"))
    assert caught.value.retry_after == 30.0
    with pytest.raises(Busy) as caught:
        raise_for_status(answer(status=503, retry_after="Wed, 21 Oct 2026 07:28:00 GMT"))
    assert caught.value.retry_after is None
