"""What SNMP v1 and v2c are held to before and around gufo_snmp: the shape of a datagram, the order of a walk, one answer's time."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import BadPayload
from agent.model import Secret, SnmpCredential
from collectors.transport import open_transports
from collectors.transport.snmp import ELEMENTS, WalkOrder, arcs, checked_oid, well_formed
from tests.transport.ber import Request, integer, response, start_responder, tlv
from tests.transport.fakes import Fakes, device

TREE = "1.3.6.1.4.1.368.4.1"
OIDS = st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=4).map(lambda tail: f"{TREE}.{'.'.join(map(str, tail))}")


@pytest.mark.parametrize("more", [b"\5\0", b"\0", b"\x30\0"])
def test_one_element_is_a_message_and_two_are_not(more: bytes) -> None:
    whole = tlv(0x30, integer(1) + tlv(4, b"public"))
    assert well_formed(whole)
    assert not well_formed(whole + more)
    assert well_formed(tlv(4, b"public"))
    assert not well_formed(tlv(4, b"public") + more)


def test_a_message_of_as_many_parts_as_we_take_is_taken_and_of_one_more_is_not() -> None:
    assert well_formed(tlv(0x30, b"\5\0" * (ELEMENTS - 1)))
    assert not well_formed(tlv(0x30, b"\5\0" * ELEMENTS))


@pytest.mark.parametrize(
    "data",
    [
        tlv(0x30, tlv(0x30, b"\5\0")[:-1]),
        tlv(0x30, b"\x30\x04" + b"\5\0") + b"\5\0",
        tlv(0x30, b"\2\0"),
        tlv(0x30, b"\6\0"),
        tlv(0x30, b"\4\x80"),
        tlv(0x30, b"\4\x85\0\0\0\0\0"),
        tlv(0x30, b"\4\x84\xff\xff\xff\xff"),
        tlv(0x30, b"\4\x82\1"),
        tlv(0x30, b"\4"),
    ],
)
def test_a_part_that_reaches_beyond_what_holds_it_or_is_empty_where_it_cannot_be_is_refused(data: bytes) -> None:
    assert not well_formed(data)


@given(st.lists(OIDS, unique=True, min_size=1, max_size=20))
def test_a_walk_takes_rows_in_order_and_nothing_twice_or_backwards(oids: list[str]) -> None:
    order = WalkOrder(TREE, 100, "camera:161")
    for place, oid in enumerate(sorted(oids, key=arcs)):
        assert order.add(oid, place)
        for earlier in (oid, *[row[0] for row in order.rows], TREE, "1.3.6.1.4.1.368.4", "1.3.6.1.2.1.1.1.0", "0.0"):
            with pytest.raises(BadPayload, match="does not move forward"):
                order.add(earlier, 0)
    assert [row[0] for row in order.rows] == sorted(oids, key=arcs)
    assert order.last == order.rows[-1][0]
    for beyond in ("1.3.6.1.4.1.368.4.10", "1.3.6.1.4.1.368.4.2", "1.3.6.1.4.1.368.5", "1.3.6.1.6.3.10.2.1.2.0", "2.0"):
        assert not order.add(beyond, 0)


@pytest.mark.parametrize("oid", ["1.3.06.1", "1.3.00", "1.3.6.1.00368"])
def test_an_oid_is_written_in_one_way_alone(oid: str) -> None:
    with pytest.raises(ValueError, match="not an OID"):
        checked_oid(oid)


@pytest.mark.parametrize("version", [1, 2])
async def test_a_request_that_was_given_up_leaves_the_socket_to_the_next_one(fakes: Fakes, version: int) -> None:
    answering = False

    def answer(request: Request) -> bytes | None:
        arrived.set()
        return response(request, [(oid, tlv(4, b"x")) for oid in request.oids]) if answering else None

    arrived = asyncio.Event()
    responder, port = await start_responder(answer)
    credential = SnmpCredential(name="snmp-ro", snmp_version=version, community=Secret("public"), version="1")
    try:
        async with open_transports(fakes.services(20)) as transports, transports.snmp(device(port, credential=credential)) as snmp:
            for _ in range(3):
                arrived.clear()
                asked = asyncio.create_task(snmp.get([f"{TREE}.1"]))
                await arrived.wait()
                asked.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await asked
            answering = True
            assert await snmp.get([f"{TREE}.1"]) == {f"{TREE}.1": b"x"}
    finally:
        responder.transport.close()
