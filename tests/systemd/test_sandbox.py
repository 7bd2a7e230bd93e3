"""The real daemon under the unit's limits: what the unit forbids is not needed.

As root in a file system and under a user as the unit has them; as anybody else with the limits that need no privilege.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.processes import Process, events, free_port, get, process, wait_for
from tests.systemd.launch import USER
from tests.systemd.manager import Manager, manager
from tests.systemd.sandbox import SOURCE
from tests.systemd.unit import ROOT, ours

PROBE = Path(__file__).with_name("probe.py").relative_to(ROOT)
DEVICES = ("room-314", "room-106", "gate-2", "yard-ptz", "stairs-old")
"""HTTPS with a session, SSH alone, HTTPS with SNMP v3, HTTPS with SNMP v2c, plain HTTP with digest."""

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="a file system of one's own takes root; the limits that anybody can set are tested as anybody")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """How a command is started under the unit's limits, and where it sees the folders of the test."""

    launcher: list[str]
    python: str
    source: Path
    config: Path
    state: Path
    credentials: Path
    folder: Path

    def command(self, *words: str) -> list[str]:
        return [*self.launcher, "--", *words]

    def environment(self, systemd: Manager) -> dict[str, str]:
        """What systemd would set, and nothing of ours but the way to the source."""
        unit = ours()
        return {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin",
            "LANG": "C.UTF-8",
            "USER": unit.one("User"),
            "HOME": "/var/lib/latarnik",
            "PYTHONPATH": str(self.source),
            "STATE_DIRECTORY": str(self.state),
            "CONFIGURATION_DIRECTORY": str(self.config.parent),
            "CREDENTIALS_DIRECTORY": str(self.credentials),
            "NOTIFY_SOCKET": systemd.address,
            "WATCHDOG_USEC": "2400000",
        }


def open_cell(folder: Path) -> Cell:
    """The limits alone."""
    launcher = [sys.executable, "-m", "tests.systemd.launch"]
    paths = {name: folder / name for name in ("etc", "state", "credentials")}
    for path in paths.values():
        path.mkdir()
    return Cell(
        launcher=launcher,
        python=sys.executable,
        source=ROOT,
        config=paths["etc"] / "latarnik.yaml",
        state=paths["state"],
        credentials=paths["credentials"],
        folder=folder,
    )


def closed_cell(folder: Path) -> Cell:
    """Limits, file system and user."""
    cell = open_cell(folder)
    (folder / "root").mkdir()
    unit = ours()
    state, config = Path("/var/lib") / unit.one("StateDirectory"), Path("/etc") / unit.one("ConfigurationDirectory")
    credentials = Path("/run/credentials/latarnik.service")
    os.chown(cell.state, USER[1], USER[1])
    cell.state.chmod(int(unit.one("StateDirectoryMode"), 8))
    binds = ["--bind", f"{cell.config.parent}:{config}", "--bind", f"{cell.credentials}:{credentials}", "--bind-writable", f"{cell.state}:{state}"]
    return Cell(
        launcher=[*cell.launcher, "--new-root", str(folder / "root"), *binds],
        python="/opt/latarnik/bin/python",
        source=SOURCE,
        config=config / "latarnik.yaml",
        state=state,
        credentials=credentials,
        folder=folder,
    )


CELLS = [pytest.param(open_cell, id="limits"), pytest.param(closed_cell, id="limits, file system and user", marks=as_root)]


# --- the cell is closed


