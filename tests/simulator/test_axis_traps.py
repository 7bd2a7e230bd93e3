"""Traps on the wire, taken apart byte by byte and read by pysnmp."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from pysnmp.carrier.asyncio.dgram import udp
from pysnmp.entity import config as snmp_config
from pysnmp.entity.engine import SnmpEngine
from pysnmp.entity.rfc3413.ntfrcv import NotificationReceiver
from pysnmp.proto.rfc1902 import OctetString

from simulator.axis.device import AxisDevice
from simulator.axis.product import DOME_11, ENCODER_11, PTZ_12, STROBE, Product
from simulator.axis.state import Tuning
from simulator.axis.traps import ALARMS
from simulator.control import control
from simulator.fleet import SNMP_USER, demo
from simulator.listener import serve
from simulator.snmp import ber, usm
from simulator.snmp.agent import Access
from simulator.snmp.trap import TRAP_V2
from tests.simulator.axis_http import StillClock

V2C = Access(v2c=True, community="latarnia")
BOTH = Access(v2c=True, community="latarnia", users=(SNMP_USER,))


@asynccontextmanager
async def receiver() -> AsyncIterator[tuple[socket.socket, int]]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.bind(("127.0.0.1", 0))
        yield sock, sock.getsockname()[1]


async def received(sock: socket.socket) -> tuple[bytes, str]:
    async with asyncio.timeout(5):
        datagram, (address, _) = await asyncio.get_running_loop().sock_recvfrom(sock, 65535)
    return datagram, address


def bindings(pdu: ber.Reader) -> dict[tuple[int, ...], bytes]:
    body = pdu.enter(TRAP_V2)
    for _ in range(3):
        body.integer()
    rows = body.enter()
    found = {}
    while rows.more:
        row = rows.enter()
        oid = row.oid()
        _, start, end = row.any()
        found[oid] = row.data[start:end]
    return found


def community_trap(datagram: bytes, community: str) -> dict[tuple[int, ...], bytes]:
    message = ber.Reader(datagram).enter()
    assert (message.integer(), message.octets().decode()) == (1, community)
    return bindings(message)


TRAP_OID = (1, 3, 6, 1, 6, 3, 1, 1, 4, 1, 0)
AXIS = (1, 3, 6, 1, 4, 1, 368, 4, 2)


def which(found: dict[tuple[int, ...], bytes]) -> tuple[int, ...]:
    raw = found[TRAP_OID]
    return ber.decode_oid(raw, 0, len(raw))


def a_device(product: Product = DOME_11, *, access: Access = V2C, tuning: Tuning | None = None) -> AxisDevice:
    return AxisDevice(name="gate", address="127.77.9.3", product=product, snmp=access, clock=StillClock(), tuning=tuning or Tuning())


async def test_an_alarm_comes_and_goes_under_one_number_from_the_address_of_the_device() -> None:
    device = a_device()
    async with receiver() as (sock, port):
        device.traps_to("127.0.0.1", port)
        numbers = []
        for fault, on, kind in (("sd_failed", True, 1), ("sd_failed", False, 2), ("sd_failed", True, 1)):
            await device.switch(fault, on)
            datagram, address = await received(sock)
            found = community_trap(datagram, "latarnia")
            assert address == device.address
            assert which(found) == (*AXIS, 0, kind)
            assert list(found)[2:] == [(*AXIS, 1), (*AXIS, 2), (*AXIS, 3)]
            assert found[*AXIS, 2] == b"Edge Storage Operation"
            numbers.append(int.from_bytes(found[*AXIS, 1], "big"))
        assert numbers[0] == numbers[1] != numbers[2]
    assert device.counters.traps == {"alarmNew": 2, "alarmCleared": 1}


@pytest.mark.parametrize(
    ("product", "fault"), [(DOME_11, "tampering"), (PTZ_12, "ptz_error"), (STROBE, "siren_failed")], ids=lambda v: v if isinstance(v, str) else ""
)
async def test_what_has_no_end_is_told_once(product: Product, fault: str) -> None:
    device = a_device(product)
    async with receiver() as (sock, port):
        device.traps_to("127.0.0.1", port)
        await device.switch(fault, on=True)
        await device.switch(fault, on=False)
        assert which(community_trap((await received(sock))[0], "latarnia")) == (*AXIS, 0, 3)
    assert device.counters.traps == {"alarmSingle": 1}


async def test_a_v3_trap_is_signed_and_encrypted_by_the_engine_of_the_device() -> None:
    device = a_device(ENCODER_11, access=BOTH)
    async with receiver() as (sock, port):
        device.traps_to("127.0.0.1", port, version=3)
        await device.switch("fan_failed", on=True)
        datagram, _ = await received(sock)
    message = ber.Reader(datagram).enter()
    assert message.integer() == 3
    head = message.enter()
    head.integer()
    head.integer()
    assert head.octets() == b"\x03"  # authenticated, encrypted, and no report is wanted
    security = ber.Reader(datagram, *message.expect(ber.OCTETS)).enter()
    engine, boots, time, user = security.octets(), security.integer(), security.integer(), security.octets()
    assert (engine, boots, user.decode()) == (bytes.fromhex("8000017003" + device.state.serial), 1, SNMP_USER.name)
    start, end = security.expect(ber.OCTETS)
    keys = usm.keys(SNMP_USER, engine)
    assert usm.signature(SNMP_USER.auth, keys.auth, datagram[:start] + bytes(end - start) + datagram[end:]) == datagram[start:end]
    plain = usm.decrypt(SNMP_USER.priv, keys.priv, boots, time, security.octets(), message.octets())
    scoped = ber.Reader(plain).enter()
    assert (scoped.octets(), scoped.octets()) == (engine, b"")
    assert bindings(scoped)[*AXIS, 2] == b"Fan Operation"


@pytest.mark.parametrize("version", [2, 3])
async def test_pysnmp_takes_the_traps(version: int) -> None:
    device = a_device(ENCODER_11, access=BOTH)
    heard: asyncio.Queue[dict[str, str]] = asyncio.Queue()

    def hear(_engine: object, _reference: object, _context: object, _name: object, rows: list[tuple[Any, Any]], _data: object) -> None:
        heard.put_nowait({str(name): str(value) for name, value in rows})

    engine = SnmpEngine()
    try:
        transport = udp.UdpAsyncioTransport().open_server_mode(("127.0.0.1", 0))
        snmp_config.add_transport(engine, udp.DOMAIN_NAME, transport)
        snmp_config.add_v1_system(engine, "area", "latarnia")
        snmp_config.add_v3_user(
            engine,
            SNMP_USER.name,
            snmp_config.USM_AUTH_HMAC192_SHA256,
            SNMP_USER.auth_password,
            snmp_config.USM_PRIV_CFB128_AES,
            SNMP_USER.priv_password,
            securityEngineId=OctetString(bytes.fromhex("8000017003" + device.state.serial)),
        )
        NotificationReceiver(engine, hear)
        async with asyncio.timeout(5):
            await transport._lport
            device.traps_to("127.0.0.1", transport.transport.get_extra_info("sockname")[1], version=version)
            await device.switch("fan_failed", on=True)
            found = await heard.get()
    finally:
        engine.close_dispatcher()
    assert found["1.3.6.1.6.3.1.1.4.1.0"] == "1.3.6.1.4.1.368.4.2.0.1"
    assert found["1.3.6.1.4.1.368.4.2.2"] == "Fan Operation"


async def test_a_restart_is_a_cold_start_when_the_device_is_back() -> None:
    device = a_device(tuning=Tuning(dark=0.05))
    device.state.clock = AxisDevice(name="x", address="127.77.9.4").state.clock  # time passes by itself
    async with receiver() as (sock, port):
        device.traps_to("127.0.0.1", port)
        await device.switch("reboot", on=True)
        assert which(community_trap((await received(sock))[0], "latarnia")) == (1, 3, 6, 1, 6, 3, 1, 1, 5, 1)
    assert device.counters.traps == {"coldStart": 1}


async def test_nobody_is_told_without_a_receiver_and_an_unplugged_device_tells_nobody() -> None:
    device = a_device()
    await device.switch("sd_failed", on=True)
    async with receiver() as (_, port):
        device.traps_to("127.0.0.1", port)
        await device.switch("unplugged", on=True)
        await device.switch("overheating", on=True)
    assert device.counters.traps == {}


def test_traps_leave_this_machine_never() -> None:
    device = a_device()
    for address, port, version in (("192.0.2.1", 162, 2), ("127.0.0.1", 0, 2), ("127.0.0.1", 162, 1), ("127.0.0.1", 162, 3)):
        with pytest.raises(ValueError):
            device.traps_to(address, port, version=version)


def test_every_alarm_is_of_a_fault() -> None:
    from tests.simulator.test_axis_faults import ALL

    assert ALARMS.keys() <= ALL


async def test_the_control_interface_says_where_traps_go() -> None:
    device = a_device()
    room = next(member.device for member in demo() if member.vendor == "poly")
    async with (
        receiver() as (sock, port),
        serve([device]) as ports,
        control([device, room], ports.traffic) as desk,
        aiohttp.ClientSession(f"http://127.0.0.1:{desk}") as session,
    ):
        for path, body, status in (
            ("gate", {"address": "127.0.0.1", "port": port}, 204),
            ("gate", {"address": "192.0.2.1", "port": port}, 400),
            ("gate", {"address": "127.0.0.1", "port": port, "version": 3}, 400),
            ("gate", {}, 400),
            ("gate", [], 400),
            (room.name, {"address": "127.0.0.1", "port": port}, 404),
        ):
            async with session.post(f"/devices/{path}/traps", json=body) as answer:
                assert answer.status == status
        async with session.post("/devices/gate/faults/overheating", json={"on": True}) as answer:
            assert answer.status == 204
        assert community_trap((await received(sock))[0], "latarnia")[*AXIS, 2] == b"Temperature"
        async with session.get("/devices/gate/counters") as answer:
            counted = await answer.json()
            assert (counted["traps"], counted["streams_open"], counted["tokens"]) == ({"alarmNew": 1}, 0, 0)
