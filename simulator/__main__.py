"""`python -m simulator`: the fleet as a process of its own. Prints one JSON line when it is ready, and stops on SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import signal
import sys
from pathlib import Path

from simulator.axis.device import AxisDevice
from simulator.axis.traps import Receiver
from simulator.control import control
from simulator.fleet import demo, fleet, write_config
from simulator.listener import serve


def _arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m simulator", description="Simulated Poly and Axis devices on loopback addresses.")
    for name, port in (("https", 8443), ("http", 8080), ("snmp", 1161), ("ssh", 2222), ("control", 0)):
        parser.add_argument(f"--{name}-port", type=int, default=port, metavar="PORT", help=f"default {port or 'a free one'}; 0 takes a free one")
    parser.add_argument("--fleet", type=int, default=0, metavar="N", help="N devices for a load test instead of the demo fleet")
    parser.add_argument("--vendor", choices=("axis", "poly", "mixed"), default="mixed", help="with --fleet: which devices")
    parser.add_argument("--traps", type=_receiver, metavar="ADDRESS:PORT", help="where every Axis device sends its SNMP v2c traps; 127.0.0.0/8 only")
    parser.add_argument("--write-config", type=Path, metavar="DIR", help="write latarnik.yaml and its secret files for this fleet into DIR")
    return parser.parse_args(words)


def _receiver(word: str) -> Receiver:
    """Raises ValueError for what is no port of this machine."""
    address, _, port = word.rpartition(":")
    return Receiver(address=address, port=int(port))


async def run(arguments: argparse.Namespace) -> None:
    """Serve until a signal comes."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    members = fleet(arguments.fleet, vendor=arguments.vendor) if arguments.fleet else demo()
    devices = [member.device for member in members]
    if arguments.traps:
        for device in devices:
            if isinstance(device, AxisDevice):
                device.traps_to(arguments.traps.address, arguments.traps.port)
    async with (
        serve(
            devices,
            https_port=arguments.https_port,
            http_port=arguments.http_port,
            snmp_port=arguments.snmp_port,
            ssh_port=arguments.ssh_port,
        ) as ports,
        control(devices, ports.traffic, port=arguments.control_port) as control_port,
    ):
        config = write_config(arguments.write_config, members, ports) if arguments.write_config else None
        ready = {
            "ports": {"https": ports.https, "http": ports.http, "snmp": ports.snmp, "ssh": ports.ssh, "control": control_port},
            "devices": [{"name": member.device.name, "address": member.device.address, "vendor": member.vendor} for member in members],
            "config": str(config) if config else None,
        }
        print(json.dumps(ready), flush=True)  # noqa: T201 -- the line others wait for
        await stop.wait()


def main(words: list[str]) -> int:
    arguments = _arguments(words)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # a connection a device, and more while polls overlap
    try:
        with asyncio.Runner() as runner:
            runner.run(run(arguments))
    except OSError as error:
        print(f"simulator: {error.strerror or error}", file=sys.stderr)  # noqa: T201 -- a command line program
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
