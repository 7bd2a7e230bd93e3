"""The part of BER (X.690) that SNMP uses. Values are kept encoded: an agent hardly ever needs them otherwise.

An element is tag, length, content. Encoding functions return whole elements; `read` takes one apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address

INTEGER = 0x02
OCTETS = 0x04
NULL = 0x05
OID = 0x06
SEQUENCE = 0x30
IP_ADDRESS = 0x40
COUNTER32 = 0x41
GAUGE32 = 0x42
TIME_TICKS = 0x43
NO_SUCH_OBJECT = b"\x80\x00"
NO_SUCH_INSTANCE = b"\x81\x00"
END_OF_MIB_VIEW = b"\x82\x00"
NULL_VALUE = b"\x05\x00"


class BerError(ValueError):
    """The bytes are not what SNMP allows."""


# --- encoding ---------------------------------------------------------------------------------------------------------


def element(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def sequence(*elements: bytes, tag: int = SEQUENCE) -> bytes:
    return element(tag, b"".join(elements))


def integer(number: int, tag: int = INTEGER) -> bytes:
    """A signed integer in as few bytes as it needs; unsigned types keep a leading zero where the sign bit would be set."""
    return element(tag, number.to_bytes((number if number >= 0 else ~number).bit_length() // 8 + 1, "big", signed=True))


def octets(content: bytes | str) -> bytes:
    return element(OCTETS, content.encode() if isinstance(content, str) else content)


def counter32(number: int) -> bytes:
    return integer(number % 2**32, COUNTER32)


def gauge32(number: int) -> bytes:
    return integer(min(max(number, 0), 2**32 - 1), GAUGE32)


def time_ticks(seconds: float) -> bytes:
    return integer(int(seconds * 100) % 2**32, TIME_TICKS)


def ip_address(address: str) -> bytes:
    return element(IP_ADDRESS, IPv4Address(address).packed)


def oid(arcs: Sequence[int]) -> bytes:
    """An object identifier. Raises BerError where the arcs make none."""
    if len(arcs) < 2 or arcs[0] > 2 or (arcs[0] < 2 and arcs[1] > 39) or min(arcs) < 0 or max(arcs) >= 2**32:
        raise BerError(f"not an object identifier: {tuple(arcs)}")
    content = bytearray()
    for arc in (arcs[0] * 40 + arcs[1], *arcs[2:]):
        if arc < 0x80:
            content.append(arc)
            continue
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(0x80 | arc & 0x7F)
        content.extend(reversed(groups))
    return element(OID, bytes(content))


# --- decoding ---------------------------------------------------------------------------------------------------------


def read(data: bytes, at: int, end: int) -> tuple[int, int, int]:
    """The element that starts at `at` and must be over by `end`: (tag, start of the content, end of the content)."""
    if at + 2 > end:
        raise BerError(f"no element at byte {at}: the data ends at {end}")
    tag, size, start = data[at], data[at + 1], at + 2
    if size >= 0x80:
        width = size & 0x7F
        if not 1 <= width <= 4 or start + width > end:
            raise BerError(f"the element at byte {at} has a length SNMP does not use")
        size = int.from_bytes(data[start : start + width], "big")
        start += width
    if start + size > end:
        raise BerError(f"the element at byte {at} goes on to byte {start + size}, the data ends at {end}")
    return tag, start, start + size


class Reader:
    """Takes the elements of a sequence one after the other, and says where it does not find what it should."""

    __slots__ = ("at", "data", "end")

    def __init__(self, data: bytes, at: int = 0, end: int | None = None) -> None:
        self.data = data
        self.at = at
        self.end = len(data) if end is None else end

    @property
    def more(self) -> bool:
        return self.at < self.end

    def any(self) -> tuple[int, int, int]:
        """The next element, whatever it is."""
        tag, start, end = read(self.data, self.at, self.end)
        self.at = end
        return tag, start, end

    def expect(self, tag: int) -> tuple[int, int]:
        at = self.at
        found, start, end = self.any()
        if found != tag:
            raise BerError(f"the element at byte {at} has tag 0x{found:02x}, expected 0x{tag:02x}")
        return start, end

    def enter(self, tag: int = SEQUENCE) -> Reader:
        """A reader for what is inside the next element."""
        return Reader(self.data, *self.expect(tag))

    def integer(self, tag: int = INTEGER) -> int:
        start, end = self.expect(tag)
        if not 1 <= end - start <= 9:
            raise BerError(f"the integer at byte {start} has {end - start} bytes")
        return int.from_bytes(self.data[start:end], "big", signed=True)

    def octets(self, tag: int = OCTETS) -> bytes:
        start, end = self.expect(tag)
        return self.data[start:end]

    def oid(self) -> tuple[int, ...]:
        start, end = self.expect(OID)
        return decode_oid(self.data, start, end)


def decode_oid(data: bytes, start: int, end: int) -> tuple[int, ...]:
    """The arcs of the object identifier whose content is data[start:end]."""
    arcs: list[int] = []
    arc = 0
    whole = False
    for byte in data[start:end]:
        arc = arc << 7 | byte & 0x7F
        whole = not byte & 0x80
        if whole:
            arcs.append(arc)
            arc = 0
        elif arc >= 2**28:
            raise BerError(f"an arc of the object identifier at byte {start} is larger than 32 bits")
    if not whole:
        raise BerError(f"the object identifier at byte {start} is cut off")
    if max(arcs) >= 2**32:
        raise BerError(f"an arc of the object identifier at byte {start} is larger than 32 bits")
    first = arcs[0]
    top = min(first // 40, 2)
    return (top, first - top * 40, *arcs[1:])
