from __future__ import annotations

from collections.abc import Mapping

from exporters.prometheus.own import OwnMetrics
from tests.traps.traffic import Hints, camera, receiving, send, v2c


def shown(own: OwnMetrics) -> Mapping[str, float]:
    lines = own.page(frozenset({"latarnik_traps_total"}), openmetrics=False).decode().splitlines()
    return {line.split('"')[1]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


async def test_what_became_of_traps_is_exported_by_outcome_also_before_the_first_came() -> None:
    own = OwnMetrics([], [])
    assert shown(own) == {}, "off: nothing is said"
    async with receiving([camera()], Hints()) as receiver:
        own.traps(receiver.counts)
        assert shown(own) == dict.fromkeys(receiver.counts, 0.0)
        await send(receiver, v2c(), v2c("public"), v2c())
        await send(receiver, v2c(), source="127.0.0.9")
        own.traps(receiver.counts)
        own.traps(receiver.counts)
        assert {outcome: count for outcome, count in shown(own).items() if count} == {"taken": 2.0, "not_verified": 1.0, "stranger": 1.0}


async def test_a_counter_goes_on_when_another_receiver_begins_anew() -> None:
    own = OwnMetrics([], [])
    for counts in ({"taken": 5}, {"taken": 2}, {"taken": 3}):
        own.traps(counts)
    assert shown(own) == {"taken": 8.0}
