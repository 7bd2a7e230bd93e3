"""One SNMP v1/v2c request through pysnmp's codec, for where gufo_snmp's answer could mean two things.

gufo_snmp 0.13 answers a request that the device refused (tooBig, noSuchName, genErr) with nothing, just as it answers one that found
nothing, and ends a walk the same way. Absence must be told from failure, so the rare empty answer is asked again here.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

from pyasn1.codec.ber import decoder, encoder
from pyasn1.error import PyAsn1Error
from pysnmp.proto import api
from pysnmp.proto.error import ProtocolError

from collectors.transport.snmp import SnmpValue, well_formed

NO_SUCH_NAME = 2
_LOOKED_AT = 16  # datagrams, of which each takes a millisecond to decode: the answer is the first one
_numbers = itertools.count(1)


class Exact(NamedTuple):
    """`status` is the error-status (0 none), `name` its word, `at` the 1-based place of the binding at fault. None: the device has no such object."""

    status: int
    name: str
    at: int
    bindings: list[tuple[str, SnmpValue | None]]


async def ask(host: str, port: int, community: str, oids: Sequence[str], *, version: int, following: bool, timeout: float, source: str = "") -> Exact:
    """GET (or GETNEXT when `following`) of these OIDs, once. Raises TimeoutError and OSError. An answer that cannot be read is no answer."""
    codec: Any = api.PROTOCOL_MODULES[api.SNMP_VERSION_1 if version == 1 else api.SNMP_VERSION_2C]
    number = next(_numbers) & 0x7FFFFFFF
    pdu = codec.GetNextRequestPDU() if following else codec.GetRequestPDU()
    codec.apiPDU.set_defaults(pdu)
    codec.apiPDU.set_request_id(pdu, number)
    codec.apiPDU.set_varbinds(pdu, [(codec.ObjectIdentifier(oid), codec.null) for oid in oids])
    message = codec.Message()
    codec.apiMessage.set_defaults(message)
    codec.apiMessage.set_community(message, community)
    codec.apiMessage.set_pdu(message, pdu)

    loop = asyncio.get_running_loop()
    async with asyncio.timeout(timeout):
        transport, protocol = await loop.create_datagram_endpoint(
            lambda: _Once(codec, number), remote_addr=(host, port), local_addr=(source, 0) if source else None
        )
        try:
            transport.sendto(encoder.encode(message))
            return await protocol.answer
        finally:
            transport.close()


def plain_value(value: Any) -> SnmpValue | None:
    """A pysnmp value as one of ours; None for 'no such object' and its like. By name: v1's and v2c's classes are not the same."""
    kind = type(value).__name__
    if kind in ("NoSuchObject", "NoSuchInstance", "EndOfMibView", "Null", "UnSpecified"):
        return None
    if kind == "IpAddress":
        return ".".join(map(str, value.asOctets()))
    if hasattr(value, "asOctets"):
        return bytes(value.asOctets())
    if hasattr(value, "asTuple"):
        return ".".join(map(str, value.asTuple()))
    return int(value)


class _Once(asyncio.DatagramProtocol):
    """Waits for the answer with our number; the socket is connected, so it comes from the device's address."""

    def __init__(self, codec: Any, number: int) -> None:
        self._codec = codec
        self._number = number
        self._left = _LOOKED_AT
        self.answer: asyncio.Future[Exact] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        del addr
        codec = self._codec
        if not self._left or not well_formed(data):
            return
        self._left -= 1
        try:
            message, _ = decoder.decode(data, asn1Spec=codec.Message())
            pdu = codec.apiMessage.get_pdu(message)
            if self.answer.done() or not pdu.isSameTypeWith(codec.GetResponsePDU()) or int(codec.apiPDU.get_request_id(pdu)) != self._number:
                return
            status = codec.apiPDU.get_error_status(pdu)
            bindings = [(str(oid), plain_value(value)) for oid, value in codec.apiPDU.get_varbinds(pdu)]
            index = int(codec.apiPDU.get_error_index(pdu, muteErrors=True) or 0)
        except (PyAsn1Error, ProtocolError):
            return
        self.answer.set_result(Exact(int(status), status.prettyPrint(), index, bindings))

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc)
