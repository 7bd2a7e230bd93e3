"""The tables of AXIS-VIDEO-MIB that only some products have: video and audio signals, the casing; and the processor's load. Pure.

Documented (MIB of 2016), the load by a monitoring tool's definition alone; none of it was seen in a recorded walk. An absent table means not equipped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from agent.model import Reading
from collectors.axis.parse import word

CPU_UTILIZATION = "100.3.0"
"""Below the MIB, in percent, without an index; newest firmware only. Its neighbours for the memory were never seen, so nothing is read from them."""
_SIGNALS = {"4.1.2": "latarnik_axis_video_signal_ok", "5.1.2": "latarnik_axis_audio_signal_ok"}
_SIGNAL = {1: "signalOk", 2: "noSignal"}
_CASING_NAME, _CASING_STATUS = "6.1.2", "6.1.3"
_CASING = {1: "closed", 2: "open"}
_MOST = 64


def signals(table: Mapping[str, Mapping[str, object]]) -> Iterator[Reading]:
    """The readings of these tables. `table`: column → index → value, as `parse_snmp.video_mib` sorts the rows of the walk."""
    for column, metric in _SIGNALS.items():
        for channel, value in list(table.get(column, {}).items())[:_MOST]:
            said = _of(_SIGNAL, value)
            if said:
                yield Reading(metric=metric, value=float(said == "signalOk"), labels=(channel,), component=channel, raw=said)
    names = table.get(_CASING_NAME, {})
    taken: set[str] = set()
    for index, value in list(table.get(_CASING_STATUS, {}).items())[:_MOST]:
        said = _of(_CASING, value)
        given = names.get(index)
        name = word(given.decode("utf-8", "replace") if isinstance(given, bytes) else given, 64) or f"casing {index}"
        if said and name not in taken:
            taken.add(name)
            yield Reading(metric="latarnik_axis_casing_open", value=float(said == "open"), labels=(name,), component=name, raw=said)
    load = table.get(CPU_UTILIZATION, {}).get("")
    if isinstance(load, int) and not isinstance(load, bool) and 0 <= load <= 100:
        yield Reading(metric="latarnik_axis_cpu_utilization_ratio", value=load / 100, raw=str(load))


def _of(words: Mapping[int, str], value: object) -> str:
    return words.get(value, "") if isinstance(value, int) and not isinstance(value, bool) else ""
