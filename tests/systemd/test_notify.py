"""What systemd is told, and when."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
import time
import urllib.error
from pathlib import Path

import pytest
import structlog

from agent.notify import Notifier, watchdog_interval
from tests.support.processes import daemon, free_port, get, process, wait_for
from tests.systemd.manager import manager
from tests.systemd.unit import ours


@pytest.mark.parametrize("abstract", [True, False], ids=["abstract", "path"])
def test_states_of_one_call_arrive_in_one_datagram(abstract: bool, tmp_path: Path) -> None:
    with manager(None if abstract else tmp_path) as systemd:
        Notifier({"NOTIFY_SOCKET": systemd.address}).send("READY=1", "STATUS=watching 3 devices")
        assert systemd.listen(1) == ["READY=1", "STATUS=watching 3 devices"]


def test_without_systemd_nothing_is_sent_and_nothing_is_wrong() -> None:
    with structlog.testing.capture_logs() as lines:
        Notifier({}).send("READY=1")
    assert lines == []


def test_a_socket_that_is_gone_is_said_once_and_so_is_its_return(tmp_path: Path) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})
    with structlog.testing.capture_logs() as lines:
        notifier.send("READY=1")
        notifier.send("WATCHDOG=1")
        with manager(tmp_path) as systemd:
            notifier.send("WATCHDOG=1")
            notifier.send("WATCHDOG=1")
            assert systemd.listen(1) == ["WATCHDOG=1"]
    assert [line["event"] for line in lines] == ["systemd_not_told", "systemd_told_again"]


def test_a_manager_that_does_not_read_does_not_hold_up_the_event_loop(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf, structlog.testing.capture_logs() as lines:
        deaf.bind(str(tmp_path / "notify"))
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})
        queued = int(Path("/proc/sys/net/unix/max_dgram_qlen").read_text())
        begun = time.monotonic()
        for _ in range(queued + 5):
            notifier.send("WATCHDOG=1")
        assert time.monotonic() - begun < 5
        assert [line["event"] for line in lines] == ["systemd_not_told"]


@pytest.mark.parametrize(
    ("environ", "interval"),
    [
        ({"WATCHDOG_USEC": "60000000"}, 30.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_fed_twice_as_often_as_systemd_asks(environ: dict[str, str], interval: float | None) -> None:
    assert watchdog_interval(environ) == interval


def configuration(folder: Path, *, desks: str = "") -> tuple[Path, int]:
    """A daemon with one camera that does not answer."""
    port = free_port()
    config = folder / "latarnik.yaml"
    config.write_text(
        f"site: {{name: test, timezone: Europe/Warsaw}}\nlisten: 127.0.0.1:{port}\nstate_dir: state\npolling: {{interval: 1s, timeout: 1s}}\n"
        f"devices:\n  - {{id: gate-1, vendor: axis, host: 127.0.0.1, port: {free_port()}, scheme: http}}\n{desks}"
    )
    return config, port


def test_ready_is_told_when_it_listens_and_polls_and_stopping_when_it_is_asked_to_end(tmp_path: Path) -> None:
    config, port = configuration(tmp_path)
    with manager(tmp_path) as systemd, daemon(config, tmp_path / "log", env={"NOTIFY_SOCKET": systemd.address}) as running:
        first = systemd.until("READY=1")
        assert first == ["READY=1", "STATUS=watching 1 devices"], "READY=1 is the first thing that is said"
        # No waiting here: what READY=1 says is true when it is said.
        assert get(f"http://127.0.0.1:{port}/-/ready")
        assert (tmp_path / "state" / "control.sock").is_socket()
        wait_for("a poll", lambda: 'latarnik_device_up{device="gate-1"} 0' in get(f"http://127.0.0.1:{port}/metrics"))
        assert running.stop() == 0
        assert systemd.until("STOPPING=1", 1) == ["STOPPING=1"]


def test_ready_is_not_told_while_a_ticket_desk_was_not_asked_yet(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as relay:
        relay.settimeout(30)
        mail = f"{{type: mail, to: [desk@example.org], from: rooms@example.org, smtp: '127.0.0.1:{relay.getsockname()[1]}', tls: none}}"
        config, port = configuration(tmp_path, desks=f"desks:\n  mail: {mail}\n")
        arguments = ["run", "--config", str(config), "--log-format", "json"]
        with manager(tmp_path) as systemd, process(_latarnik(*arguments), tmp_path / "log", env={"NOTIFY_SOCKET": systemd.address}):
            visitor, _ = relay.accept()
            # The relay says nothing: the daemon is at its desk, and not yet at its devices.
            with visitor:
                assert systemd.during(1.5) == []
                assert _status(port, "/-/ready") == 503
            systemd.until("READY=1")


def test_without_a_watchdog_in_the_unit_none_is_fed(tmp_path: Path) -> None:
    config, _ = configuration(tmp_path)
    with manager() as systemd, daemon(config, tmp_path / "log", env={"NOTIFY_SOCKET": systemd.address}):
        systemd.until("READY=1")
        assert systemd.during(2.5) == []


def test_a_reload_is_told_as_a_reload_and_ends_with_ready(tmp_path: Path) -> None:
    config, port = configuration(tmp_path)
    with manager(tmp_path) as systemd, daemon(config, tmp_path / "log", env={"NOTIFY_SOCKET": systemd.address}) as running:
        systemd.until("READY=1")
        reload = shlex.split(ours().one("ExecReload").replace("${MAINPID}", str(running.child.pid)))
        assert subprocess.run(reload, check=False).returncode == 0
        told = systemd.until("READY=1")
        assert told[0] == "RELOADING=1"
        assert any(word.startswith("MONOTONIC_USEC=") for word in told)
        assert "STOPPING=1" not in told
        assert get(f"http://127.0.0.1:{port}/-/ready")


def _latarnik(*words: str) -> list[str]:
    return [sys.executable, "-P", "-m", "agent.cli", *words]


def _status(port: int, path: str) -> int:
    try:
        get(f"http://127.0.0.1:{port}{path}")
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    return 200
