from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyasn1.codec.ber import decoder
from pyasn1.type import univ

from simulator.snmp import ber, usm
from simulator.snmp.agent import Access, Agent
from simulator.snmp.ber import BerError, Reader
from simulator.snmp.mib import Mib, scalar

OIDS = st.one_of(
    st.tuples(st.integers(0, 1), st.integers(0, 39)),
    st.tuples(st.just(2), st.integers(0, 2**32 - 81)),
).flatmap(lambda head: st.lists(st.integers(0, 2**32 - 1), max_size=20).map(lambda rest: (*head, *rest)))


@given(st.integers(-(2**63), 2**63 - 1))
def test_integers_come_back_and_pyasn1_reads_them(number: int) -> None:
    encoded = ber.integer(number)
    assert Reader(encoded).integer() == number
    assert int(decoder.decode(encoded, asn1Spec=univ.Integer())[0]) == number


@given(OIDS)
def test_object_identifiers_come_back_and_pyasn1_reads_them(oid: tuple[int, ...]) -> None:
    encoded = ber.oid(oid)
    assert Reader(encoded).oid() == oid
    assert tuple(decoder.decode(encoded, asn1Spec=univ.ObjectIdentifier())[0]) == oid


@given(st.binary(max_size=70_000))
def test_octets_come_back_at_every_length(content: bytes) -> None:
    assert Reader(ber.octets(content)).octets() == content


@pytest.mark.parametrize("size", [0, 1, 127, 128, 255, 256, 65535, 65536])
def test_lengths_at_the_limits_of_their_form(size: int) -> None:
    reader = Reader(ber.octets(bytes(size)) + b"\x05\x00")
    assert len(reader.octets()) == size
    assert reader.any()[0] == ber.NULL
    assert not reader.more


@pytest.mark.parametrize("arcs", [(), (1,), (3, 0), (0, 40), (1, -1), (1, 3, 2**32)])
def test_what_is_no_object_identifier_is_refused(arcs: tuple[int, ...]) -> None:
    with pytest.raises(BerError, match="not an object identifier"):
        ber.oid(arcs)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x30",
        b"\x30\x05\x00",
        b"\x30\x80",
        b"\x30\x85\x01\x01\x01\x01\x01",
        b"\x06\x00",
        b"\x06\x01\x81",
        b"\x06\x06\x2b\x90\x80\x80\x80\x00",
        b"\x02\x00",
        b"\x04\x01a",
    ],
)
def test_broken_elements_are_refused_with_their_place(data: bytes) -> None:
    def read_something() -> None:
        Reader(data).integer() if data[:1] not in {b"\x06", b"\x30"} else Reader(data).oid() if data[:1] == b"\x06" else Reader(data).enter().any()

    with pytest.raises(BerError, match="byte"):
        read_something()


READS: list[Callable[[Reader], object]] = [Reader.any, Reader.integer, Reader.oid, Reader.octets, Reader.enter]


@given(st.binary(max_size=60), st.lists(st.sampled_from(READS), max_size=8))
def test_any_bytes_are_read_or_refused(data: bytes, reads: list[Callable[[Reader], object]]) -> None:
    reader = Reader(data)
    try:
        for read in reads:
            read(reader)
    except BerError:
        pass
    assert 0 <= reader.at <= len(data)


USER = usm.User(name="monitor", auth=usm.Auth.SHA1, auth_password="authauth1", priv=usm.Priv.AES128, priv_password="privpriv1")


def agent() -> Agent[None]:
    mib: Mib[None] = Mib([scalar((1, 3, 6, 1, 2, 1, 1, 1), lambda _: ber.octets("x"))])
    return Agent(mib, None, access=Access(v1=True, v2c=True, users=(USER,)), engine=b"\x80\x00\x01\x70\x01", boots=lambda: 1, time=lambda: 1.0)


GET = ber.sequence(
    ber.integer(1),
    ber.octets("public"),
    ber.sequence(
        ber.integer(7),
        ber.integer(0),
        ber.integer(0),
        ber.sequence(ber.sequence(ber.oid((1, 3, 6, 1, 2, 1, 1, 1, 0)), ber.NULL_VALUE)),
        tag=0xA0,
    ),
)


@given(st.binary(max_size=200))
def test_noise_is_met_with_silence(data: bytes) -> None:
    assert agent().answer(data) is None


@given(st.integers(0, len(GET) - 1), st.integers(0, 255))
def test_a_request_with_one_byte_changed_never_breaks_the_agent(at: int, byte: int) -> None:
    answer = agent().answer(GET[:at] + bytes((byte,)) + GET[at + 1 :])
    assert answer is None or answer[0] == ber.SEQUENCE


def test_the_request_itself_is_answered() -> None:
    answer = agent().answer(GET)
    assert answer is not None
    assert answer.endswith(ber.octets("x"))


# --- keys, with the samples of RFC 3414 A.3 and A.5 -------------------------------------------------------------------

ENGINE = bytes.fromhex("000000000000000000000002")


@pytest.mark.parametrize(
    ("auth", "master", "localised"),
    [
        (usm.Auth.MD5, "9faf3283884e92834ebc9847d8edd963", "526f5eed9fcce26f8964c2930787d82b"),
        (usm.Auth.SHA1, "9fb5cc0381497b3793528939ff788d5d79145211", "6695febc9288e36282235fc7151f128497b38f3f"),
    ],
)
def test_keys_are_those_of_the_samples_in_rfc_3414(auth: usm.Auth, master: str, localised: str) -> None:
    user = usm.User(name="x", auth=auth, auth_password="maplesyrup")
    assert usm.master_key(auth, "maplesyrup").hex() == master
    assert usm.keys(user, ENGINE).auth.hex() == localised


@given(st.binary(max_size=100), st.sampled_from([priv for priv in usm.Priv if priv]), st.sampled_from([auth for auth in usm.Auth if auth]))
def test_what_is_encrypted_comes_back(plain: bytes, priv: usm.Priv, auth: usm.Auth) -> None:
    user = usm.User(name="x", auth=auth, auth_password="maplesyrup", priv=priv, priv_password="maplesyrup")
    key = usm.keys(user, ENGINE).priv
    salt, encrypted = usm.encrypt(priv, key, 3, 99, plain)
    assert usm.decrypt(priv, key, 3, 99, salt, encrypted)[: len(plain)] == plain


def test_a_user_that_snmp_does_not_know_is_refused() -> None:
    with pytest.raises(ValueError, match="privacy without authentication"):
        usm.User(name="x", priv=usm.Priv.DES, priv_password="maplesyrup")
    with pytest.raises(ValueError, match="8 characters or more"):
        usm.User(name="x", auth=usm.Auth.MD5, auth_password="short")
