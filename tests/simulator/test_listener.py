from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import socket
import ssl
import sys
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import asyncssh
import pytest
from aiohttp import web

from config.load import load
from simulator import certs, fleet, listener
from simulator.axis.device import AxisDevice
from simulator.axis.product import DOME_11
from simulator.control import control
from simulator.device import SimulatedDevice, SnmpAgent
from simulator.listener import Ports, serve
from simulator.poly import VideoOs
from simulator.snmp import ber
from simulator.snmp.agent import GET


class Plain:
    """The least device there can be: it says its name."""

    def __init__(self, name: str, address: str, *, shell: bool = False) -> None:
        self.name = name
        self.address = address
        self.powered = True
        self.shell = shell
        self.reached = asyncio.Event()
        self._context: ssl.SSLContext | None = None

    def tls(self) -> ssl.SSLContext:
        self._context = self._context or certs.server_context(self.name, self.name, "Test")
        return self._context

    async def http(self, request: web.BaseRequest, *, secure: bool) -> web.StreamResponse:
        if request.path == "/hang":
            self.reached.set()
            await asyncio.Event().wait()
        if request.path == "/close" and request.transport is not None:
            request.transport.abort()
        return web.Response(text=f"{self.name} {'https' if secure else 'http'} {(await request.read()).decode()}")

    def snmp(self) -> SnmpAgent | None:
        return None

    def ssh(self) -> asyncssh.SSHServer | None:
        return Shell() if self.shell else None

    def ssh_host_key(self) -> asyncssh.SSHKey:
        return certs.host_key(self.name)

    def faults(self) -> dict[str, str]:
        return {}

    async def switch(self, fault: str, on: bool) -> None:
        raise KeyError(fault)


class Shell(asyncssh.SSHServer):
    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == ("admin", "right")


@asynccontextmanager
async def nothing_left() -> AsyncIterator[None]:
    """After the block there is no task that was not there before, and no warning of something left open."""
    before = asyncio.all_tasks()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
        gc.collect()
    assert asyncio.all_tasks() - before == set()


def on(work: Callable[[], Any]) -> None:
    async def watched() -> None:
        async with nothing_left():
            await work()

    with asyncio.Runner() as runner:
        runner.run(watched())


def url(device: Plain, ports: Ports, path: str = "/", *, secure: bool = True) -> str:
    return f"{'https' if secure else 'http'}://{device.address}:{ports.https if secure else ports.http}{path}"


def test_the_address_says_which_device_is_meant_on_both_ports() -> None:
    async def work() -> None:
        devices = [Plain(f"d{n}", f"127.77.8.{n}") for n in range(1, 21)]
        async with serve(devices) as ports, aiohttp.ClientSession() as session:
            for secure in (True, False):
                for device in devices:
                    async with session.post(url(device, ports, secure=secure), data=b"body", ssl=False) as answer:
                        assert await answer.text() == f"{device.name} {'https' if secure else 'http'} body"
            assert (ports.traffic.connections, ports.traffic.handshakes, ports.traffic.requests) == (40, 20, 40)

    on(work)


def test_requests_ride_on_one_connection() -> None:
    async def work() -> None:
        device = Plain("d", "127.77.8.1")
        async with serve([device]) as ports, aiohttp.ClientSession() as session:
            for _ in range(5):
                async with session.get(url(device, ports), ssl=False) as answer:
                    assert answer.status == 200
            assert (ports.traffic.connections, ports.traffic.requests) == (1, 5)

    on(work)


def test_an_unknown_address_and_an_unpowered_device_reset_the_connection() -> None:
    async def work() -> None:
        device = Plain("d", "127.77.8.1")
        device.powered = False

        async def connected(address: str, port: int) -> None:
            loop = asyncio.get_running_loop()
            with socket.socket() as sock:
                sock.setblocking(False)
                await loop.sock_connect(sock, (address, port))
                await loop.sock_recv(sock, 10)

        async with serve([device]) as ports:
            for address in ("127.77.8.1", "127.77.8.99"):
                for port in (ports.https, ports.http, ports.ssh):
                    with pytest.raises(ConnectionResetError):
                        await asyncio.wait_for(connected(address, port), 2)

    on(work)


