"""What an agent knows: object identifiers in order, and how to get the value of each.

A Mib is shared by all devices that are built alike; a value is computed for one of them at the moment it is asked for.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import Generic, NamedTuple, TypeVar

from simulator.snmp import ber

T = TypeVar("T")
Oid = tuple[int, ...]


class Object(NamedTuple, Generic[T]):
    """One managed object: `oid` of the column or scalar, and its instances with the function that yields the encoded value."""

    oid: Oid
    instances: Iterable[tuple[Oid, Callable[[T], bytes]]]


def scalar(oid: Oid, value: Callable[[T], bytes]) -> Object[T]:
    return Object(oid, [((0,), value)])


class Mib(Generic[T]):
    """Objects of one kind of device, in lexicographic order."""

    def __init__(self, objects: Iterable[Object[T]]) -> None:
        self._columns: set[Oid] = set()
        values: dict[Oid, Callable[[T], bytes]] = {}
        for column in objects:
            self._columns.add(column.oid)
            for index, value in column.instances:
                values[column.oid + index] = value
        self._oids = sorted(values)
        self._encoded = [ber.oid(oid) for oid in self._oids]
        self._values = [values[oid] for oid in self._oids]
        self._position = {oid: n for n, oid in enumerate(self._oids)}

    def __len__(self) -> int:
        return len(self._oids)

    def position(self, oid: Oid) -> int | None:
        """Where this very instance stands, or None."""
        return self._position.get(oid)

    def after(self, oid: Oid) -> int | None:
        """Where the first instance after `oid` stands, or None at the end."""
        place = bisect_right(self._oids, oid)
        return place if place < len(self._oids) else None

    def oid(self, position: int) -> Oid:
        return self._oids[position]

    def binding(self, position: int, subject: T) -> bytes:
        """The encoded variable binding at this place, for this device."""
        return ber.sequence(self._encoded[position], self._values[position](subject))

    def missing(self, oid: Oid) -> bytes:
        """What v2 says of an instance that is not there: noSuchInstance where the object exists, else noSuchObject."""
        known = any(oid[:length] in self._columns for length in range(2, len(oid) + 1))
        return ber.NO_SUCH_INSTANCE if known else ber.NO_SUCH_OBJECT
