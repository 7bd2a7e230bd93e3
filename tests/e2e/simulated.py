"""The simulated devices of the end-to-end tests, as a process of its own: `python -m tests.e2e.simulated`.

Whole devices over real sockets, as in the demo, but quick to restart and to pack their reports. Prints one JSON line when it is ready.
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
from simulator.fleet import COMMUNITY, ROOM_PASSWORD, SNMP_USER
from simulator.listener import serve
from simulator.poly import Tuning as PolyTuning
from simulator.poly import VideoOs
from simulator.snmp.agent import Access

AXIS = AxisTuning(dark=1.0, settle=1.0, report=0.5, slow=0.4)
POLY = PolyTuning(refuse_for=1.0, boot_for=2.0, log_bytes=200_000, log_seconds=0.3, slow_by=0.4)

CAMERAS = ("sd-story", "first-sight", "unplugged", "refused-camera", "enrol-camera", "pushing", "spare-1", "spare-2", "spare-3")
SNMP_CAMERAS = {"snmp-v2": Access(v2c=True, community=COMMUNITY), "snmp-v3": Access(users=(SNMP_USER,))}
ROOMS = {
    "e70-story": "g7500-e70",
    "mail-complete": "x30",
    "mail-incomplete": "x30",
    "in-call": "x30",
    "web-off": "x30",
    "refused-room": "x30",
    "enrol-room": "x30",
    "session-x30": "x30",
    "session-x50": "x50-tc8",
    "session-x70": "x70",
    "spare-room": "x30",
    "spare-hall": "g7500-e70",
}


def devices() -> list[SimulatedDevice]:
    """All of them, each at its own address."""
    clock = SystemClock()
    numbers = iter(range(10, 250))

    def address() -> str:
        return f"127.78.0.{next(numbers)}"

    rooms = [
        VideoOs(name=name, address=address(), profile=profile, room_name=f"Sala {name}", password=ROOM_PASSWORD, clock=clock, tuning=POLY)
        for name, profile in ROOMS.items()
    ]
    cameras = [AxisDevice(name=name, address=address(), product=product.DOME_11, clock=clock, tuning=AXIS) for name in CAMERAS]
    measured = [
        AxisDevice(name=name, address=address(), product=product.DOME_11, snmp=access, clock=clock, tuning=AXIS) for name, access in SNMP_CAMERAS.items()
    ]
    legacy = AxisDevice(name="legacy", address=address(), product=product.LEGACY_CAMERA, clock=clock, tuning=AXIS)
    return [*rooms, *cameras, *measured, legacy]


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
