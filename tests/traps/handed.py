"""A daemon in small, for `systemd-socket-activate`: receives with what was handed over, and says each hint. It opens twice, as a reload does."""

from __future__ import annotations

import asyncio
import os

from agent.errors import StartError
from agent.logs import set_up
from agent.traps.receiver import open_traps
from config.settings import Settings, Site
from tests.traps.traffic import camera


async def main() -> None:
    set_up()
    settings = Settings(site=Site(name="hq"), devices=())
    for _ in range(2):
        came = asyncio.Event()

        def hint(device: str, what: str, came: asyncio.Event = came) -> None:
            print(f"{device}: {what}", flush=True)
            came.set()

        try:
            async with open_traps(settings, [camera()], hint) as receiver:
                print(f"listens on {receiver.addresses}, inherited by children: {os.get_inheritable(3)}", flush=True)
                await came.wait()
            print("closed", flush=True)
        except StartError as error:
            print(f"StartError: {error}", flush=True)
            return


if __name__ == "__main__":
    asyncio.run(main())