def probe(command: list[str], *folders: str) -> dict[str, Any]:
    done = subprocess.run([*command, *folders], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


ALLOWED = ("AF_INET", "AF_INET6", "AF_UNIX", "names without netlink", "memory")
FORBIDDEN = {
    "AF_NETLINK": "EAFNOSUPPORT",
    "AF_PACKET": "EAFNOSUPPORT",
    "memory written and executed": "EPERM",
    "memory executed after it was written": "EPERM",
    "memory written after it was executed": "EPERM",
    "file that runs as its owner": "EPERM",
    "user namespace": "EPERM",
    "processor affinity": "EPERM",
    "same user again": "EPERM",
    "other group list": "EPERM",
    "call that no kernel has": "ENOSYS",
}


def test_outside_the_cell_the_probe_can_do_what_the_cell_forbids() -> None:
    """Otherwise the next test would show nothing. Left out is what takes root, and namespaces, which a container forbids as well."""
    found = probe([sys.executable, str(ROOT / PROBE)], "/tmp")
    left_out = {"user namespace", *(("AF_PACKET", "other group list") if os.geteuid() else ())}
    closed = {trial for trial in FORBIDDEN if trial not in left_out and found["trials"][trial] != "done"}
    assert closed == {"call that no kernel has"}
    assert found["facts"]["no_new_privileges"] == "0"


@pytest.mark.parametrize("make", CELLS)
def test_in_the_cell_what_the_unit_forbids_fails_and_the_rest_works(make: Any, tmp_path: Path) -> None:
    cell = make(tmp_path)
    found = probe(cell.command(cell.python, str(cell.source / PROBE)), str(cell.state))
    assert {trial: found["trials"][trial] for trial in FORBIDDEN} == FORBIDDEN
    assert {found["trials"][trial] for trial in ALLOWED} == {"done"}
    assert found["trials"][f"write to {cell.state}"] == "done"
    assert found["facts"]["no_new_privileges"] == "1"
    assert found["facts"]["umask"] == int(ours().one("UMask"), 8)


@as_root
def test_in_the_closed_cell_only_the_state_folder_and_tmp_can_be_written_and_nobody_else_is_seen(tmp_path: Path) -> None:
    cell = closed_cell(tmp_path)
    folders = ["/", "/etc", "/etc/latarnik", "/opt/latarnik", "/usr", "/var/lib", "/run", "/home", "/run/credentials/latarnik.service"]
    found = probe(cell.command(cell.python, str(cell.source / PROBE)), *folders, "/tmp", "/var/lib/latarnik")
    denied = {found["trials"][f"write to {folder}"] for folder in folders}
    assert denied <= {"EROFS", "EACCES"}
    assert found["trials"]["write to /etc/latarnik"] == "EROFS", "read-only, not only somebody else's"
    assert found["trials"]["write to /tmp"] == found["trials"]["write to /var/lib/latarnik"] == "done"
    facts = found["facts"]
    assert set(facts["capabilities"]) == {"0" * 16}
    assert set(facts["user"]) == {USER[1]}
    assert facts["processes"] == 1
    assert facts["system_of_proc"] is False
    assert facts["homes"] == []


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the machine code of the trial is x86's")
def test_a_call_by_another_architectures_numbers_ends_the_process(tmp_path: Path) -> None:
    cell = open_cell(tmp_path)
    arguments = [cell.python, str(cell.source / PROBE), "--foreign-call", str(cell.state)]
    outside = subprocess.run(arguments, capture_output=True, text=True, check=False)
    inside = subprocess.run(cell.command(*arguments), capture_output=True, text=True, check=False, cwd=ROOT)
    assert int(outside.stdout) > 0
    assert inside.stdout == ""
    assert inside.returncode == -signal.SIGSYS


# --- the daemon works in it


@dataclass(frozen=True, slots=True)
class Fleet:
    """The simulated devices, outside of the cell."""

    folder: Path
    control: int

    def switch(self, device: str, fault: str, *, on: bool) -> None:
        url = f"http://127.0.0.1:{self.control}/devices/{device}/faults/{fault}"
        request = urllib.request.Request(url, json.dumps({"on": on}).encode(), {"Content-Type": "application/json"}, method="POST")
        with urllib.request.urlopen(request, timeout=10):
            pass


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("fleet")
    ports = [word for name in ("https", "http", "snmp", "ssh", "control") for word in (f"--{name}-port", "0")]
    with process([sys.executable, "-m", "simulator", *ports, "--write-config", str(folder)], folder / "simulator.log", cwd=ROOT) as simulator:

        def ready() -> Any:
            assert simulator.child.poll() is None, simulator.text()
            line, newline, _ = simulator.text().partition("\n")
            return json.loads(line) if newline else None

        found = Fleet(folder, wait_for("the simulated fleet", ready)["ports"]["control"])
        # SSH is asked where the web interface is off, and beside a session of the web interface's it has to wait: so off from the beginning.
        found.switch("room-106", "web_off", on=True)
        found.switch("gate-2", "sd_failed", on=True)
        yield found


def furnish(cell: Cell, fleet: Fleet) -> int:
    """Write configuration and credentials as an administrator would, for a few devices; the port of the page.

    Every secret comes as a credential of systemd: no file or variable is named.
    """
    document = yaml.safe_load((fleet.folder / "latarnik.yaml").read_text())
    etc, credentials = cell.folder / "etc", cell.folder / "credentials"
    for name, entry in document["credentials"].items():
        snmp = entry.get("snmp", {})
        for holder, key, credential in (
            (entry, "password_file", name),
            (snmp, "community_file", name),
            (snmp, "auth_key_file", f"{name}.auth"),
            (snmp, "priv_key_file", f"{name}.priv"),
        ):
            if key in holder:
                shutil.copy(fleet.folder / holder.pop(key), credentials / credential)
    port = free_port()
    document |= {
        "listen": f"127.0.0.1:{port}",
        "devices": [device for device in document["devices"] if device["id"] in DEVICES],
        "desks": {"box": {"type": "folder", "path": str(cell.state / "tickets")}},
        "polling": {"interval": "2s"},
        "faults": {"*": {"hold": "1s", "hits": 1}},
        "faults_at_first_sight": "ticket",
    }
    del document["state_dir"]  # $STATE_DIRECTORY
    (etc / "latarnik.yaml").write_text(yaml.safe_dump(document, allow_unicode=True))
    if os.geteuid() == 0:
        for path in (etc, etc / "latarnik.yaml"):
            os.chown(path, 0, USER[1])
            path.chmod(0o750 if path.is_dir() else 0o640)
        for path in (credentials, *credentials.iterdir()):
            os.chown(path, USER[1], USER[1])
            path.chmod(0o500 if path.is_dir() else 0o400)
    return port


def own_command(cell: Cell) -> list[str]:
    """ExecStart; its two paths as they are in this cell."""
    words = ours().command()
    assert words[0] == "/opt/latarnik/bin/python"
    assert words[-1] == "/etc/latarnik/latarnik.yaml"
    return [cell.python, *words[1:-1], str(cell.config)]


@contextmanager
def service(cell: Cell, systemd: Manager) -> Iterator[Process]:
    """The daemon in its cell, as systemd would start it, until it is ready."""
    command = cell.command(*own_command(cell))
    # `env -i`: nothing but what is given.
    words = [f"{key}={value}" for key, value in cell.environment(systemd).items()]
    launch = len(cell.launcher) + 1
    with process([*command[:launch], "/usr/bin/env", "-i", *words, *command[launch:]], cell.folder / "log", cwd=ROOT) as running:
        try:
            systemd.until("READY=1", 40)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{running.text()[-4000:]}") from None
        yield running


@as_root
def test_the_agents_own_memory_and_cpu_are_seen_without_the_systems_part_of_proc(tmp_path: Path) -> None:
    cell = closed_cell(tmp_path)
    script = (
        f"import sys; sys.path.insert(0, '{cell.source}')\n"
        "from exporters.prometheus.own import OwnMetrics\n"
        "print(OwnMetrics([], []).page(openmetrics=False).decode())"
    )
    done = subprocess.run(cell.command(cell.python, "-P", "-c", script), capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    for name in ("process_resident_memory_bytes", "process_cpu_seconds_total", "process_start_time_seconds", "process_open_fds"):
        assert f"\n{name} " in done.stdout


def test_the_daemon_does_its_whole_job_under_the_units_limits(tmp_path: Path, fleet: Fleet) -> None:
    cell = closed_cell(tmp_path) if os.geteuid() == 0 else open_cell(tmp_path)
    port = furnish(cell, fleet)

    def says(*lines: str) -> bool:
        page = get(f"http://127.0.0.1:{port}/metrics")
        return all(line in page for line in lines)

    ways = {"room-314": ("system", "http"), "room-106": ("ssh_identity", "ssh"), "gate-2": ("snmp_system", "snmp"), "yard-ptz": ("snmp_system", "snmp")}
    facets = [f'latarnik_device_facet_ok{{device="{device}",facet="{facet}",source="{source}"}} 1' for device, (facet, source) in ways.items()]
    with manager() as systemd:
        with service(cell, systemd) as running:
            wait_for("every device answers", lambda: says(*(f'latarnik_device_up{{device="{device}"}} 1' for device in DEVICES)))
            wait_for("each way in was used", lambda: says(*facets))
            systemd.until("WATCHDOG=1", 10)
            tickets = tmp_path / "state" / "tickets"
            report = wait_for("the camera's ticket with its report", lambda: next(iter(tickets.glob("*/attachments/*.zip")), None), 60)
            assert report.stat().st_size > 1000
            assert running.stop() == 0
        assert "STOPPING=1" in systemd.during(0.2)
    log = (tmp_path / "log").read_text()
    for refusal in ("Operation not permitted", "Permission denied", "Read-only file system", "not supported by protocol", "not implemented"):
        assert refusal not in log
    assert [line for line in events(tmp_path / "log") if line["level"] in ("error", "critical")] == []
    database = tmp_path / "state" / "latarnik.sqlite3"
    assert database.stat().st_mode & 0o777 == 0o600


@as_root
def test_the_command_beside_the_service_uses_its_configuration_and_credentials(tmp_path: Path, fleet: Fleet) -> None:
    cell = closed_cell(tmp_path)
    furnish(cell, fleet)
    shutil.copytree(tmp_path / "credentials", tmp_path / "etc" / "credentials", copy_function=shutil.copy2)
    with manager() as systemd:
        kept = {key: value for key, value in cell.environment(systemd).items() if key in ("PATH", "LANG", "PYTHONPATH")}
    words = [f"{key}={value}" for key, value in kept.items()]

    def command(credentials: str) -> subprocess.CompletedProcess[str]:
        for path in (tmp_path / "etc" / "credentials", *(tmp_path / "etc" / "credentials").iterdir()):
            os.chown(path, 0, USER[1] if credentials == "group" else 0)
            path.chmod(0o750 if path.is_dir() else 0o640)
        script = str(cell.source / "systemd" / "latarnik.sh")
        return subprocess.run(cell.command("/usr/bin/env", "-i", *words, script, "check-config"), capture_output=True, text=True, check=False, cwd=ROOT)

    # Files of its group; else those that systemd holds for the running service.
    for credentials in ("group", "root"):
        done = command(credentials)
        assert done.returncode == 0, done.stderr
        assert f"{len(DEVICES)} devices" in done.stdout
