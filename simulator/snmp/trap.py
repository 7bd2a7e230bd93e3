"""Notifications, as RFC 3416 wants them: what happened and when stands before everything else."""

from __future__ import annotations

from collections.abc import Iterable

from simulator.snmp import ber
from simulator.snmp.mib import Oid

TRAP_V2 = 0xA7
COLD_START = (1, 3, 6, 1, 6, 3, 1, 1, 5, 1)
_SYS_UP_TIME = (1, 3, 6, 1, 2, 1, 1, 3, 0)
_TRAP_OID = (1, 3, 6, 1, 6, 3, 1, 1, 4, 1, 0)


def pdu(request: int, uptime: float, trap: Oid, bindings: Iterable[tuple[Oid, bytes]] = ()) -> bytes:
    """An SNMPv2-Trap; `bindings` are names with encoded values."""
    rows = [(_SYS_UP_TIME, ber.time_ticks(uptime)), (_TRAP_OID, ber.oid(trap)), *bindings]
    return ber.sequence(
        ber.integer(request), ber.integer(0), ber.integer(0), ber.sequence(*(ber.sequence(ber.oid(oid), value) for oid, value in rows)), tag=TRAP_V2
    )


def v2c(community: str, body: bytes) -> bytes:
    """A whole message around a PDU."""
    return ber.sequence(ber.integer(1), ber.octets(community), body)
