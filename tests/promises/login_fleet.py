"""Simulated devices for the tests of logging in, as a process of its own: `python -m tests.promises.login_fleet`. Prints one JSON line when it is ready.

Four credentials, each shared by several devices, and each another way in: digest and Basic over HTTPS, a room's session, SNMPv3, SSH.
"""

from __future__ import annotations

import asyncio
import json
import signal

from agent.ports import SystemClock
from simulator.axis import product
from simulator.axis.device import AxisDevice
from simulator.axis.state import Tuning as AxisTuning
from simulator.control import control
from simulator.device import SimulatedDevice
from simulator.fleet import ROOM_PASSWORD, SNMP_USER
from simulator.listener import serve
from simulator.poly import Tuning as PolyTuning
from simulator.poly import VideoOs
from simulator.snmp.agent import Access

CAMERAS = ("digest-1", "basic-1", "digest-2")
ROOMS = ("room-1", "room-2")
HALLS = ("hall-1", "hall-2")
"""Rooms whose web interface is off: SSH is their only way in."""
HALL_PASSWORD = "Sternik-halowy-12"

_AXIS = AxisTuning(dark=0.5, settle=0.5, report=0.2, slow=0.4)
_POLY = PolyTuning(refuse_for=0.5, boot_for=1.0, log_bytes=100_000, log_seconds=0.2, slow_by=0.4)


def devices() -> list[SimulatedDevice]:
    clock = SystemClock()
    numbers = iter(range(1, 200))
    cameras = [
        AxisDevice(
            name=name,
            address=f"127.81.0.{next(numbers)}",
            product=product.DOME_11,
            policy="basic" if name.startswith("basic") else "digest",
            snmp=Access(users=(SNMP_USER,)),
            clock=clock,
            tuning=_AXIS,
        )
        for name in CAMERAS
    ]
    rooms = [
        VideoOs(
            name=name,
            address=f"127.81.0.{next(numbers)}",
            profile="x30",
            room_name=f"Sala {name}",
            password=HALL_PASSWORD if name in HALLS else ROOM_PASSWORD,
            clock=clock,
            tuning=_POLY,
        )
        for name in (*ROOMS, *HALLS)
    ]
    return [*cameras, *rooms]


async def run() -> None:
    """Serve until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    fleet = devices()
    for device in fleet:
        if device.name in HALLS:
            await device.switch("web_off", True)
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
