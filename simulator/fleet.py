"""The fleets: a small one of every kind for the demo, large ones for load tests, and the configuration that watches them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from agent.ports import Clock, SystemClock
from simulator.axis import product as axis
from simulator.axis.device import DEMO_PASSWORD, AxisDevice
from simulator.axis.state import Tuning as AxisTuning
from simulator.device import SimulatedDevice
from simulator.listener import Ports
from simulator.poly import Tuning as PolyTuning
from simulator.poly import VideoOs
from simulator.snmp.agent import Access
from simulator.snmp.usm import Auth, Priv, User

ROOM_PASSWORD = "Sternik-4711"
COMMUNITY = "latarnia"
SNMP_USER = User(name="monitor", auth=Auth.SHA256, auth_password="Bosmanska-Kladka-7", priv=Priv.AES128, priv_password="Falochron-Wschodni-3")
_V2C = Access(v2c=True, community=COMMUNITY)
_V3 = Access(users=(SNMP_USER,))

_AXIS_TUNING = AxisTuning(dark=15.0, settle=20.0, report=12.0)
_POLY_TUNING = PolyTuning(refuse_for=15.0, boot_for=45.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part with an entry of its own in the inventory, that has no address."""

    id: str
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A device of the fleet, and how the inventory names it.

    `credentials`: by role, names out of `CREDENTIALS`. `contract`: a name out of `CONTRACTS`.
    """

    device: SimulatedDevice
    vendor: Literal["poly", "axis"]
    room: str
    credentials: dict[str, str]
    contract: str = ""
    scheme: str = "https"
    parts: Sequence[Part] = field(default_factory=tuple)


def demo(clock: Clock | None = None) -> tuple[Member, ...]:
    """Six rooms and six Axis devices, each at 127.77.0.N."""
    clock = clock or SystemClock()
    return (*_rooms(clock), *_axis(clock))


def _rooms(clock: Clock) -> list[Member]:
    rows: list[tuple[str, str, str, tuple[Part, ...]]] = [
        ("room-314", "x30", "3.14", ()),
        ("room-201", "x50-tc8", "2.01", ()),
        ("auditorium", "x70", "0.10", ()),
        ("boardroom", "g7500-e70", "4.01", (Part(id="boardroom-e70", model="Studio E70"),)),
        ("room-105", "x52", "1.05", ()),
        ("room-106", "x52", "1.06", ()),
    ]
    return [
        Member(
            device=VideoOs(
                name=name,
                address=f"127.77.0.{number}",
                profile=profile,
                room_name=f"Sala {room}",
                password=ROOM_PASSWORD,
                clock=clock,
                tuning=_POLY_TUNING,
            ),
            vendor="poly",
            room=room,
            credentials={"http": "rooms"},
            contract="rooms-plus",
            parts=parts,
        )
        for number, (name, profile, room, parts) in enumerate(rows, 10)
    ]


def _axis(clock: Clock) -> list[Member]:
    rows: list[tuple[str, axis.Product, str, Access]] = [
        ("gate-2", axis.DOME_11, "Brama 2", _V3),
        ("yard-ptz", axis.PTZ_12, "Dziedziniec", _V2C),
        ("stairs-old", axis.LEGACY_CAMERA, "Klatka B", _V2C),
        ("lobby-speaker", axis.SPEAKER, "Hol", Access()),
        ("plant-io", axis.IO_MODULE, "Kotłownia", _V2C),
        ("gate-intercom", axis.INTERCOM, "Brama 1", _V3),
    ]
    return [
        Member(
            device=AxisDevice(name=name, address=f"127.77.0.{number}", product=product, snmp=access, clock=clock, tuning=_AXIS_TUNING),
            vendor="axis",
            room=room,
            credentials={"http": "cameras", "service": "cameras-admin"} | _snmp_credential(access),
            contract="cameras",
            scheme="http" if product is axis.LEGACY_CAMERA else "https",
        )
        for number, (name, product, room, access) in enumerate(rows, 30)
    ]


def _snmp_credential(access: Access) -> dict[str, str]:
    if access.users:
        return {"snmp": "snmp-v3"}
    return {"snmp": "snmp-ro"} if access.enabled else {}


def fleet(n: int, *, vendor: Literal["axis", "poly", "mixed"] = "mixed", clock: Clock | None = None) -> tuple[Member, ...]:
    """N devices for load tests; of `mixed` every fourth is a room. Axis devices answer SNMP v2c and v3."""
    clock = clock or SystemClock()
    if not 0 <= n <= 62_500:
        raise ValueError(f"a fleet has up to 62,500 devices, not {n}")
    return tuple(_numbered(number, vendor == "poly" or (vendor == "mixed" and number % 4 == 3), clock) for number in range(n))


_LOAD_PRODUCTS = (axis.DOME_11, axis.PTZ_12, axis.DOME_10, axis.SPEAKER)
_LOAD_PROFILES = ("x30", "x50-tc8", "x70", "x52")


def _numbered(number: int, room: bool, clock: Clock) -> Member:
    address = f"127.77.{1 + number // 250}.{1 + number % 250}"
    if room:
        profile = _LOAD_PROFILES[number // 4 % len(_LOAD_PROFILES)]
        poly = VideoOs(name=f"room-{number}", address=address, profile=profile, password=ROOM_PASSWORD, clock=clock)
        return Member(device=poly, vendor="poly", room=str(number), credentials={"http": "rooms"}, contract="rooms-plus")
    device = AxisDevice(
        name=f"camera-{number}",
        address=address,
        product=_LOAD_PRODUCTS[number % len(_LOAD_PRODUCTS)],
        serial=f"B8A44F{number:06X}",
        snmp=Access(v2c=True, community=COMMUNITY, users=(SNMP_USER,)),
        clock=clock,
    )
    return Member(device=device, vendor="axis", room=str(number), credentials={"http": "cameras", "snmp": "snmp-ro"}, contract="cameras")


# --- the configuration that watches a fleet ---------------------------------------------------------------------------

_SECRETS = {
    "rooms.password": ROOM_PASSWORD,
    "cameras.password": DEMO_PASSWORD,
    "cameras-admin.password": DEMO_PASSWORD,
    "snmp.community": COMMUNITY,
    "snmp.auth": SNMP_USER.auth_password,
    "snmp.priv": SNMP_USER.priv_password,
}

_CREDENTIALS: dict[str, dict[str, Any]] = {
    "rooms": {"username": "admin", "password_file": "rooms.password"},
    "cameras": {"username": "operator", "password_file": "cameras.password"},
    "cameras-admin": {"username": "root", "password_file": "cameras-admin.password"},
    "snmp-ro": {"snmp": {"version": 2, "community_file": "snmp.community"}},
    "snmp-v3": {
        "snmp": {
            "version": 3,
            "user": SNMP_USER.name,
            "auth": SNMP_USER.auth.value,
            "auth_key_file": "snmp.auth",
            "priv": SNMP_USER.priv.value,
            "priv_key_file": "snmp.priv",
        }
    },
}

_CONTACT = {"name": "Jan Przykładowy", "phone": "+48 12 555 01 00", "email": "it@example.org"}
_CONTRACTS: dict[str, dict[str, Any]] = {
    "rooms-plus": {
        "plan": "partner-poly-plus",
        "number": "HZ/2026/0007",
        "starts": "2026-01-02",
        "ends": "2029-01-01",
        "purchased": "2025-12-15",
        "contact": _CONTACT,
        "address": "ul. Przykładowa 7, 30-001 Kraków",
    },
    "cameras": {"plan": "axis-warranty", "purchased": "2025-06-10", "contact": _CONTACT},
}


class _NoAliases(yaml.SafeDumper):
    """Writes what stands in two places twice: a person reads this file."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def write_config(folder: Path, members: Sequence[Member], ports: Ports) -> Path:
    """Write `latarnik.yaml` and its secret files (mode 0600) into `folder`; the path of the file.

    Certificates are trusted on first use: these devices live on this machine, and a simulated room renews its certificate when it restarts.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, secret in _SECRETS.items():
        _write(folder / name, secret + "\n", mode=0o600)
    document = {
        "site": {"name": "symulator", "timezone": "Europe/Warsaw"},
        "state_dir": "state",
        "credentials": _CREDENTIALS,
        "contracts": _CONTRACTS,
        "devices": [entry for member in members for entry in _entries(member, ports)],
    }
    file = folder / "latarnik.yaml"
    _write(file, yaml.dump(document, Dumper=_NoAliases, allow_unicode=True, sort_keys=False, width=200), mode=0o644)
    return file


def _entries(member: Member, ports: Ports) -> list[dict[str, Any]]:
    device = member.device
    entry: dict[str, Any] = {
        "id": device.name,
        "vendor": member.vendor,
        "host": device.address,
        "port": ports.https if member.scheme == "https" else ports.http,
        **({"scheme": "http"} if member.scheme == "http" else {}),
        **({"snmp_port": ports.snmp} if "snmp" in member.credentials else {}),
        **({"ssh_port": ports.ssh} if member.vendor == "poly" else {}),
        "room": member.room,
        "credentials": member.credentials,
        "contract": member.contract,
        "tls": {"mode": "tofu"},
    }
    parts = [{"id": part.id, "vendor": member.vendor, "parent": device.name, "model": part.model, "contract": member.contract} for part in member.parts]
    return [entry, *parts]


def _write(path: Path, text: str, *, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(descriptor, mode)
        file.write(text)
