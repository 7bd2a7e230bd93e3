"""The pure parts of logging in: RFC examples, and challenges of any shape."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.transport.challenge import Challenge, Scheme, parse_challenges, strongest
from collectors.transport.digest import new_session

RFC7616 = Challenge(
    scheme=Scheme.DIGEST_MD5,
    realm="http-auth@example.org",
    nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
    opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS",
    algorithm="MD5",
    qop="auth",
)


def response_of(header: str) -> str:
    found = re.search(r'response="([0-9a-f]+)"', header)
    assert found
    return found[1]


@pytest.mark.parametrize(
    ("scheme", "algorithm", "expected"),
    [
        (Scheme.DIGEST_MD5, "MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        (Scheme.DIGEST_SHA256, "SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_examples_of_rfc_7616(scheme: Scheme, algorithm: str, expected: str) -> None:
    session = new_session(replace(RFC7616, scheme=scheme, algorithm=algorithm), "Mufasa", "Circle of Life")
    session.cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    header = session.authorization("GET", "/dir/index.html")
    assert response_of(header) == expected
    assert f'opaque="{RFC7616.opaque}"' in header
    assert "nc=00000001" in header


def test_the_example_of_rfc_2617() -> None:
    challenge = Challenge(
        scheme=Scheme.DIGEST_MD5, realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41", qop="auth"
    )
    session = new_session(challenge, "Mufasa", "Circle Of Life")
    session.cnonce = "0a4f113b"
    header = session.authorization("GET", "/dir/index.html")
    assert response_of(header) == "6629fae49393a05397450978507c4ef1"
    assert "algorithm" not in header


def test_a_challenge_without_qop_is_answered_as_in_rfc_2069() -> None:
    # The errata of RFC 2069 give this value for its example.
    challenge = Challenge(scheme=Scheme.DIGEST_MD5, realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093")
    header = new_session(challenge, "Mufasa", "CircleOfLife").authorization("GET", "/dir/index.html")
    assert response_of(header) == "1949323746fe6a43ef61f9606e7febea"
    assert "cnonce" not in header
    assert "nc=" not in header


def test_auth_int_covers_the_body() -> None:
    session = new_session(replace(RFC7616, qop="auth-int"), "Mufasa", "Circle of Life")
    first = response_of(session.authorization("POST", "/a", b"one"))
    session.uses = 0
    assert response_of(session.authorization("POST", "/a", b"one")) == first
    session.uses = 0
    assert response_of(session.authorization("POST", "/a", b"two")) != first


def test_names_with_quotes_are_quoted() -> None:
    header = new_session(RFC7616, 'a"b\\c', "x").authorization("GET", "/")
    assert r'username="a\"b\\c"' in header


def test_nothing_of_the_password_shows() -> None:
    session = new_session(RFC7616, "Mufasa", "Circle of Life")
    assert "Circle" not in repr(session)
    assert session.proof not in repr(session)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (['Digest realm="AXIS_00408C000001", nonce="abc==", algorithm=MD5, qop="auth"'], [Scheme.DIGEST_MD5]),
        (['Basic realm="a, Digest b", Digest realm="x", nonce="n", qop="auth,auth-int", algorithm=SHA-256'], [Scheme.BASIC, Scheme.DIGEST_SHA256]),
        (['Digest realm="x", nonce="n", algorithm=MD5', "Basic"], [Scheme.DIGEST_MD5, Scheme.BASIC]),
        (["Negotiate YIIabc==, Basic realm=x"], [Scheme.BASIC]),
        (["NTLM, Bearer"], []),
        (['Digest realm="x"'], []),  # no nonce
        (['Digest realm="x", nonce="n", algorithm=SHA-512-256'], []),
        (['Digest realm="x", nonce="n", qop="strange"'], []),
        (["", ",,,", "="], []),
    ],
)
def test_challenges_are_read(headers: list[str], expected: list[Scheme]) -> None:
    assert [challenge.scheme for challenge in parse_challenges(headers)] == expected


def test_the_strongest_challenge_is_chosen_and_its_fields_are_kept() -> None:
    headers = [
        'Basic realm="x"',
        'digest REALM="a \\"b\\"" , Nonce="n1",stale=TRUE, opaque=""',
        'Digest realm="x", nonce="n2", algorithm=SHA-256-sess, qop="auth-int"',
    ]
    offers = parse_challenges(headers)
    assert offers[1] == Challenge(scheme=Scheme.DIGEST_MD5, realm='a "b"', nonce="n1", opaque="", stale=True)
    best = strongest(offers)
    assert best == Challenge(scheme=Scheme.DIGEST_SHA256, realm="x", nonce="n2", algorithm="SHA-256-sess", session=True, qop="auth-int")
    assert strongest([]) is None


TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=0x24F, exclude_categories=["Cc"]), max_size=30)


@given(realm=TEXT, nonce=TEXT.filter(bool), opaque=st.none() | TEXT, stale=st.booleans(), before=st.sampled_from(["", 'Basic realm="a,b=c", ', "NTLM, "]))
def test_whatever_is_quoted_comes_back_as_it_was(realm: str, nonce: str, opaque: str | None, stale: bool, before: str) -> None:
    def quote(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    header = f"{before}Digest realm={quote(realm)}, nonce={quote(nonce)}" + (f", opaque={quote(opaque)}" if opaque is not None else "")
    header += ', stale="true"' if stale else ""
    assert parse_challenges([header])[-1] == Challenge(scheme=Scheme.DIGEST_MD5, realm=realm, nonce=nonce, opaque=opaque, stale=stale)


@given(st.lists(st.text(max_size=200), max_size=4))
def test_no_header_breaks_the_parser(headers: list[str]) -> None:
    for challenge in parse_challenges(headers):
        assert challenge.scheme in Scheme


def test_a_hostile_header_is_read_in_good_time() -> None:
    for hostile in ('a="' * 20_000, "a " * 20_000, 'Digest a="' + "\\" * 40_000, "=" * 20_000, "Digest " + 'a="b" ' * 20_000):
        parse_challenges([hostile] * 8)


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters='"\\'), min_size=1, max_size=60))
def test_the_target_in_the_header_is_the_target(target: str) -> None:
    assert f'uri="{target}"' in new_session(RFC7616, "u", "p").authorization("GET", target)
