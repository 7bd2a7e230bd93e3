"""The ear at one device's stream."""

from __future__ import annotations

from collections.abc import Sequence

from agent.polling.watch import Watch, Watched
from agent.ports import Signal


class Ear:
    """A `Listener`."""

    def __init__(self, watch: Watch, watched: Watched) -> None:
        self._watch = watch
        self._watched = watched
        self._open = False

    def opened(self) -> None:
        self._open = True
        self._watch.stream(self._watched, up=True)

    def heard(self, signals: Sequence[Signal]) -> None:
        self._watch.hear(self._watched, signals)

    def closed(self) -> None:
        if self._open:
            self._open = False
            self._watch.stream(self._watched, up=False)