def test_leaving_closes_what_hangs_is_idle_or_half_open() -> None:
    async def work() -> None:
        device = Plain("d", "127.77.8.1", shell=True)
        async with aiohttp.ClientSession() as session:
            async with serve([device]) as ports:
                async with session.get(url(device, ports), ssl=False) as answer:  # its connection stays idle
                    await answer.read()
                hanging = asyncio.ensure_future(session.get(url(device, ports, "/hang"), ssl=False))
                half_open = [await asyncio.open_connection(device.address, port) for port in (ports.https, ports.ssh)]
                shell = await asyncssh.connect(device.address, ports.ssh, username="admin", password="right", known_hosts=None, config=None)
                await device.reached.wait()
            with pytest.raises(aiohttp.ClientError):
                await hanging
            await asyncio.wait_for(shell.wait_closed(), 2)
            for _, writer in half_open:
                writer.close()
                await asyncio.gather(writer.wait_closed(), return_exceptions=True)
            with pytest.raises(aiohttp.ClientError):
                await session.get(url(device, ports), ssl=False)

    on(work)


def test_a_shell_shows_the_key_of_its_device_and_lets_in_whom_it_knows() -> None:
    async def work() -> None:
        with_shell, without = Plain("d1", "127.77.8.1", shell=True), Plain("d2", "127.77.8.2")
        async with serve([with_shell, without]) as ports:
            known = asyncssh.import_known_hosts(f"[127.77.8.1]:{ports.ssh} {certs.host_key('d1').export_public_key().decode()}")
            options: dict[str, Any] = {"username": "admin", "config": None, "known_hosts": known, "client_keys": None, "agent_path": None}
            async with asyncssh.connect("127.77.8.1", ports.ssh, password="right", **options) as connection:
                assert connection.get_extra_info("peername")[0] == "127.77.8.1"
            with pytest.raises(asyncssh.PermissionDenied):
                await asyncssh.connect("127.77.8.1", ports.ssh, password="wrong", **options)
            with pytest.raises((asyncssh.ConnectionLost, OSError)):
                await asyncssh.connect("127.77.8.2", ports.ssh, password="right", **options)
            assert ports.traffic.ssh_connections == 2

    on(work)


def test_clients_that_break_off_leave_no_trace() -> None:
    async def work() -> None:
        device = Plain("d", "127.77.8.1")
        async with serve([device]) as ports, aiohttp.ClientSession() as session:
            for said in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff"):
                _, writer = await asyncio.open_connection(device.address, ports.https)
                writer.write(said)
                await writer.drain()
                writer.transport.abort()
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await session.get(url(device, ports))
            with pytest.raises(aiohttp.ClientError):
                await session.get(url(device, ports, "/close"), ssl=False)
            async with session.get(url(device, ports), ssl=False) as answer:
                assert answer.status == 200

    on(work)


def test_a_fleet_answers_in_one_process_over_http_and_snmp() -> None:
    bindings = ber.sequence(ber.sequence(ber.oid((1, 3, 6, 1, 2, 1, 1, 5, 0)), ber.NULL_VALUE))
    pdu = ber.sequence(ber.integer(1), ber.integer(0), ber.integer(0), bindings, tag=GET)
    sys_name = ber.sequence(ber.integer(1), ber.octets(fleet.COMMUNITY), pdu)

    def ask_all(addresses: list[str], port: int) -> set[str]:
        answered = set()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(2)
            for address in addresses:
                sock.sendto(sys_name, (address, port))
                answered.add(sock.recvfrom(2000)[1][0])
        return answered

    async def work() -> None:
        members = fleet.fleet(300, vendor="axis")
        addresses = [member.device.address for member in members]
        async with serve([member.device for member in members]) as ports, aiohttp.ClientSession() as session:
            serials = set()
            for address in addresses:
                body = {"apiVersion": "1.0", "method": "getAllUnrestrictedProperties"}
                async with session.post(f"http://{address}:{ports.http}/axis-cgi/basicdeviceinfo.cgi", json=body) as answer:
                    serials.add((await answer.json())["data"]["propertyList"]["SerialNumber"])
            assert len(serials) == 300
            assert await asyncio.to_thread(ask_all, addresses, ports.snmp) == set(addresses)

    on(work)


