"""The kernel's side of a unit's sandbox: the seccomp filters that systemd 252 would load for it, through libseccomp as systemd does.

Filters add up: what any of them denies is denied. MemoryDenyWriteExecute is there twice, as the filter of systemd 252 (which is the stricter one:
no mprotect to executable at all) and as PR_SET_MDWE, which newer ones use.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import socket
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from tests.systemd.unit import Unit

PR_SET_NO_NEW_PRIVS = 38
PR_SET_MDWE = 65
PR_MDWE_REFUSE_EXEC_GAIN = 1

_KILL = 0x80000000
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_BAD_ARCHITECTURE = 2  # SCMP_FLTATR_ACT_BADARCH
_UNKNOWN_CALL = -1  # __NR_SCMP_ERROR

_SHM_EXEC = 0o100000
_SPECIAL_BITS = 0o6000
_O_CREAT = os.O_CREAT
_NAMESPACES = (0x80, 0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000)


class Compare(IntEnum):
    """libseccomp's own numbers."""

    NE = 1
    LT = 2
    EQ = 4
    GT = 6
    MASKED_EQ = 7


@dataclass(frozen=True, slots=True)
class Argument:
    """A condition on one argument of a call. For MASKED_EQ: (argument & value) == other."""

    number: int
    how: Compare
    value: int
    other: int = 0


@dataclass(frozen=True, slots=True)
class Rule:
    """A call that gets another action than the filter's default. `error` 0 allows it."""

    call: str
    error: int
    where: tuple[Argument, ...] = ()


@dataclass(frozen=True, slots=True)
class Filter:
    """One seccomp filter. `default` is the errno for all calls without a rule; 0 allows them."""

    name: str
    default: int
    rules: tuple[Rule, ...]


class _Argument(ctypes.Structure):
    _fields_ = (("arg", ctypes.c_uint), ("op", ctypes.c_int), ("datum_a", ctypes.c_uint64), ("datum_b", ctypes.c_uint64))


def filters(unit: Unit, groups: Mapping[str, frozenset[str]]) -> list[Filter]:
    """What the unit asks for, in systemd's order: that of the calls comes last, since it denies what loads the others.

    `groups`: the named sets of calls, fully resolved. Raises ValueError for a value that this does not understand.
    """
    found = []
    if unit.words("RestrictAddressFamilies"):
        found.append(families(unit.words("RestrictAddressFamilies")))
    if unit.on("MemoryDenyWriteExecute"):
        found.append(write_execute())
    if unit.on("RestrictNamespaces"):
        found.append(namespaces())
    if unit.on("RestrictSUIDSGID"):
        found.append(special_bits())
    if unit.service("SystemCallFilter"):
        found.append(calls(unit, groups))
    return found


def families(names: Sequence[str]) -> Filter:
    """Only these address families can be had."""
    if any(name.startswith("~") or name == "none" for name in names):
        raise ValueError("RestrictAddressFamilies is expected to be a list of what is allowed")
    allowed = sorted(int(getattr(socket, name)) for name in names)
    last = allowed[-1]
    between = [Argument(0, Compare.EQ, family) for family in range(last) if family not in allowed]
    return Filter("families", 0, tuple(Rule("socket", errno.EAFNOSUPPORT, (where,)) for where in (*between, Argument(0, Compare.GT, last))))


def write_execute() -> Filter:
    """No memory that is, or becomes, executable beside what is mapped so from a file."""
    both = mmap.PROT_WRITE | mmap.PROT_EXEC
    executable = (Argument(2, Compare.MASKED_EQ, mmap.PROT_EXEC, mmap.PROT_EXEC),)
    return Filter(
        "write_execute",
        0,
        (
            Rule("mmap", errno.EPERM, (Argument(2, Compare.MASKED_EQ, both, both),)),
            Rule("mprotect", errno.EPERM, executable),
            Rule("pkey_mprotect", errno.EPERM, executable),
            Rule("shmat", errno.EPERM, (Argument(2, Compare.MASKED_EQ, _SHM_EXEC, _SHM_EXEC),)),
        ),
    )


def namespaces() -> Filter:
    """No new namespace, and none of others. clone3 hides its flags from filters, so it does not exist: libc then uses clone."""
    rules = [Rule("clone3", errno.ENOSYS), Rule("setns", errno.EPERM, (Argument(1, Compare.EQ, 0),))]
    for flag in _NAMESPACES:
        for call, argument in (("unshare", 0), ("clone", 0), ("setns", 1)):
            rules.append(Rule(call, errno.EPERM, (Argument(argument, Compare.MASKED_EQ, flag, flag),)))
    return Filter("namespaces", 0, tuple(rules))


