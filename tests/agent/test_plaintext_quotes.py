"""Quoted values with quotes and backslashes in them: nothing of them stays, and what follows them does."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.diagnosis.plaintext import SCRUB_PIECE, scrub


@pytest.mark.parametrize("secret", ['ab"cdef', "ab\\", '\\"ab"', "ab'cd\\'ef", '"""ab"""', "a\\\\b", "plain"])
def test_a_value_in_json_goes_whole_and_what_follows_stays(secret: str) -> None:
    kept = scrub(json.dumps({"sip_password": secret, "host": "pbx.example.org"}).encode())
    assert json.loads(kept) == {"sip_password": "***", "host": "pbx.example.org"}


@given(st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S")), min_size=1, max_size=40))
def test_any_value_in_json_goes_whole(secret: str) -> None:
    assert json.loads(scrub(json.dumps({"password": secret, "host": "a"}).encode())) == {"password": "***", "host": "a"}


@pytest.mark.parametrize("line", [b'pwd: "x\\"\n', b"password='C:\\' ok\n"])
def test_a_value_that_ends_with_a_backslash_of_its_own_goes_too(line: bytes) -> None:
    assert b"x\\" not in scrub(line)
    assert b"C:" not in scrub(line)


def test_backslashes_without_an_end_cost_no_more_than_their_length() -> None:
    line = b'"password": "' + b"\\" * (SCRUB_PIECE - 100) + b"\n"
    assert len(scrub(line)) <= len(line)
