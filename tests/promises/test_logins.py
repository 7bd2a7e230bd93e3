"""Promise 1, counted at the devices: the real daemon with a wrong password, killed where it hurts most, again and again.

Four credentials, each of several devices: whatever is killed when, and whatever is asked from the command line, a wrong one is refused once in all.
"""

from __future__ import annotations

import json
import random
import sqlite3
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest
import yaml

from simulator.axis.device import DEMO_PASSWORD
from simulator.fleet import ROOM_PASSWORD, SNMP_USER
from tests.cli.terminal import latarnik
from tests.e2e.site import Simulator
from tests.promises.login_fleet import CAMERAS, HALL_PASSWORD, HALLS, ROOMS
from tests.support.crash import Forked, Point, forked
from tests.support.processes import free_port, get, process, wait_for
from tests.support.promises import Tried, scale

GUARD = "agent.polling.guard:PassingGuard"
POINTS = {
    "before the note": [Point(where="agent.store.queries:save_login", nth=n) for n in (1, 2, 3)],
    "after the note, before the request": [Point(where=f"{GUARD}._note", nth=n, when="after") for n in (1, 2, 3, 4)],
    "after the request": [
        *(Point(where="collectors.transport.wire:Wire._write", nth=n, when="after") for n in range(1, 16)),
        *(Point(where="pysnmp.carrier.asyncio.dgram.base:DgramAsyncioProtocol.send_message", nth=n, when="after") for n in (1, 2, 3)),
        Point(where="collectors.transport.ssh:_Client._give", when="after"),
    ],
    "after the answer": [
        *(Point(where=f"{GUARD}.refused", nth=n) for n in (1, 2, 3, 4)),
        Point(where="collectors.transport.auth:Login.answered_401"),
        Point(where="collectors.transport.ssh:SshConnection._denied"),
        Point(where="collectors.poly.session:ManagementSession._enter"),
    ],
    "after the refusal was written": [Point(where=f"{GUARD}.refused", nth=n, when="after") for n in (1, 2, 3, 4)],
}
SHARED = {"cameras": CAMERAS, "rooms": ROOMS, "halls": HALLS, "snmp": CAMERAS}
RIGHT = {"cameras": DEMO_PASSWORD, "rooms": ROOM_PASSWORD, "halls": HALL_PASSWORD, "snmp.auth": SNMP_USER.auth_password, "snmp.priv": SNMP_USER.priv_password}
WRONG = {**RIGHT, "cameras": "Nieprawda-1", "rooms": "Nieprawda-2", "halls": "Nieprawda-3", "snmp.auth": "Nieprawda-4"}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with process([sys.executable, "-m", "tests.promises.login_fleet"], tmp_path_factory.mktemp("fleet") / "simulator.log") as running:

        def ready() -> dict[str, Any] | None:
            assert running.child.poll() is None, running.text()
            line = running.text().partition("\n")
            return json.loads(line[0]) if line[1] else None

        told = wait_for("the simulated devices answer", ready)
        yield Simulator(ports=told["ports"], addresses=told["addresses"])


