"""A file system as the unit's directives leave it to the service: a root of its own in which only named folders are there and only some can be written.

Needs root. What it makes lives in a mount namespace and goes away with the process.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.systemd.unit import ROOT

_RDONLY, _NOSUID, _NODEV, _REMOUNT, _BIND, _REC, _PRIVATE = 0x1, 0x2, 0x4, 0x20, 0x1000, 0x4000, 0x40000
_NEWNS, _NEWIPC = 0x00020000, 0x08000000
_PR_CAPBSET_READ, _PR_CAPBSET_DROP = 23, 24

SOURCE = Path("/opt/source")
_ETC = ("nsswitch.conf", "hosts", "host.conf", "ld.so.cache", "localtime", "ssl")
_DEV = ("null", "zero", "full", "random", "urandom", "tty")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bind:
    """A folder of the machine, seen at `inside`."""

    outside: Path
    inside: Path
    writable: bool = False


def enter(new_root: Path, binds: Sequence[Bind], user: tuple[str, int]) -> None:
    """Make `new_root` (an empty folder) this process's root: ProtectSystem=strict, ProtectHome, PrivateTmp, PrivateDevices, ProtectProc, ProcSubset.

    The virtual environment that runs this is at /opt/latarnik, as the unit expects it, and the checkout at /opt/source. The interpreter behind the
    environment stays where it is, the one thing under /home or /root that can be seen when it was installed there. Raises OSError.
    """
    libc = ctypes.CDLL(None, use_errno=True)

    def mount(what: Path | str, where: Path, kind: str = "", flags: int = 0, options: str = "") -> None:
        if libc.mount(str(what).encode(), str(where).encode(), kind.encode() or None, ctypes.c_ulong(flags), options.encode() or None):
            raise OSError(ctypes.get_errno(), f"mount of {what} on {where}: {os.strerror(ctypes.get_errno())}")

    def show(outside: Path, inside: Path, *, writable: bool = False) -> None:
        there = new_root / inside.relative_to("/")
        if outside.is_dir():
            there.mkdir(parents=True, exist_ok=True)
        else:
            there.parent.mkdir(parents=True, exist_ok=True)
            there.touch()
        mount(outside, there, flags=_BIND)
        mount("none", there, flags=_BIND | _REMOUNT | _NOSUID | (0 if writable else _RDONLY))

    if libc.unshare(_NEWNS | _NEWIPC):
        raise OSError(ctypes.get_errno(), "unshare")
    mount("none", Path("/"), flags=_REC | _PRIVATE)
    mount("tmpfs", new_root, "tmpfs", _NOSUID | _NODEV, "mode=755")
    for folder in map(Path, ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/sys")):
        if folder.is_symlink():
            (new_root / folder.name).symlink_to(folder.readlink())
        elif folder.is_dir():
            show(folder, folder)
    interpreter = Path(sys.base_prefix)
    if not interpreter.is_relative_to("/usr"):
        show(interpreter, interpreter)
    show(Path(sys.prefix), Path("/opt/latarnik"))
    show(ROOT, SOURCE)
    _etc(new_root / "etc", user)
    for name in _DEV:
        show(Path("/dev") / name, Path("/dev") / name, writable=True)
    for name in ("proc", "tmp", "run", "home"):
        (new_root / name).mkdir(parents=True, exist_ok=True)
    mount("proc", new_root / "proc", "proc", _NOSUID, "hidepid=invisible,subset=pid")
    mount("tmpfs", new_root / "tmp", "tmpfs", _NOSUID | _NODEV, "mode=1777")
    for bind in binds:
        show(bind.outside, bind.inside, writable=bind.writable)
    mount("none", new_root, flags=_BIND | _REMOUNT | _NOSUID | _RDONLY)
    os.chroot(new_root)
    os.chdir("/")


def _etc(etc: Path, user: tuple[str, int]) -> None:
    """The few files of /etc that resolving names and loading libraries need, and the one user."""
    etc.mkdir()
    for name in _ETC:
        source = Path("/etc") / name
        if source.is_dir():
            shutil.copytree(source, etc / name, symlinks=True, ignore=shutil.ignore_patterns("private"))
        elif source.exists():
            shutil.copy(source, etc / name)
    name, uid = user
    (etc / "passwd").write_text(f"root:x:0:0::/root:/bin/sh\n{name}:x:{uid}:{uid}::/var/lib/latarnik:/usr/sbin/nologin\n")
    (etc / "group").write_text(f"root:x:0:\n{name}:x:{uid}:\n")


def become(uid: int) -> None:
    """That user, with an empty capability bounding set. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    capability = 0
    while libc.prctl(_PR_CAPBSET_READ, capability, 0, 0, 0) >= 0:
        if libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "PR_CAPBSET_DROP")
        capability += 1
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
