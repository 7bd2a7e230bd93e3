"""Reading the part of BER (X.690) that SNMP messages use: definite lengths, tags of one byte, nothing allocated but what is asked for.

Not pyasn1: that takes a second for a datagram full of tiny parts, and decodes before it can be seen who sent it.
"""

from __future__ import annotations

INTEGER = 0x02
OCTETS = 0x04
OID = 0x06
SEQUENCE = 0x30
LONGEST_OID = 128
"""Bytes of an object identifier; the longest that SNMP allows has 128 arcs."""


class BadBer(ValueError):
    """The bytes are not what SNMP allows."""


class Reader:
    """Takes the elements of data[at:end] one after the other. Everything raises BadBer."""

    __slots__ = ("at", "data", "end")

    def __init__(self, data: bytes, at: int, end: int) -> None:
        self.data = data
        self.at = at
        self.end = end

    @property
    def more(self) -> bool:
        return self.at < self.end

    def next(self) -> tuple[int, int, int]:
        """The next element: (tag, where its content starts, where it ends)."""
        data, at, end = self.data, self.at, self.end
        if at + 2 > end:
            raise BadBer("an element is cut off")
        tag, size = data[at], data[at + 1]
        at += 2
        if size >= 0x80:
            width = size & 0x7F
            if not 1 <= width <= 4 or at + width > end:
                raise BadBer("a length that SNMP does not use")
            size = int.from_bytes(data[at : at + width], "big")
            at += width
        if at + size > end:
            raise BadBer("an element is longer than what it stands in")
        self.at = at + size
        return tag, at, self.at

    def expect(self, tag: int) -> tuple[int, int]:
        """Where the content of the next element starts and ends, which must have this tag."""
        found, start, end = self.next()
        if found != tag:
            raise BadBer(f"tag {found:#04x} where {tag:#04x} belongs")
        return start, end

    def enter(self, tag: int = SEQUENCE) -> Reader:
        """A reader of what is in the next element."""
        return Reader(self.data, *self.expect(tag))

    def integer(self) -> int:
        start, end = self.expect(INTEGER)
        if not 1 <= end - start <= 5:
            raise BadBer("an integer of a length that SNMP does not use")
        return int.from_bytes(self.data[start:end], "big", signed=True)

    def octets(self) -> bytes:
        start, end = self.expect(OCTETS)
        return self.data[start:end]

    def oid(self) -> bytes:
        """The content of an object identifier, as it is encoded."""
        start, end = self.expect(OID)
        if not 1 <= end - start <= LONGEST_OID:
            raise BadBer("an object identifier of a length that SNMP does not use")
        return self.data[start:end]

    def finish(self) -> None:
        """Nothing may follow."""
        if self.more:
            raise BadBer("something follows what should be the last element")


def dotted(content: bytes) -> str:
    """An encoded object identifier in dots. Raises BadBer."""
    arcs: list[int] = []
    arc = 0
    for byte in content:
        arc = arc << 7 | byte & 0x7F
        if arc >= 2**32 + 80:
            raise BadBer("an arc of more than 32 bits")
        if not byte & 0x80:
            arcs.append(arc)
            arc = 0
    if not arcs or content[-1] & 0x80:
        raise BadBer("an object identifier is cut off")
    top = min(arcs[0] // 40, 2)
    return ".".join(map(str, (top, arcs[0] - 40 * top, *arcs[1:])))
