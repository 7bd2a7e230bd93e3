"""`python -m tests.systemd.launch [OPTIONS] -- COMMAND...`: become COMMAND under the limits that latarnik.service names.

Without --new-root these are the ones that need no privilege: no new privileges, the seccomp filters (calls, address families, memory that is written and
executed, namespaces, set-user-id bits, foreign architecture), file creation mask, limits of resources. With it, as root, also the file system and the user.
"""

from __future__ import annotations

import argparse
import os
import resource
from pathlib import Path

from tests.systemd import limits, sandbox, unit

USER = ("latarnik", 64177)
"""Any number that no account of the machine has."""


def _bind(text: str) -> tuple[Path, Path]:
    outside, _, inside = text.partition(":")
    return Path(outside), Path(inside)


def _limit(kind: int, wanted: int) -> None:
    """As the unit says, or the machine's own limit where that is lower: raising it takes a privilege that not even every root has."""
    _, hard = resource.getrlimit(kind)
    wanted = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(kind, (wanted, wanted))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.systemd.launch")
    parser.add_argument("--new-root", type=Path, metavar="DIR")
    parser.add_argument("--bind", type=_bind, action="append", default=[], metavar="OUTSIDE:INSIDE")
    parser.add_argument("--bind-writable", type=_bind, action="append", default=[], metavar="OUTSIDE:INSIDE")
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    ours = unit.ours()
    wanted = limits.filters(ours, limits.ask_systemd())
    _limit(resource.RLIMIT_NOFILE, int(ours.one("LimitNOFILE")))
    _limit(resource.RLIMIT_CORE, int(ours.one("LimitCORE")))
    if arguments.new_root is not None:
        binds = [sandbox.Bind(outside=a, inside=b) for a, b in arguments.bind]
        binds += [sandbox.Bind(outside=a, inside=b, writable=True) for a, b in arguments.bind_writable]
        sandbox.enter(arguments.new_root, binds, USER)
        sandbox.become(USER[1])
    os.umask(int(ours.one("UMask"), 8))
    limits.apply(ours, wanted)
    os.execvp(arguments.command[0], arguments.command)


if __name__ == "__main__":
    main()
