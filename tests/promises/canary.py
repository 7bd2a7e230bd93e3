"""Simulated devices whose secrets are canaries, as a process of its own: `python -m tests.promises.canary`. Prints one JSON line when it is ready.

Each secret is used in one credential field and nowhere else, holds what needs escaping, and can be recognised in every spelling.
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Mapping
from dataclasses import replace

from agent.ports import SystemClock
from simulator.axis import product
from simulator.axis.auth import Account, Role
from simulator.axis.device import AxisDevice
from simulator.axis.state import Tuning as AxisTuning
from simulator.control import control
from simulator.device import SimulatedDevice
from simulator.listener import serve
from simulator.poly import Tuning as PolyTuning
from simulator.poly import VideoOs
from simulator.snmp.agent import Access
from simulator.snmp.usm import Auth, Priv, User

SECRETS: Mapping[str, str] = {
    "rooms": 'Kan-rooms-"7&<q>%2\\+4z',
    "cameras": 'Kan-cameras-"8&<w>%3\\+5y',
    "service": "Kan-service-'9&<e>%4\\+6x",
    "wrong": 'Kan-wrong-"1&<r>%5\\+7w',
    "variable": 'Kan-variable-"2&<t>%6\\+8v',
    "community": "Kan-community-3&<y>%7+9u",
    "auth": "Kan-auth-4&<u>%8+1t",
    "priv": "Kan-priv-5&<i>%9+2s",
    "relay": 'Kan-relay-"6&<o>%1\\+3r',
}
USER = User(name="monitor", auth=Auth.SHA256, auth_password=SECRETS["auth"], priv=Priv.AES128, priv_password=SECRETS["priv"])
_AXIS = AxisTuning(dark=0.5, settle=0.5, report=0.2, slow=0.4)
_POLY = PolyTuning(refuse_for=0.5, boot_for=1.0, log_bytes=100_000, log_seconds=0.2, slow_by=0.4)


def _accounts(operator: str, service: str) -> dict[str, Account]:
    return {"root": Account(password=SECRETS[service], role=Role.ADMINISTRATOR), "operator": Account(password=SECRETS[operator], role=Role.OPERATOR)}


def devices() -> list[SimulatedDevice]:
    """A room and cameras of several ways in. Two give our own password back as their name."""
    clock = SystemClock()
    echoing = replace(product.DOME_11, number=f"P3265 {SECRETS['cameras']}")
    return [
        VideoOs(name="room", address="127.79.0.1", profile="x30", room_name=f"Sala {SECRETS['rooms']}", password=SECRETS["rooms"], clock=clock, tuning=_POLY),
        VideoOs(name="room-refused", address="127.79.0.2", profile="x30", room_name="Sala 2", password="another one", clock=clock, tuning=_POLY),
        AxisDevice(name="digest", address="127.79.0.3", product=product.DOME_11, accounts=_accounts("cameras", "service"), clock=clock, tuning=_AXIS),
        AxisDevice(
            name="basic", address="127.79.0.4", product=product.DOME_11, accounts=_accounts("cameras", "service"), policy="basic", clock=clock, tuning=_AXIS
        ),
        AxisDevice(name="echo", address="127.79.0.5", product=echoing, accounts=_accounts("cameras", "service"), policy="basic", clock=clock, tuning=_AXIS),
        AxisDevice(name="variable", address="127.79.0.6", product=product.DOME_11, accounts=_accounts("variable", "variable"), clock=clock, tuning=_AXIS),
        AxisDevice(
            name="refused", address="127.79.0.7", product=product.DOME_11, accounts=_accounts("cameras", "service"), policy="basic", clock=clock, tuning=_AXIS
        ),
        AxisDevice(
            name="snmp-v2", address="127.79.0.8", product=product.DOME_11, snmp=Access(v2c=True, community=SECRETS["community"]), clock=clock, tuning=_AXIS
        ),
        AxisDevice(name="snmp-v3", address="127.79.0.9", product=product.DOME_11, snmp=Access(users=(USER,)), clock=clock, tuning=_AXIS),
        AxisDevice(name="http", address="127.79.0.10", product=product.DOME_11, accounts=_accounts("cameras", "service"), clock=clock, tuning=_AXIS),
    ]


async def run() -> None:
    """Serve until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    fleet = devices()
    async with serve(fleet) as ports, control(fleet, ports.traffic) as control_port:
        ready = {
            "ports": {"https": ports.https, "http": ports.http, "snmp": ports.snmp, "ssh": ports.ssh, "control": control_port},
            "addresses": {device.name: device.address for device in fleet},
        }
        print(json.dumps(ready), flush=True)
        await stop.wait()


if __name__ == "__main__":
    with asyncio.Runner() as runner:
        runner.run(run())