@dataclass(slots=True, kw_only=True)
class Site:
    """A configuration of all these devices with its state, and one daemon after the other.

    `base` and `base_in`: the refusals and logins that the devices had counted before.
    """

    folder: Path
    fleet: Simulator
    snmp: bool
    listen: int = field(default_factory=free_port)
    base: dict[tuple[str, str], int] = field(default_factory=dict)
    base_in: dict[tuple[str, str], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self.base, self.base_in = self._refusals(), self.let_in()

    @property
    def config(self) -> Path:
        return self.folder / "latarnik.yaml"

    def write(self, secrets: Mapping[str, str]) -> None:
        for name, secret in secrets.items():
            (self.folder / name).write_text(secret + "\n")
            (self.folder / name).chmod(0o600)
        snmp = {"version": 3, "user": SNMP_USER.name, "auth": "sha256", "auth_key_file": "snmp.auth", "priv": "aes128", "priv_key_file": "snmp.priv"}
        more = {"snmp": "snmp"} if self.snmp else {}
        document = {
            "site": {"name": "przyklad", "timezone": "Europe/Warsaw"},
            "state_dir": "state",
            "listen": f"127.0.0.1:{self.listen}",
            "polling": {"interval": "1s"},
            "credentials": {
                "cameras": {"username": "operator", "password_file": "cameras"},
                "rooms": {"username": "admin", "password_file": "rooms"},
                "halls": {"username": "admin", "password_file": "halls"},
                "snmp": {"snmp": snmp},
            },
            "desks": {},
            "devices": [
                *(self._entry(name, "axis", credentials={"http": "cameras", **more}, snmp_port=self.fleet.ports["snmp"]) for name in CAMERAS),
                *(self._entry(name, "poly", credentials="rooms", ssh_port=self.fleet.ports["ssh"]) for name in ROOMS),
                *(self._entry(name, "poly", credentials="halls", ssh_port=self.fleet.ports["ssh"]) for name in HALLS),
            ],
        }
        self.config.write_text(yaml.safe_dump(document, sort_keys=False))

    def _entry(self, name: str, vendor: str, **more: Any) -> dict[str, Any]:
        return {"id": name, "vendor": vendor, "host": self.fleet.addresses[name], "port": self.fleet.ports["https"], "tls": {"mode": "tofu"}} | more

    def daemon(self, *points: Point) -> Any:
        return forked(self.config, self.folder / "log", *points)

    def devices(self) -> dict[str, dict[str, Any]]:
        return {d["id"]: d for d in json.loads(get(f"http://127.0.0.1:{self.listen}/api/v1/devices"))["devices"]}

    def polled(self, daemon: Forked) -> bool:
        """Whether this daemon is dead, or has polled every device."""
        if daemon.process.exitcode is not None:
            assert daemon.process.exitcode == -9, daemon.text()[-3000:]
            return True
        try:
            return '"watching"' in daemon.text() and all(d["last_poll"] for d in self.devices().values())
        except (OSError, HTTPException):
            return False  # it died meanwhile

    def cli(self, *arguments: str) -> str:
        done = latarnik(*arguments, "--config", str(self.config))
        assert done.code in (0, 1), done
        assert "Traceback" not in done.err
        return done.out + done.err

    def _refusals(self) -> dict[tuple[str, str], int]:
        """What each device counted, by credential."""
        found = {}
        for credential, names in SHARED.items():
            for name in names:
                counters = self.fleet.counters(name)
                snmp = counters.get("snmp", {})
                refused = [snmp.get(word, 0) for word in ("unknown_user", "wrong_digest", "decryption_error")]
                found[credential, name] = sum(refused) if credential == "snmp" else counters["refused_logins"]
        return found

    def refused(self) -> dict[str, int]:
        """Refused logins since the start of this site, by credential, of all its devices together."""
        now = self._refusals()
        return {credential: sum(now[credential, name] - self.base[credential, name] for name in names) for credential, names in SHARED.items()}

    def let_in(self) -> dict[tuple[str, str], int]:
        """How often each device let each credential in."""
        found = {}
        for credential in self.used:
            for name in SHARED[credential]:
                counters = self.fleet.counters(name)
                word = "snmp" if credential == "snmp" else "logins" if name in CAMERAS else "logins_ok"
                found[credential, name] = counters[word].get("get", 0) if credential == "snmp" else sum(counters[word].values())
        return found

    @property
    def used(self) -> list[str]:
        return [credential for credential in SHARED if self.snmp or credential != "snmp"]

    def notes(self) -> dict[str, list[str]]:
        """The states of the notes of each credential."""
        with sqlite3.connect(self.folder / "state" / "latarnik.sqlite3") as database:
            rows = database.execute("SELECT credential, state FROM logins").fetchall()
        database.close()
        return {credential: [state for name, state in rows if name == credential] for credential in self.used}

    def refused_once(self) -> None:
        """A wrong credential was tried at one device, and refused by it, unless we were killed before it went out."""
        refused = self.refused()
        for credential, states in self.notes().items():
            assert states in (["refused"], ["interrupted"]), (credential, states)
            assert refused[credential] <= 1, refused
            assert refused[credential] == 1 or states == ["interrupted"], (credential, refused, states)

    def an_hour_later(self) -> None:
        """A room's login that was killed between its request and its answer may have left a session: it is waited out (promise 2), not here."""
        for note in (self.folder / "state" / "sessions").glob("*.json"):
            values = json.loads(note.read_text())
            if "login_started" in values:
                note.write_text(json.dumps({"login_started": (datetime.fromisoformat(values["login_started"]) - timedelta(hours=1)).isoformat()}))

    def everybody_in(self) -> None:
        def left_out() -> list[tuple[str, str]]:
            now = self.let_in()
            return [key for key in now if now[key] == self.base_in[key]]

        wait_for(f"every device lets every credential in, {left_out()} did not yet", lambda: not left_out(), 60)


def killed_and_restarted(site: Site, points: Sequence[Point]) -> int:
    """A daemon for each point, killed there or after its first polls; then one that lives, and every command. Returns how many died at their point."""
    died = 0
    for number, point in enumerate(points):
        with site.daemon(point) as daemon:
            wait_for("the daemon died or polled", lambda: site.polled(daemon))
            died += daemon.process.exitcode == -9
            if number % 2 and daemon.process.exitcode is None:
                site.cli("poll", CAMERAS[0])
            daemon.kill()
        if number % 3 == 0:
            site.cli("poll", (*CAMERAS, *ROOMS, *HALLS)[number % 7])
    with site.daemon() as daemon:
        wait_for("every device was polled", lambda: site.polled(daemon))
        for name in (CAMERAS[1], ROOMS[1], HALLS[1]):
            site.cli("poll", name)
        assert all(device["up"] for device in site.devices().values()), "held back is not down"
        site.refused_once()
        assert daemon.stop() == 0
    for name in (CAMERAS[2], ROOMS[0]):
        site.cli("poll", name)
    site.refused_once()
    return died


def sequence(rng: random.Random, length: int) -> list[Point]:
    """Points of every kind in turn, so that each kind is often the first, where something is still to be tried."""
    kinds = rng.sample(list(POINTS), k=len(POINTS))
    return [rng.choice(POINTS[kinds[n % len(kinds)]]) for n in range(length)]


def corrected(site: Site, points: Sequence[Point]) -> int:
    """Wrong passwords in the files, then the right ones. Returns how many daemons died at their point."""
    site.write(WRONG)
    died = killed_and_restarted(site, points)
    before = site.refused()
    site.write(RIGHT)
    site.an_hour_later()
    with site.daemon() as daemon:
        site.everybody_in()
        wait_for("nothing is blocked", lambda: not any(d["login_blocked"] for d in site.devices().values()))
        assert daemon.stop() == 0
    assert site.refused() == before
    return died


def mended(site: Site, points: Sequence[Point], *, beside: bool) -> int:
    """Passwords changed on the devices, then put right there, and `latarnik unblock`, beside a running daemon or before it starts."""
    site.write(RIGHT)
    everybody = (*CAMERAS, *ROOMS, *HALLS)
    for name in everybody:
        site.fleet.switch(name, "wrong_password", on=True)
    try:
        died = killed_and_restarted(site, points)
    finally:
        for name in everybody:
            site.fleet.switch(name, "wrong_password", on=False)
    before = site.refused()
    blocked = [d["id"] for d in json.loads(site.cli("list", "--output", "json"))["devices"] if d["login_blocked"]]
    assert len(blocked) == len(site.used)
    site.an_hour_later()

    def unblock() -> None:
        for name in blocked:
            assert "1 refusal forgotten" in site.cli("unblock", name)

    if not beside:
        unblock()
    with site.daemon() as daemon:
        if beside:
            wait_for("every device was polled", lambda: site.polled(daemon))
            unblock()
        site.everybody_in()
        assert daemon.stop() == 0
    assert site.refused() == before
    return died


@pytest.mark.promise(1)
def test_a_wrong_password_is_refused_once_in_all_and_the_corrected_one_is_let_in(fleet: Simulator, tmp_path: Path, tried: Tried) -> None:
    restarts, died = 0, 0
    for series in range(scale(1, 20)):
        points = sequence(random.Random(series), 5)
        died += corrected(Site(folder=tmp_path / str(series), fleet=fleet, snmp=True), points)
        restarts += len(points) + 1
    assert died
    tried("restarts with a wrong password at seven devices", restarts)
    tried("of these killed at their point", died)


@pytest.mark.promise(1)
def test_a_password_mended_on_the_devices_is_let_in_after_unblock(fleet: Simulator, tmp_path: Path, tried: Tried) -> None:
    restarts, died = 0, 0
    for series in range(scale(2, 10)):
        points = sequence(random.Random(1000 + series), scale(1, 5))
        died += mended(Site(folder=tmp_path / str(series), fleet=fleet, snmp=False), points, beside=series % 2 == 0)
        restarts += len(points) + 1
    assert died
    tried("restarts while seven devices refuse", restarts)
    tried("of these killed at their point", died)