async def test_a_cable_that_is_pulled_during_an_answer_cuts_the_connection() -> None:
    device = Plain("d", "127.77.8.1")
    async with serve([device]) as ports, aiohttp.ClientSession() as session:
        async with session.get(url(device, ports, secure=False)) as answer:
            assert answer.status == 200
        device.powered = False
        with pytest.raises(aiohttp.ClientError):
            await session.post(url(device, ports, secure=False), data=b"x")


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_sockets_are_bound_to_the_loopback_interface(kind: socket.SocketKind) -> None:
    with listener._bind(0, kind) as bound:
        assert bound.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16) == b"lo\0"


def test_a_kernel_that_refuses_the_interface_is_named_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "SO_BINDTODEVICE", 9999)
    with pytest.raises(OSError, match=r"does not let us bind a socket to the interface lo .* run it as root or with CAP_NET_RAW"):
        listener._bind(0, socket.SOCK_STREAM)


async def test_a_port_that_is_taken_is_named() -> None:
    async with serve([]) as ports:
        with pytest.raises(OSError, match=f"port {ports.http} cannot be bound"):
            await serve([], http_port=ports.http).__aenter__()


async def test_two_devices_at_one_address_and_an_address_outside_loopback_are_refused() -> None:
    with pytest.raises(ValueError, match="both have the address"):
        await serve([Plain("a", "127.77.8.1"), Plain("b", "127.77.8.1")]).__aenter__()
    with pytest.raises(ValueError, match="give it one in 127"):
        await serve([Plain("a", "192.0.2.1")]).__aenter__()


def test_certificates_and_host_keys_come_back_the_same() -> None:
    first, second = (certs.certificate("seed", "cn.example.org", "Org") for _ in range(2))
    assert first == second
    assert certs.certificate("other", "cn.example.org", "Org") != first
    assert certs.host_key("seed").export_public_key() == certs.host_key("seed").export_public_key()


# --- control and fleet ------------------------------------------------------------------------------------------------


async def test_faults_are_switched_and_counters_read_over_http() -> None:
    devices: list[SimulatedDevice] = [AxisDevice(name="gate", address="127.77.8.1", product=DOME_11), VideoOs(name="room", address="127.77.8.2")]
    async with serve(devices) as ports, control(devices, ports.traffic) as port, aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        async with session.post("/devices/gate/faults/sd_failed", json={"on": True}) as answer:
            assert answer.status == 204
        async with session.get("/devices") as answer:
            gate, room = await answer.json()
        assert (gate["name"], gate["address"], gate["active"]) == ("gate", "127.77.8.1", ["sd_failed"])
        assert gate["faults"] == devices[0].faults()
        assert room["active"] == []
        async with session.get(f"https://127.77.8.1:{ports.https}/axis-cgi/usergroup.cgi", ssl=False) as answer:
            assert answer.status == 401
        async with session.get("/devices/gate/counters") as answer:
            counted = await answer.json()
        assert counted["requests"] == {"/axis-cgi/usergroup.cgi": 1}
        assert (counted["refused_logins"], counted["challenges"], counted["sessions_open"]) == (0, 1, 0)
        async with session.get("/devices/room/counters") as answer:
            assert {"requests", "refused_logins", "sessions_open"} <= (await answer.json()).keys()
        async with session.get("/traffic") as answer:
            assert (await answer.json())["requests"] == 1


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("/devices/nobody/faults/reboot", b'{"on": true}', 404, "no device 'nobody'"),
        ("/devices/gate/faults/fire", b'{"on": true}', 404, "known are abr_error"),
        ("/devices/gate/faults/reboot", b"", 400, "the body must be"),
        ("/devices/gate/faults/reboot", b'{"on": 1}', 400, "the body must be"),
        ("/devices/gate/faults/reboot", b"[]", 400, "the body must be"),
    ],
)
async def test_wrong_orders_are_refused_in_words(path: str, body: bytes, status: int, says: str) -> None:
    device = AxisDevice(name="gate", address="127.77.8.1")
    async with serve([device]) as ports, control([device], ports.traffic) as port, aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        async with session.post(path, data=body) as answer:
            assert answer.status == status
            assert says in await answer.text()
        assert device.counters.reboots == 0


