"""What a device said by itself, laid over what it answered when asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from agent.model import Component, Reading
from agent.ports import FacetData, Signal

LIMIT = 128
"""Signals held of one device. Those that mean anything number a few dozen on the largest; a device that makes up more is not listened to."""

EMPTY = FacetData()


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A signal and when it came (monotonic)."""

    signal: Signal
    at: float


@dataclass(slots=True)
class Heard:
    """The newest signal of each key since the stream was opened. `refused`: how many keys there was no room for."""

    said: dict[str, Said] = field(default_factory=dict)
    refused: int = 0

    def clear(self) -> None:
        """The stream is over: nothing of it is known to hold."""
        self.said.clear()

    def take(self, signals: Iterable[Signal], now: float, answered: Callable[[str], float | None]) -> set[str] | None:
        """Keep them. The facets that tell more of what is new; None when nothing is. `answered(facet)`: when it last answered, None when it did not."""
        news: set[str] | None = None
        for signal in signals:
            before = self.said.get(signal.key)
            if before is None and len(self.said) >= LIMIT:
                self.refused += 1
                continue
            again = before is not None and before.signal.data == signal.data and not overtaken(before, answered)
            if again or (before is None and signal.data == EMPTY):
                self.said.setdefault(signal.key, Said(signal=signal, at=now))
                continue
            self.said[signal.key] = Said(signal=signal, at=now)
            news = (news or set()) | set(signal.facets)
        return news

    def holding(self, answered: Callable[[str], float | None]) -> list[FacetData]:
        """What counts now: what no facet has answered since."""
        return [said.signal.data for said in self.said.values() if said.signal.data is not EMPTY and not overtaken(said, answered)]


def overtaken(said: Said, answered: Callable[[str], float | None]) -> bool:
    """Whether one of the facets that tell the same has answered since."""
    return any((at := answered(name)) is not None and at > said.at for name in said.signal.facets)


def laid_over(
    readings: Iterable[Reading], components: Mapping[str, Component], facts: Mapping[str, str], heard: Iterable[FacetData]
) -> tuple[list[Reading], dict[str, Component], dict[str, str]]:
    """Readings, parts by key and facts with what was heard in the place of what was asked."""
    measured = {(r.metric, r.labels): r for r in readings}
    parts, words = dict(components), dict(facts)
    for data in heard:
        measured |= {(r.metric, r.labels): r for r in data.readings}
        parts |= {part.key: part for part in data.components}
        words |= data.facts
    return list(measured.values()), parts, words
