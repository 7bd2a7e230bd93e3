"""The agent, asked by two clients that are not ours: net-snmp's tools and pysnmp."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pysnmp.hlapi.v3arch import asyncio as hlapi

from simulator.axis.device import AxisDevice
from simulator.axis.product import DOME_11, PTZ_12
from simulator.listener import Ports, serve
from simulator.snmp import ber
from simulator.snmp.agent import Access, Tamper
from simulator.snmp.usm import Auth, Priv, User
from tests.simulator.axis_http import StillClock
from tests.simulator.net_snmp import net_snmp

SYS_DESCR = "1.3.6.1.2.1.1.1.0"
STORAGE = "1.3.6.1.4.1.368.4.1.8.1.3.1"


@asynccontextmanager
async def answering(*users: User, v1: bool = True, **settings: Any) -> AsyncIterator[tuple[AxisDevice, Ports]]:
    access = Access(v1=v1, v2c=True, community="lamp", users=users)
    device = AxisDevice(name="gate", address="127.77.9.2", product=DOME_11, snmp=access, **settings)
    async with serve([device]) as ports:
        yield device, ports


async def ask(tool: str, *words: str, device: AxisDevice, ports: Ports, oid: str = SYS_DESCR) -> str:
    return await net_snmp(tool, "-On", *words, f"{device.address}:{ports.snmp}", oid)


async def test_version_2c_get_next_and_bulk_as_net_snmp_sees_them() -> None:
    async with answering() as (device, ports):
        got = await ask("snmpget", "-v2c", "-clamp", device=device, ports=ports)
        assert got == '.1.3.6.1.2.1.1.1.0 = STRING: "; AXIS P3265-LVE; Dome Camera; 11.11.181; Nov 03 2025 09:12; 9A6.1; 1"'
        walked = await ask("snmpwalk", "-v2c", "-clamp", device=device, ports=ports, oid="1.3.6.1.4.1.368")
        bulk = await ask("snmpbulkwalk", "-v2c", "-clamp", "-Cr3", device=device, ports=ports, oid="1.3.6.1.4.1.368")
        assert walked == bulk
        *rows, end = walked.splitlines()
        assert "No more variables left" in end
        assert [line.partition(" ")[0] for line in rows] == [
            *(f".1.3.6.1.4.1.368.4.1.3.1.3.1.{n}" for n in range(1, 6)),
            *(f".1.3.6.1.4.1.368.4.1.3.1.4.1.{n}" for n in range(1, 6)),
            *(f".1.3.6.1.4.1.368.4.1.8.1.{column}.{n}" for column in (2, 3) for n in (1, 2)),
        ]
        assert device.agent.counted["getbulk"] > 0


async def test_version_1_knows_errors_instead_of_exceptions() -> None:
    async with answering() as (device, ports):
        assert "STRING" in await ask("snmpget", "-v1", "-clamp", device=device, ports=ports)
        assert "noSuchName" in await ask("snmpget", "-v1", "-clamp", device=device, ports=ports, oid="1.3.6.1.9.9")
        walked = await ask("snmpwalk", "-v1", "-clamp", device=device, ports=ports, oid="1.3.6.1.4.1.368.4.1.8")
        assert "End of MIB" in walked
    async with answering(v1=False) as (device, ports):
        assert "Timeout" in await ask("snmpget", "-v1", "-clamp", device=device, ports=ports)


async def test_what_is_missing_is_told_apart() -> None:
    async with answering() as (device, ports):
        assert "No Such Object" in await ask("snmpget", "-v2c", "-clamp", device=device, ports=ports, oid="1.3.6.1.9.9")
        assert "No Such Instance" in await ask("snmpget", "-v2c", "-clamp", device=device, ports=ports, oid="1.3.6.1.4.1.368.4.1.8.1.3.9")
        assert "No more variables" in await ask("snmpgetnext", "-v2c", "-clamp", device=device, ports=ports, oid="2.5")


async def test_interface_1_has_no_address_and_interface_2_has_the_serial_number() -> None:
    async with answering(serial="B8A44F00C0DE") as (device, ports):
        walked = await ask("snmpwalk", "-v2c", "-clamp", device=device, ports=ports, oid="1.3.6.1.2.1.2.2.1.6")
        assert walked.splitlines() == ['.1.3.6.1.2.1.2.2.1.6.1 = ""', ".1.3.6.1.2.1.2.2.1.6.2 = Hex-STRING: B8 A4 4F 00 C0 DE "]


async def test_uptime_follows_the_clock() -> None:
    clock = StillClock()
    async with answering(clock=clock, uptime=10.0) as (device, ports):
        clock.passed = 5
        assert "(1500)" in await ask("snmpget", "-v2c", "-clamp", device=device, ports=ports, oid="1.3.6.1.2.1.1.3.0")


async def test_a_wrong_community_is_met_with_silence_and_counted() -> None:
    async with answering() as (device, ports):
        assert "Timeout" in await ask("snmpget", "-v2c", "-cpublic", device=device, ports=ports)
        assert device.agent.counted["wrong_community"] == 1


async def test_nothing_can_be_written_and_the_attempt_is_counted() -> None:
    async with answering() as (device, ports):
        printed = await ask("snmpset", "-v2c", "-clamp", device=device, ports=ports, oid="1.3.6.1.2.1.1.6.0")
        assert "Missing type/value" in printed or device.agent.counted["set"] == 0
        request = ber.sequence(
            ber.integer(1),
            ber.octets("lamp"),
            ber.sequence(
                ber.integer(5),
                ber.integer(0),
                ber.integer(0),
                ber.sequence(ber.sequence(ber.oid((1, 3, 6, 1, 2, 1, 1, 6, 0)), ber.octets("here"))),
                tag=0xA3,
            ),
        )
        answer = device.agent.answer(request)
        assert answer is not None
        pdu = ber.Reader(answer).enter()
        pdu.integer()
        pdu.octets()
        fields = pdu.enter(0xA2)
        assert (fields.integer(), fields.integer(), fields.integer()) == (5, 6, 1)
        assert device.agent.counted["set"] == 1


LEVELS: list[tuple[User, list[str]]] = [
    (User(name="u"), ["-lnoAuthNoPriv"]),
    *(
        (User(name="u", auth=auth, auth_password="authauth1"), ["-lauthNoPriv", "-a", name, "-A", "authauth1"])
        for auth, name in [
            (Auth.MD5, "MD5"),
            (Auth.SHA1, "SHA"),
            (Auth.SHA224, "SHA-224"),
            (Auth.SHA256, "SHA-256"),
            (Auth.SHA384, "SHA-384"),
            (Auth.SHA512, "SHA-512"),
        ]
    ),
    *(
        (
            User(name="u", auth=auth, auth_password="authauth1", priv=priv, priv_password="privpriv1"),
            ["-lauthPriv", "-a", auth_name, "-A", "authauth1", "-x", name, "-X", "privpriv1"],
        )
        for auth, auth_name in [(Auth.MD5, "MD5"), (Auth.SHA512, "SHA-512")]
        for priv, name in [(Priv.DES, "DES"), (Priv.AES128, "AES"), (Priv.AES192, "AES-192"), (Priv.AES256, "AES-256")]
    ),
]


@pytest.mark.parametrize(("user", "words"), LEVELS, ids=[" ".join(words[::2]) for _, words in LEVELS])
async def test_net_snmp_speaks_every_level_of_version_3(user: User, words: list[str]) -> None:
    async with answering(user) as (device, ports):
        assert "AXIS P3265-LVE" in await ask("snmpget", "-v3", "-uu", *words, device=device, ports=ports)
        assert device.agent.counted["discovery"] == 1


SECURE = User(name="monitor", auth=Auth.SHA256, auth_password="authauth1", priv=Priv.AES128, priv_password="privpriv1")
GOOD = ["-v3", "-umonitor", "-lauthPriv", "-a", "SHA-256", "-A", "authauth1", "-x", "AES", "-X", "privpriv1"]


@pytest.mark.parametrize(
    ("changes", "says", "counted"),
    [
        ({"-umonitor": "-unobody"}, "Unknown user name", "unknown_user"),
        ({"authauth1": "authauth2"}, "Authentication failure", "wrong_digest"),
        ({"privpriv1": "privpriv2"}, "Decryption error", "decryption_error"),
        ({"-lauthPriv": "-lauthNoPriv"}, "authorizationError", "level_too_low"),
        ({"-umonitor": "-uplain", "-lauthPriv": "-lauthNoPriv"}, "Unsupported security level", "unsupported_level"),
    ],
)
async def test_each_mistake_has_its_report(changes: dict[str, str], says: str, counted: str) -> None:
    async with answering(SECURE, User(name="plain")) as (device, ports):
        words = [changes.get(word, word) for word in GOOD]
        printed = await ask("snmpget", *words, device=device, ports=ports)
        assert says.lower() in printed.lower()
        assert device.agent.counted[counted] >= 1


async def test_a_message_from_another_time_is_answered_with_the_right_time() -> None:
    async with answering(SECURE) as (device, ports):
        printed = await ask("snmpget", *GOOD, "-Z", "1,5", device=device, ports=ports)
        assert "AXIS P3265-LVE" in printed  # after the report, net-snmp asks again with our time
        assert device.agent.counted["not_in_time_window"] >= 1


async def test_a_restart_is_noticed_by_the_engine_boots() -> None:
    async with answering(SECURE) as (device, ports):
        await device.switch("reboot", True)
        printed = await ask("snmpget", *GOOD, "-d", device=device, ports=ports)
        assert "AXIS P3265-LVE" in printed
        assert device.state.boots == 2


# --- pysnmp -----------------------------------------------------------------------------------------------------------


async def pysnmp_get(device: AxisDevice, ports: Ports, *, auth_key: str = "authauth1", oid: str = SYS_DESCR) -> tuple[Any, list[str]]:
    engine = hlapi.SnmpEngine()
    user = hlapi.UsmUserData("monitor", auth_key, "privpriv1", authProtocol=hlapi.usmHMAC192SHA256AuthProtocol, privProtocol=hlapi.usmAesCfb128Protocol)
    target = await hlapi.UdpTransportTarget.create((device.address, ports.snmp), timeout=1, retries=0)
    try:
        error, _, _, bindings = await hlapi.get_cmd(engine, user, target, hlapi.ContextData(), hlapi.ObjectType(hlapi.ObjectIdentity(oid)), lookupMib=False)
        return error, [str(value) for _, value in bindings]
    finally:
        engine.close_dispatcher()


async def test_pysnmp_reads_version_3_too() -> None:
    async with answering(SECURE) as (device, ports):
        error, values = await pysnmp_get(device, ports)
        assert error is None
        assert values == ["; AXIS P3265-LVE; Dome Camera; 11.11.181; Nov 03 2025 09:12; 9A6.1; 1"]


async def test_pysnmp_refuses_an_answer_that_was_signed_with_a_wrong_key() -> None:
    async with answering(SECURE) as (device, ports):
        device.agent.tamper = Tamper.WRONG_KEY
        error, values = await pysnmp_get(device, ports)
        assert error is not None
        assert values == []
        assert "AXIS P3265-LVE" not in await ask("snmpget", *GOOD, device=device, ports=ports)


@pytest.mark.parametrize(
    ("priv", "protocol"),
    [
        (Priv.DES, hlapi.usmDESPrivProtocol),
        (Priv.AES256, hlapi.usmAesBlumenthalCfb256Protocol),
        (Priv.AES192C, hlapi.usmAesCfb192Protocol),
        (Priv.AES256C, hlapi.usmAesCfb256Protocol),
    ],
)
async def test_pysnmp_lengthens_short_keys_as_we_do(priv: Priv, protocol: Any) -> None:
    user = User(name="monitor", auth=Auth.SHA1, auth_password="authauth1", priv=priv, priv_password="privpriv1")
    async with answering(user) as (device, ports):
        engine = hlapi.SnmpEngine()
        data = hlapi.UsmUserData("monitor", "authauth1", "privpriv1", authProtocol=hlapi.usmHMACSHAAuthProtocol, privProtocol=protocol)
        target = await hlapi.UdpTransportTarget.create((device.address, ports.snmp), timeout=1, retries=0)
        error, _, _, bindings = await hlapi.get_cmd(engine, data, target, hlapi.ContextData(), hlapi.ObjectType(hlapi.ObjectIdentity(STORAGE)), lookupMib=False)
        engine.close_dispatcher()
        assert error is None
        assert [int(value) for _, value in bindings] == [1]


# --- whose address ----------------------------------------------------------------------------------------------------


def request() -> bytes:
    pdu = ber.sequence(
        ber.integer(1), ber.integer(0), ber.integer(0), ber.sequence(ber.sequence(ber.oid((1, 3, 6, 1, 2, 1, 1, 5, 0)), ber.NULL_VALUE)), tag=0xA0
    )
    return ber.sequence(ber.integer(1), ber.octets("lamp"), pdu)


async def exchange(address: str, port: int, *, wait: float = 2.0) -> tuple[bytes, str]:
    """The answer and the address it came from."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.bind(("127.0.0.1", 0))
        await loop.sock_sendto(sock, request(), (address, port))
        async with asyncio.timeout(wait):
            data, (source, _) = await loop.sock_recvfrom(sock, 65535)
        return data, source


