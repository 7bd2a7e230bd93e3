"""`latarnik` with an ear on every address and name that Python hands to a socket: `python -m tests.promises.recorded FILE ARGUMENTS...`.

Each line of FILE is JSON: the event and its words. What native code does with the network is not heard here: see `loopback_only.py`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

SOCKETS = ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.bind")
"""Audit events whose second argument is an address."""
OTHERS = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo")
"""Those whose first is a name or an address to be looked up."""
PROGRAMS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn")


def listen(path: Path) -> None:
    """Write down all that follows in this process."""
    file = path.open("a", buffering=1)

    def hear(event: str, args: tuple[object, ...]) -> None:
        if event in SOCKETS:
            file.write(json.dumps([event, args[1]], default=str) + "\n")
        elif event in (*OTHERS, *PROGRAMS):
            file.write(json.dumps([event, args[0]], default=str) + "\n")

    sys.addaudithook(hear)


if __name__ == "__main__":
    listen(Path(sys.argv[1]))
    from agent.cli import main

    sys.argv = ["latarnik", *sys.argv[2:]]
    main()
