from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.errors import StartError
from agent.traps import sockets
from config.values import parse_listen
from tests.config.toys import load_text
from tests.systemd.test_unit import analyze
from tests.systemd.unit import ROOT, read_unit
from tests.transport.snmpd import free_udp_port
from tests.traps.traffic import v2c

SOCKET = ROOT / "systemd" / "latarnik-traps.socket"


@contextmanager
def activated(port: int, *, name: str = sockets.NAME, datagram: bool = True) -> Iterator[subprocess.Popen[str]]:
    tool = shutil.which("systemd-socket-activate")
    assert tool, "systemd-socket-activate is missing: apt-get install systemd"
    command = [tool, *(["--datagram"] if datagram else []), "-l", f"127.0.0.1:{port}", f"--fdname={name}", sys.executable, "-m", "tests.traps.handed"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            while "Listening on" not in process.stderr.readline():
                assert process.poll() is None
            yield process
        finally:
            process.kill()
            process.communicate()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_socket_that_systemd_hands_over_is_used_and_found_again_after_a_reload() -> None:
    port = free_udp_port()
    with activated(port) as process, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.sendto(v2c(), ("127.0.0.1", port))
        for _ in range(2):
            assert line(process) == f"listens on [('127.0.0.1', {port})], inherited by children: False"
            assert line(process) == "gate-2: alarmNew: Fan Operation"
            assert line(process) == "closed"
            out.sendto(v2c(), ("127.0.0.1", port))
        assert process.wait(30) == 0


def test_a_socket_of_another_name_is_not_ours() -> None:
    port = free_udp_port()
    with activated(port, name="something-else") as process, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.sendto(v2c(), ("127.0.0.1", port))
        assert line(process).startswith("listens on [],")


def test_a_socket_that_is_none_of_udp_is_refused_with_the_remedy() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with activated(port, datagram=False) as process, socket.create_connection(("127.0.0.1", port)):
        assert line(process) == (
            "StartError: the socket latarnik-traps that systemd handed over is none of UDP: its unit needs ListenDatagram=, as in systemd/latarnik-traps.socket"
        )


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"LISTEN_PID": "1", "LISTEN_FDS": "1", "LISTEN_FDNAMES": sockets.NAME},
        {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "x", "LISTEN_FDNAMES": sockets.NAME},
        {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"},
    ],
)
def test_what_was_not_handed_over_to_us_is_not_touched(environ: dict[str, str]) -> None:
    assert sockets.handed_over(environ) == []


def test_a_name_for_which_there_is_no_socket_is_a_start_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "_FIRST", 900)
    with pytest.raises(StartError, match=r"latarnik-traps\.socket"):
        sockets.handed_over({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": sockets.NAME})


async def test_a_port_that_only_root_may_open_names_the_socket_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> socket.socket:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(sockets, "_bound", refused)  # the tests may run as root, who may
    with pytest.raises(StartError, match=r"127\.0\.0\.1:162: Permission denied; .*latarnik-traps\.socket \(docs/install\.md\).*1162"):
        await sockets.bound(parse_listen("127.0.0.1:162"))


async def test_a_name_listens_on_those_of_its_addresses_that_this_machine_has() -> None:
    made = await sockets.bound(parse_listen("localhost:0"))
    try:
        assert "127.0.0.1" in {sock.getsockname()[0] for sock in made}
    finally:
        for sock in made:
            sock.close()


# --- the configuration and the unit

CONFIG = "site: {name: hq}\ndevices: []\n"


def test_traps_are_off_unless_an_address_is_given(tmp_path: Path) -> None:
    assert load_text(tmp_path, CONFIG).traps.listen is None
    listen = load_text(tmp_path, CONFIG + 'traps: {listen: "[::1]:1162"}\n').traps.listen
    assert listen is not None
    assert (listen.host, listen.port) == ("::1", 1162)


def test_a_port_under_1024_is_doubtful_and_the_warning_names_both_ways_out(tmp_path: Path) -> None:
    (warning,) = load_text(tmp_path, CONFIG + 'traps: {listen: "0.0.0.0:162"}\n').warnings
    assert str(warning).endswith(
        "traps.listen: a port under 1024 is not open to the service: leave this out and enable latarnik-traps.socket, or take another one, such as 1162"
    )


def test_systemd_understands_every_line_of_the_socket_unit(tmp_path: Path) -> None:
    service = (ROOT / "systemd" / "latarnik.service").read_text().replace("/opt/latarnik/bin/python", "/bin/true").replace("User=latarnik", "User=root")
    (tmp_path / "latarnik.service").write_text(service.replace("Group=latarnik", ""))
    for text, complaints in ((SOCKET.read_text(), 0), (SOCKET.read_text().replace("ListenDatagram", "ListenDatagrams"), 1)):
        (tmp_path / SOCKET.name).write_text(text)
        done = analyze("verify", "--man=no", str(tmp_path / SOCKET.name))
        said = [line for line in (done.stdout + done.stderr).splitlines() if f"{SOCKET.name}:" in line]
        assert bool(said) == bool(complaints), said


def test_the_socket_unit_gives_the_service_the_socket_that_the_daemon_looks_for_and_goes_with_it() -> None:
    sections = read_unit(SOCKET.read_text()).sections
    assert sections["Socket"]["FileDescriptorName"] == [sockets.NAME]
    assert sections["Socket"]["Service"] == ["latarnik.service"]
    assert sections["Socket"]["ListenDatagram"] == ["162"]
    assert sections["Unit"]["PartOf"] == sections["Install"]["WantedBy"] == ["latarnik.service"]
    assert "systemctl enable latarnik-traps.socket" in (ROOT / "docs" / "install.md").read_text()