async def test_each_device_answers_from_the_address_that_was_asked() -> None:
    access = Access(v2c=True, community="lamp")
    fleet = [AxisDevice(name=f"d{n}", address=f"127.77.9.{n}", product=PTZ_12, snmp=access) for n in (3, 4)]
    async with serve(fleet) as ports:
        for device in fleet:
            data, source = await exchange(device.address, ports.snmp)
            assert source == device.address
            assert f"axis-{device.state.serial.lower()}".encode() in data


async def test_tampering_lets_the_answer_come_from_another_address() -> None:
    async with answering() as (device, ports):
        device.agent.tamper = Tamper.FOREIGN_ADDRESS
        data, source = await exchange(device.address, ports.snmp)
        assert source == "127.255.255.1"
        assert data


async def test_a_device_without_snmp_and_one_without_power_are_silent() -> None:
    quiet = AxisDevice(name="quiet", address="127.77.9.5")
    dark = AxisDevice(name="dark", address="127.77.9.6", snmp=Access(v2c=True, community="lamp"))
    async with serve([quiet, dark]) as ports:
        await exchange(dark.address, ports.snmp)
        await dark.switch("unplugged", True)
        for device in (quiet, dark):
            with pytest.raises(TimeoutError):
                await exchange(device.address, ports.snmp, wait=0.3)
        await dark.switch("unplugged", False)
        await exchange(dark.address, ports.snmp)


