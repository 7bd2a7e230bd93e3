"""What an Axis device tells over SNMP: MIB-II and AXIS-VIDEO-MIB, as far as recorded walks show them.

There is no serial number but the MAC address of interface 2, and no wear or firmware state.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial

from simulator.axis.product import Product
from simulator.axis.state import State, Storage
from simulator.snmp import ber
from simulator.snmp.mib import Mib, Object, Oid, scalar

ENTERPRISE = (1, 3, 6, 1, 4, 1, 368)
_VIDEO = (*ENTERPRISE, 4, 1)
_SYSTEM = (1, 3, 6, 1, 2, 1, 1)
_INTERFACES = (1, 3, 6, 1, 2, 1, 2)
_COMMON = 1  # the type of a sensor, fan or power supply that stands for the whole device
_OK, _FAILURE, _OUT_OF_BOUNDS = 1, 2, 3

Value = Callable[[State], bytes]


@lru_cache
def mib_of(product: Product) -> Mib[State]:
    """The MIB all devices of this product share."""
    return Mib([*_system(product), *_interface_table(), *_video(product)])


def _fixed(encoded: bytes) -> Value:
    return lambda _state: encoded


def _system(product: Product) -> list[Object[State]]:
    descr = f"; {product.short_name}; {product.type}; {product.firmware}; {product.build_date}; {product.hardware}; 1"
    family = ENTERPRISE if product.generation.legacy else (*ENTERPRISE, 1, 1)
    values: dict[int, Value] = {
        1: _fixed(ber.octets(descr)),
        2: _fixed(ber.oid(family)),
        3: lambda state: ber.time_ticks(state.uptime),
        4: _fixed(ber.octets("")),
        5: lambda state: ber.octets(f"axis-{state.serial.lower()}"),
        6: _fixed(ber.octets("")),
        7: _fixed(ber.integer(72)),
    }
    return [scalar((*_SYSTEM, number), value) for number, value in values.items()]


def _traffic(rate: float) -> Value:
    return lambda state: ber.counter32(int(state.uptime * rate))


def _speed(state: State) -> bytes:
    return ber.gauge32(10_000_000 if "link_degraded" in state.faults else 100_000_000)


def _interface_table() -> list[Object[State]]:
    """ifTable: 1 is lo, without an address; 2 is eth0, whose address is the serial number."""
    zero = _fixed(ber.counter32(0))
    columns: dict[int, tuple[Value, Value]] = {
        1: (_fixed(ber.integer(1)), _fixed(ber.integer(2))),
        2: (_fixed(ber.octets("lo")), _fixed(ber.octets("eth0"))),
        3: (_fixed(ber.integer(24)), _fixed(ber.integer(6))),
        4: (_fixed(ber.integer(65536)), _fixed(ber.integer(1500))),
        5: (_fixed(ber.gauge32(10_000_000)), _speed),
        6: (_fixed(ber.octets(b"")), lambda state: ber.octets(bytes.fromhex(state.serial))),
        7: (_fixed(ber.integer(1)), _fixed(ber.integer(1))),
        8: (_fixed(ber.integer(1)), _fixed(ber.integer(1))),
        9: (_fixed(ber.time_ticks(0)), _fixed(ber.time_ticks(0))),
        10: (_traffic(30), _traffic(1800)),
        11: (_traffic(0.5), _traffic(12)),
        **dict.fromkeys((12, 13, 14, 15), (zero, zero)),
        16: (_traffic(30), _traffic(240_000)),
        17: (_traffic(0.5), _traffic(210)),
        **dict.fromkeys((18, 19, 20), (zero, zero)),
        21: (_fixed(ber.gauge32(0)), _fixed(ber.gauge32(0))),
        22: (_fixed(ber.oid((0, 0))), _fixed(ber.oid((0, 0)))),
    }
    table = [Object[State]((*_INTERFACES, 2, 1, column), [((1,), lo), ((2,), eth0)]) for column, (lo, eth0) in columns.items()]
    return [scalar((*_INTERFACES, 1), _fixed(ber.integer(2))), *table]


def _sensor_status(state: State, *, number: int) -> bytes:
    if number == 0 and not state.faults.isdisjoint({"sensor_nonsense", "sensor_sentinel"}):
        return ber.integer(_FAILURE)
    return ber.integer(_OUT_OF_BOUNDS if state.out_of_bounds(number) else _OK)


def _sensor_value(state: State, *, number: int) -> bytes:
    return ber.integer(round(min(max(state.celsius(number), -176), 150)))  # the range of the MIB


def _fan_status(state: State, *, number: int) -> bytes:
    return ber.integer(_FAILURE if state.fan_failed(number) else _OK)


def _first_two(state: State, *, number: int, fault: str) -> bytes:
    """1 is good and 2 is not; a fault is that of the first."""
    return ber.integer(2 if number == 1 and fault in state.faults else 1)


def _disruption(state: State, *, disk: str) -> bytes:
    """2 (yes) also where there is no medium at all: every recorded walk of a camera without one says so."""
    there = any(found.id == disk and found.state is Storage.OK for found in state.disks())
    return ber.integer(1 if there else 2)


def _video(product: Product) -> list[Object[State]]:
    def column(table: int, number: int, cells: list[tuple[Oid, Value]]) -> list[Object[State]]:
        return [Object((*_VIDEO, table, 1, number), cells)] if cells else []

    sensors = [((_COMMON, product.first_sensor + number), number) for number in range(len(product.sensors))]
    fans = [((_COMMON, number + 1), number) for number in range(product.fans)]
    built_in = [f"HARD_DISK_{number}" for number in range(1, len(product.hard_disks) + 1)]
    disks = (["SD_DISK"] if product.sd_card is not None else []) + ["NetworkShare"] + built_in
    rows: list[tuple[Oid, str]] = [((number,), disk) for number, disk in enumerate(disks, 1)]
    casing: list[tuple[Oid, Value]] = [((1,), _fixed(ber.octets(product.casing)))] if product.casing else []

    def flags(count: int, fault: str, *prefix: int) -> list[tuple[Oid, Value]]:
        return [((*prefix, number), partial(_first_two, number=number, fault=fault)) for number in range(1, count + 1)]

    return [
        *column(1, 3, flags(product.supplies, "power_supply_failed", _COMMON)),
        *column(2, 3, [(index, partial(_fan_status, number=number)) for index, number in fans]),
        *column(3, 3, [(index, partial(_sensor_status, number=number)) for index, number in sensors]),
        *column(3, 4, [(index, partial(_sensor_value, number=number)) for index, number in sensors]),
        *column(4, 2, flags(product.video_inputs, "video_lost")),
        *column(5, 2, flags(product.audio_inputs, "audio_lost")),
        *column(6, 2, casing),
        *column(6, 3, flags(int(bool(product.casing)), "casing_open")),
        *column(8, 2, [(index, _fixed(ber.octets(disk))) for index, disk in rows] if product.storage_names else []),
        *column(8, 3, [(index, partial(_disruption, disk=disk)) for index, disk in rows]),
    ]
