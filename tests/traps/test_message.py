from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.traps.ber import BadBer, dotted
from agent.traps.message import NAME_LENGTH, TEXT_LENGTH, Access, Dropped, Outcome, Trap, access_of, read, verified
from simulator.snmp import ber
from tests.support.mutate import spoiled_bytes
from tests.support.promises import scale
from tests.traps.traffic import ALARM_NAME, ALARM_TEXT, COMMUNITY, USERS, bindings, pdu, v2c, v3

ACCESSES = {"v2c": access_of(COMMUNITY), **{kind: access_of(credential) for kind, (credential, _) in USERS.items()}}
DATAGRAMS = {"v2c": v2c(), **{kind: v3(user) for kind, (_, user) in USERS.items()}}


def judged(datagram: bytes, access: Access) -> Trap | Outcome:
    try:
        return verified(read(datagram), access)
    except Dropped as dropped:
        return dropped.outcome


@pytest.mark.parametrize("kind", DATAGRAMS)
def test_a_trap_is_read_as_far_as_it_is_logged(kind: str) -> None:
    trap = judged(DATAGRAMS[kind], ACCESSES[kind])
    assert trap == Trap(oid="1.3.6.1.4.1.368.4.2.0.1", alarm="Fan Operation", text="Check the fan")
    assert isinstance(trap, Trap)
    assert trap.what == "alarmNew: Fan Operation"


@pytest.mark.parametrize("kind", DATAGRAMS)
def test_no_spoiled_datagram_does_more_than_being_dropped_and_no_spoiled_signed_one_is_taken(kind: str) -> None:
    rng = random.Random(kind)
    whole, others = DATAGRAMS[kind], list(DATAGRAMS.values())
    outcomes = set()
    for _ in range(scale(10_000, 1_000_000) // len(DATAGRAMS) + 1):
        spoiled = spoiled_bytes(rng, whole, others)
        judgement = judged(spoiled, ACCESSES[kind])
        if isinstance(judgement, Trap):
            assert kind == "v2c" or spoiled == whole
            assert len(judgement.alarm) <= NAME_LENGTH
            assert len(judgement.text) <= TEXT_LENGTH
        else:
            outcomes.add(judgement)
    assert {Outcome.MALFORMED, Outcome.NOT_VERIFIED} <= outcomes <= {Outcome.MALFORMED, Outcome.NOT_VERIFIED, Outcome.UNSUPPORTED, Outcome.TOO_LARGE}


@pytest.mark.parametrize("kind", [kind for kind in DATAGRAMS if kind != "v2c"])
def test_no_bit_of_a_signed_trap_can_be_turned(kind: str) -> None:
    whole = DATAGRAMS[kind]
    for bit in range(8 * len(whole)):
        spoiled = bytearray(whole)
        spoiled[bit // 8] ^= 1 << bit % 8
        assert isinstance(judged(bytes(spoiled), ACCESSES[kind]), Outcome), bit


@given(st.binary(max_size=300))
def test_what_stands_inside_a_trap_of_the_right_community_may_be_anything(content: bytes) -> None:
    judged(v2c(content=ber.element(0xA7, content)), ACCESSES["v2c"])
    judged(v2c(content=pdu(ber.element(0x30, content))), ACCESSES["v2c"])
    judged(v2c(content=content), ACCESSES["v2c"])
    judged(content, ACCESSES["v2c"])


@given(st.binary(max_size=600), st.binary(max_size=900))
def test_texts_are_one_printable_line_of_bounded_length(name: bytes, text: bytes) -> None:
    listed = bindings(ber.sequence(ber.oid(ALARM_NAME), ber.octets(name)), ber.sequence(ber.oid(ALARM_TEXT), ber.octets(text)))
    trap = judged(v2c(content=pdu(listed)), ACCESSES["v2c"])
    assert isinstance(trap, Trap)
    assert trap.alarm == "" or trap.alarm.isprintable()
    assert trap.text == "" or trap.text.isprintable()
    assert len(trap.alarm) <= NAME_LENGTH
    assert len(trap.text) <= TEXT_LENGTH


def test_a_password_in_a_text_is_masked() -> None:
    trap = judged(v2c(content=pdu(bindings(ber.sequence(ber.oid(ALARM_TEXT), ber.octets("see http://root:hush@example.org/"))))), ACCESSES["v2c"])
    assert isinstance(trap, Trap)
    assert trap.text == "see http://root:***@example.org/"


def test_a_name_is_only_taken_from_a_text() -> None:
    trap = judged(v2c(content=pdu(bindings(ber.sequence(ber.oid(ALARM_NAME), ber.integer(5)), oid=(1, 3, 6, 1, 4, 1, 368, 9)))), ACCESSES["v2c"])
    assert trap == Trap(oid="1.3.6.1.4.1.368.9")
    assert isinstance(trap, Trap)
    assert trap.what == "1.3.6.1.4.1.368.9"


def test_ten_thousand_levels_of_nesting_are_no_recursion() -> None:
    nested = b""
    for _ in range(1000):
        nested = ber.sequence(nested)
    assert judged(nested, ACCESSES["v2c"]) in (Outcome.MALFORMED, Outcome.TOO_LARGE)
    assert judged(v2c(content=pdu(nested)), ACCESSES["v2c"]) in (Outcome.MALFORMED, Outcome.TOO_LARGE)


@given(st.tuples(st.integers(0, 1), st.integers(0, 39)) | st.tuples(st.just(2), st.integers(0, 2**32 - 81)), st.lists(st.integers(0, 2**32 - 1), max_size=12))
def test_object_identifiers_are_read_as_they_were_written(head: tuple[int, int], tail: list[int]) -> None:
    arcs = (*head, *tail)
    assert dotted(ber.oid(arcs)[2:]) == ".".join(map(str, arcs))


@given(st.binary(max_size=40))
def test_any_bytes_are_an_object_identifier_or_none(content: bytes) -> None:
    try:
        assert dotted(content)
    except BadBer:
        return


def test_no_secret_shows_itself() -> None:
    credential, _ = USERS["sha256-aes128"]
    access = access_of(credential)
    assert access.keys is not None
    for shown in (repr(access), repr(access_of(COMMUNITY))):
        assert access.keys.auth_key.hex() not in shown
        assert repr(access.keys.auth_key) not in shown
        assert "garden-gate" not in shown
