"""Tries what the unit forbids and prints, as JSON, what came of each: "done", or the name of the error.

Every trial is harmless where it is not forbidden: what it gets it gives back.
"""

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import socket
import stat
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

PAGE = mmap.PAGESIZE
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
_libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_FAILED = ctypes.c_void_p(-1).value
_NEWUSER = 0x10000000
_FREE_CALL = 9999


def _checked(done: int) -> None:
    if done < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _family(name: str) -> None:
    kind = socket.SOCK_RAW if name == "AF_NETLINK" else socket.SOCK_DGRAM
    socket.socket(getattr(socket, name), kind).close()


def _memory(first: int, then: int | None = None) -> None:
    """Map a page with these rights, and change them."""
    where = _libc.mmap(None, PAGE, first, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
    if where == _FAILED:
        _checked(-1)
    try:
        if then is not None:
            _checked(_libc.mprotect(where, PAGE, then))
    finally:
        _libc.munmap(where, PAGE)


def _set_user_id() -> None:
    with tempfile.NamedTemporaryFile() as file:
        os.fchmod(file.fileno(), stat.S_ISUID | stat.S_IRWXU)


def _write(folder: str) -> None:
    with tempfile.NamedTemporaryFile(dir=folder):
        pass


def _namespace() -> None:
    """In a child: who is in it cannot come back."""
    child = os.fork()
    if child == 0:
        os._exit(ctypes.get_errno() if _libc.unshare(_NEWUSER) else 0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code:
        raise OSError(code, os.strerror(code))


def foreign_call(folder: str) -> None:
    """getpid by the 32-bit way of x86, from machine code in a file: the numbers of that way mean other calls than ours."""
    code = bytes.fromhex("b814000000cd80c3")  # mov eax, 20; int 0x80; ret
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        file.write(code)
        file.flush()
        where = _libc.mmap(None, PAGE, mmap.PROT_READ | mmap.PROT_EXEC, mmap.MAP_PRIVATE, file.fileno(), 0)
        if where == _FAILED:
            _checked(-1)
        print(ctypes.CFUNCTYPE(ctypes.c_int)(where)(), flush=True)


READ, WRITE, EXECUTE = mmap.PROT_READ, mmap.PROT_WRITE, mmap.PROT_EXEC

TRIALS: dict[str, Callable[[], object]] = {
    "AF_INET": lambda: _family("AF_INET"),
    "AF_INET6": lambda: _family("AF_INET6"),
    "AF_UNIX": lambda: _family("AF_UNIX"),
    "AF_NETLINK": lambda: _family("AF_NETLINK"),
    "AF_PACKET": lambda: _family("AF_PACKET"),
    "names without netlink": lambda: socket.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG),
    "memory": lambda: _memory(READ | WRITE),
    "memory written and executed": lambda: _memory(READ | WRITE | EXECUTE),
    "memory executed after it was written": lambda: _memory(READ | WRITE, READ | EXECUTE),
    "memory written after it was executed": lambda: _memory(READ | EXECUTE, READ | WRITE | EXECUTE),
    "file that runs as its owner": _set_user_id,
    "user namespace": _namespace,
    "processor affinity": lambda: os.sched_setaffinity(0, os.sched_getaffinity(0)),
    "same user again": lambda: os.setuid(os.getuid()),
    "other group list": lambda: os.setgroups(os.getgroups()),
    "call that no kernel has": lambda: _checked(_libc.syscall(_FREE_CALL)),
}


def attempt(trial: Callable[[], object]) -> str:
    try:
        trial()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return "done"


def main(folders: list[str]) -> None:
    results = {name: attempt(trial) for name, trial in TRIALS.items()}
    results |= {f"write to {folder}": attempt(lambda folder=folder: _write(folder)) for folder in folders}  # type: ignore[misc]
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    facts = {
        "capabilities": [status[key] for key in ("CapPrm", "CapEff", "CapBnd", "CapAmb")],
        "no_new_privileges": status["NoNewPrivs"],
        "user": [os.getuid(), os.geteuid(), os.getgid(), *os.getgroups()],
        "processes": sum(entry.name.isdigit() for entry in Path("/proc").iterdir()),
        "system_of_proc": Path("/proc/stat").exists(),
        "umask": os.umask(0),
        "homes": sorted(str(entry) for entry in Path("/home").iterdir()),
    }
    print(json.dumps({"trials": results, "facts": facts}))


if __name__ == "__main__":
    if sys.argv[1] == "--foreign-call":
        foreign_call(sys.argv[2])
    else:
        main(sys.argv[1:])