def test_the_demo_has_six_rooms_with_an_e70_and_six_axis_devices_of_four_kinds() -> None:
    members = fleet.demo()
    assert [member.vendor for member in members].count("poly") == 6
    cameras = [member.device for member in members if isinstance(member.device, AxisDevice)]
    assert {camera.product.kind for camera in cameras} == {"camera", "speaker", "io_module", "intercom"}
    assert {camera.product.generation.name for camera in cameras} == {"5.51", "1.84", "10.12", "11.11", "12.x"}
    assert [part.model for member in members for part in member.parts] == ["Studio E70"]
    assert all(member.device.address.startswith("127.77.0.") for member in members)
    assert len({member.device.name for member in members}) == 12


def test_a_load_fleet_has_its_own_addresses_names_and_serial_numbers() -> None:
    members = fleet.fleet(600)
    assert len({member.device.address for member in members}) == 600
    assert len({member.device.name for member in members}) == 600
    serials = [member.device.state.serial for member in members if isinstance(member.device, AxisDevice)]
    assert len(set(serials)) == len(serials) == 450
    with pytest.raises(ValueError, match="up to 62,500"):
        fleet.fleet(70_000)


def test_the_written_config_is_one_the_loader_takes(tmp_path: Path) -> None:
    from collectors.axis.settings import AxisSettings
    from collectors.poly.settings import PolySettings

    members = fleet.demo()
    file = fleet.write_config(tmp_path / "demo", members, Ports(https=8443, http=8080, snmp=1161, ssh=2222))
    settings = load(file, vendors={"axis": AxisSettings, "poly": PolySettings}, desks={})
    assert [device.id for device in settings.devices if not device.parent] == [member.device.name for member in members]
    assert settings.warnings == ()
    for secret in file.parent.iterdir():
        assert secret.stat().st_mode & 0o777 == (0o644 if secret == file else 0o600)


async def test_the_process_prints_one_line_switches_faults_and_stops_when_told(tmp_path: Path) -> None:
    words = [word for name in ("https", "http", "snmp", "ssh", "control") for word in (f"--{name}-port", "0")]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-W",
        "error",
        "-m",
        "simulator",
        *words,
        "--write-config",
        str(tmp_path),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ,
    )
    try:
        assert process.stdout is not None
        ready = json.loads(await asyncio.wait_for(process.stdout.readline(), 30))
        assert len(ready["devices"]) == 12
        assert (await asyncio.to_thread(Path(ready["config"]).read_text)).count(f"\n  port: {ready['ports']['https']}\n") == 11
        async with aiohttp.ClientSession() as session:
            gate = next(device for device in ready["devices"] if device["name"] == "gate-2")
            async with session.post(f"http://127.0.0.1:{ready['ports']['control']}/devices/gate-2/faults/unplugged", json={"on": True}) as answer:
                assert answer.status == 204
            with pytest.raises(aiohttp.ClientError):
                await session.get(f"https://{gate['address']}:{ready['ports']['https']}/", ssl=False)
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = await asyncio.wait_for(process.communicate(), 15)
    assert (process.returncode, errors) == (0, b"")
