"""What a device says by itself, over what it answers when asked."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.model import Reading
from agent.polling.heard import LIMIT, Heard, laid_over
from agent.ports import FacetData, Signal


def fan(ok: float) -> FacetData:
    return FacetData(readings=(Reading(metric="latarnik_device_fan_ok", value=ok, labels=("F0",)),))


BAD = Signal(key="fan/0", data=fan(0.0), facets=("temperatures",))
FINE = Signal(key="fan/0", data=FacetData(), facets=("temperatures",))


def never(_facet: str) -> None:
    return None


def test_something_bad_is_news_once_and_names_who_tells_more() -> None:
    heard = Heard()
    assert heard.take([BAD], 10.0, never) == {"temperatures"}
    assert heard.take([BAD], 11.0, never) is None
    assert heard.take([FINE], 12.0, never) == {"temperatures"}
    assert heard.take([FINE], 13.0, never) is None


def test_that_all_is_well_when_the_stream_opens_is_no_news() -> None:
    assert Heard().take([FINE], 10.0, never) is None


def test_what_a_facet_answers_afterwards_counts_more_and_what_it_answered_before_less() -> None:
    heard = Heard()
    heard.take([BAD], 10.0, never)
    assert heard.holding(lambda _: 9.0) == [fan(0.0)]
    assert heard.holding(lambda _: 11.0) == []


def test_the_same_said_again_after_a_facet_denied_it_is_news() -> None:
    heard = Heard()
    heard.take([BAD], 10.0, never)
    assert heard.take([BAD], 20.0, lambda _: 15.0) == {"temperatures"}
    assert heard.holding(lambda _: 15.0) == [fan(0.0)]


def test_a_signal_of_which_no_facet_tells_holds_while_the_stream_lives() -> None:
    heard = Heard()
    assert heard.take([Signal(key="casing", data=fan(0.0))], 10.0, lambda _: 1e9) == set()
    assert heard.holding(lambda _: 1e9) == [fan(0.0)]
    heard.clear()
    assert heard.holding(never) == []


def test_a_device_that_makes_up_signals_without_end_fills_no_memory() -> None:
    heard = Heard()
    heard.take([Signal(key=str(n), data=fan(float(n))) for n in range(10_000)], 10.0, never)
    assert len(heard.said) == LIMIT
    assert heard.refused == 10_000 - LIMIT


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([0.0, 1.0]))), st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([0.0, 1.0]))))
def test_each_series_is_there_once_and_what_was_heard_wins(asked: list[tuple[str, float]], said: list[tuple[str, float]]) -> None:
    def readings(of: list[tuple[str, float]]) -> list[Reading]:
        return [Reading(metric="m", labels=(label,), value=value) for label, value in of]

    found, _, _ = laid_over(readings(asked), {}, {}, [FacetData(readings=tuple(readings(said)))])
    assert {r.labels[0]: r.value for r in found} == {**dict(asked), **dict(said)}
    assert len(found) == len({r.labels for r in found})