def test_a_get_that_does_not_fit_is_too_big_and_a_bulk_is_cut() -> None:
    from simulator.snmp.agent import Agent
    from simulator.snmp.mib import Mib, Object

    big: Mib[None] = Mib([Object((1, 3, 9), [((n,), lambda _: ber.octets(bytes(30_000))) for n in range(1, 9)])])
    agent = Agent(big, None, access=Access(v2c=True), engine=b"", boots=lambda: 1, time=lambda: 1.0)

    def answer_to(tag: int, second: int, third: int, oids: list[tuple[int, ...]]) -> ber.Reader:
        bindings = ber.sequence(*(ber.sequence(ber.oid(oid), ber.NULL_VALUE) for oid in oids))
        pdu = ber.sequence(ber.integer(1), ber.integer(second), ber.integer(third), bindings, tag=tag)
        answer = agent.answer(ber.sequence(ber.integer(1), ber.octets("public"), pdu))
        assert answer is not None
        assert len(answer) < 65507
        reader = ber.Reader(answer).enter()
        reader.integer()
        reader.octets()
        return reader.enter(0xA2)

    get = answer_to(0xA0, 0, 0, [(1, 3, 9, n) for n in range(1, 4)])
    assert (get.integer(), get.integer()) == (1, 1)
    bulk = answer_to(0xA5, 0, 8, [(1, 3, 9)])
    assert (bulk.integer(), bulk.integer(), bulk.integer()) == (1, 0, 0)
    rows = bulk.enter()
    names = []
    while rows.more:
        row = rows.enter()
        names.append(row.oid())
    assert names == [(1, 3, 9, 1), (1, 3, 9, 2)]