def special_bits() -> Filter:
    """No file that runs as somebody else."""
    rules = [Rule("openat2", errno.ENOSYS)]
    for bit in (0o4000, 0o2000):
        for call, argument in (("chmod", 1), ("fchmod", 1), ("fchmodat", 2), ("mkdir", 1), ("mkdirat", 2), ("mknod", 1), ("mknodat", 2), ("creat", 1)):
            rules.append(Rule(call, errno.EPERM, (Argument(argument, Compare.MASKED_EQ, bit, bit),)))
        for call, flags in (("open", 1), ("openat", 2)):
            created = Argument(flags, Compare.MASKED_EQ, _O_CREAT, _O_CREAT)
            rules.append(Rule(call, errno.EPERM, (created, Argument(flags + 1, Compare.MASKED_EQ, bit, bit))))
    return Filter("special_bits", 0, tuple(rules))


def calls(unit: Unit, groups: Mapping[str, frozenset[str]]) -> Filter:
    """Only the listed calls. The others give the unit's error; those that this systemd does not know yet do not exist, so that libc falls back."""
    if unit.one("SystemCallErrorNumber") != "EPERM":
        raise ValueError("SystemCallErrorNumber is expected to be EPERM: without it a denied call ends the process")
    allowed = set(groups["@default"])
    for number, line in enumerate(unit.service("SystemCallFilter")):
        minus = line.startswith("~")
        if minus == (number == 0):
            raise ValueError("SystemCallFilter is expected to be a list of what is allowed, then ~lists of what is taken away")
        for word in line.removeprefix("~").split():
            named = groups[word] if word.startswith("@") else {word}
            allowed = allowed - named if minus else allowed | named
    denied = groups["@known"] - allowed
    return Filter("calls", errno.ENOSYS, (*(Rule(c, 0) for c in sorted(allowed)), *(Rule(c, errno.EPERM) for c in sorted(denied))))


def call_groups(listing: str) -> dict[str, frozenset[str]]:
    """All named sets of calls out of what `systemd-analyze syscall-filter` prints, sets in sets resolved."""
    direct: dict[str, list[str]] = {}
    members: list[str] = []
    for line in listing.splitlines():
        word = line.strip()
        if not word or word.startswith("#"):
            continue
        if line.startswith("@"):
            members = direct.setdefault(word, [])
        else:
            members.append(word)

    def resolve(word: str) -> Iterable[str]:
        if not word.startswith("@"):
            return (word,)
        return (call for member in direct[word] for call in resolve(member))

    return {name: frozenset(resolve(name)) for name in direct}


def ask_systemd() -> dict[str, frozenset[str]]:
    """The named sets of the systemd that is installed."""
    done = subprocess.run(["systemd-analyze", "syscall-filter"], capture_output=True, text=True, check=True)
    return call_groups(done.stdout)


def _load(library: ctypes.CDLL, wanted: Filter) -> None:
    context = library.seccomp_init(_ERRNO | wanted.default if wanted.default else _ALLOW)
    if not context:
        raise MemoryError
    try:
        # SystemCallArchitectures=native: a call of another architecture, whose numbers mean other things, ends the process.
        _check(library.seccomp_attr_set(context, _BAD_ARCHITECTURE, _KILL), wanted.name)
        for rule in wanted.rules:
            number = library.seccomp_syscall_resolve_name(rule.call.encode())
            if number == _UNKNOWN_CALL or (number < 0 and not rule.where and rule.error == wanted.default):
                continue  # a call that this libseccomp, or this architecture, does not have
            arguments = (_Argument * len(rule.where))(*(_Argument(a.number, int(a.how), a.value, a.other) for a in rule.where))
            action = _ERRNO | rule.error if rule.error else _ALLOW
            done = library.seccomp_rule_add_array(context, action, number, len(rule.where), arguments)
            if done != -errno.EACCES:  # the rule says what the default says
                _check(done, f"{wanted.name}: {rule.call}")
        _check(library.seccomp_load(context), wanted.name)
    finally:
        library.seccomp_release(context)


def _check(done: int, what: str) -> None:
    if done < 0:
        raise OSError(-done, f"{os.strerror(-done)} ({what})")


def apply(unit: Unit, wanted: Sequence[Filter]) -> None:
    """Limit this process, and what it becomes, for ever. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = (ctypes.c_uint32,)
    library.seccomp_attr_set.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32)
    library.seccomp_rule_add_array.argtypes = (ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.POINTER(_Argument))
    library.seccomp_load.argtypes = (ctypes.c_void_p,)
    library.seccomp_release.argtypes = (ctypes.c_void_p,)
    if unit.on("NoNewPrivileges") and libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "PR_SET_NO_NEW_PRIVS")
    # EINVAL: a kernel before 6.3.
    if unit.on("MemoryDenyWriteExecute") and libc.prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) and ctypes.get_errno() != errno.EINVAL:
        raise OSError(ctypes.get_errno(), "PR_SET_MDWE")
    for each in wanted:
        _load(library, each)
